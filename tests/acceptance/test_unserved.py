"""A tier nobody serves: its jobs do not wait for ever, and none is sent where they would."""

from pathlib import Path

import pytest
from acceptance_line import Line
from acceptance_routes import Route

pytestmark = pytest.mark.acceptance

_ROUTE = Route(name="unserved", of_class={"spill_after": "1s"})


def test_no_worker_for_the_primary(tmp_path: Path, redis_binary: Path) -> None:
    """Jobs of a tier without a living worker move on after `spill_after`, and say why; with one they stay."""
    with Line.laid(tmp_path, [_ROUTE], redis=redis_binary) as line:
        line.recorder()
        line.worker(_ROUTE.backup)
        results = line.ask(_ROUTE.jobs(10, named="alone"), batch="alone")
        assert {result["pointsman"]["served"]["tier"] for result in results} == {_ROUTE.backup}
        assert {result["pointsman"]["fallback_reason"] for result in results} == {"unserved"}
        assert {record["reason"] for record in line.audit("--batch", "alone", "--kind", "moved")} == {"unserved"}
        assert line.vendor.calls(_ROUTE.primary_model) == []
        line.worker(_ROUTE.primary)
        again = line.ask(_ROUTE.jobs(10, named="served"), batch="served")
        assert {result["pointsman"]["served"]["tier"] for result in again} == {_ROUTE.primary}
