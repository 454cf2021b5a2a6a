"""The switch under load: three workers, three hundred jobs a second, and the vendor's own list as the judge."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from acceptance_line import Line, wall_clock
from acceptance_routes import Route

pytestmark = pytest.mark.acceptance

_RATE = 300
_JOBS = 3000
_SLACK_S = 0.25
_ROUTE = Route(name="loaded", of_tiers={"limits": {"rpm": _RATE * 60}, "burst": "100ms"})


@contextmanager
def _line(folder: Path, redis_binary: Path) -> Iterator[Line]:
    with Line.laid(folder, [_ROUTE], redis=redis_binary) as line:
        line.recorder()
        for _ in range(3):
            line.worker(*_ROUTE.tiers)
        yield line


@pytest.mark.parametrize("abort", [False, True], ids=["calls end", "calls are cut"])
def test_no_call_begins_after_disable(tmp_path: Path, redis_binary: Path, *, abort: bool) -> None:
    """A quarter of a second after `routes disable` has returned no call begins; every job ends at the backup.

    With `--abort` the calls in flight are cut as well, are recorded as unknown, and their jobs end at the backup too.
    """
    with _line(tmp_path, redis_binary) as line:
        line.vendor.behave(_ROUTE.primary_model, latency_s=0.5)
        submitting = line.start("submit", str(line.job_file(_ROUTE.jobs(_JOBS))), "--batch", "load", "--wait")
        line.wait_calls(2 * _RATE, _ROUTE.primary_model)
        options = ["--abort"] if abort else []
        line.run("routes", "disable", _ROUTE.primary, "--reason", "wrong answers", *options)
        returned_at = wall_clock()
        assert submitting.ended() == 0
        calls = line.vendor.calls(_ROUTE.primary_model)
        last = max(call.at for call in calls)
        assert sum(1 for call in calls if call.at > last - 1) > _RATE / 2, "there was no load to show anything"
        late = [round(call.at - returned_at, 3) for call in calls if call.at > returned_at + _SLACK_S]
        assert late == []
        finals = line.audit("--batch", "load")
        assert len(finals) == _JOBS
        assert {record["state"] for record in finals} == {"succeeded"}
        by_backup = [record for record in finals if record["served_tier"] == _ROUTE.backup]
        assert len(by_backup) > _JOBS / 4
        assert {record["fallback_reason"] for record in by_backup} == {"disabled"}
        cut = [
            entry
            for entry in line.audit("--batch", "load", "--kind", "attempt", "--tier", _ROUTE.primary)
            if entry["outcome"] == "unknown" and entry["usage_source"] == "estimate"
        ]
        assert bool(cut) is abort
