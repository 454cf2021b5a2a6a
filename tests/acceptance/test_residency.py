"""Work of one region waits for that region's vendor, however healthy the others are."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from acceptance_line import Line
from acceptance_routes import Route
from waiting import wait_until

pytestmark = pytest.mark.acceptance

_DOWN_S = float(os.environ.get("POINTSMAN_TEST_OUTAGE_S", "12"))
"""How long the vendor is away: long enough for its breaker to open, probe and stay open."""
_CONFIG = """
[providers.{name}]
kind = "openai-compatible"
owner = "tests@example.com"
base_url = "{vendor}/v1"
region = "{region}"
retention_days = 0

[providers.{name}.tiers.main]
model = "{name}-main"
quality = 0.9
price = {{ input = 1.0, output = 2.0 }}
limits = {{ concurrency = 64 }}
breaker = {{ open_for = "2s" }}
"""
_CLASSES = """
[classes.eu-only]
route = ["europe/main"]
regions = ["eu", "local"]
quality_floor = 0.8
spill_after = "1s"

[classes.anywhere]
route = ["europe/main", "america/main", "ohio/main"]
spill_after = "1s"
"""


@contextmanager
def _line(folder: Path, redis_binary: Path) -> Iterator[Line]:
    """A vendor in the EU, two in the US, and a worker for each."""
    with Line.laid(folder, (), redis=redis_binary) as line:
        regions = {"europe": "eu", "america": "us", "ohio": "us"}
        sections = [
            _CONFIG.format(name=name, region=region, vendor=line.vendor.url) for name, region in regions.items()
        ]
        (folder / "pointsman.toml").write_text("".join(sections) + _CLASSES, encoding="utf-8")
        line.recorder()
        for name in regions:
            line.worker(f"{name}/main")
        yield line


def test_an_outage_of_the_only_region(tmp_path: Path, redis_binary: Path) -> None:
    """While the EU's vendor is down its jobs are held and none is called for in the US; all are answered afterwards.

    Other work, which may go anywhere, meanwhile shows that the US vendors are up and their workers at work.
    """
    with _line(tmp_path, redis_binary) as line:
        line.vendor.behave("europe-main", status=503)
        began = time.monotonic()
        bound = line.start(
            "submit", str(line.job_file(Route(name="eu-only").jobs(60, named="bound"))), "--batch", "bound", "--wait"
        )
        free = line.ask(Route(name="anywhere").jobs(60, named="free"), batch="free")
        assert {result["pointsman"]["served"]["region"] for result in free} == {"us"}
        wait_until(lambda: line.held("europe/main") >= 59, "the jobs are held, but for one that may be probing")
        shown = {row["tier"]: row for row in line.run("status", "--json").objects if row["kind"] == "tier"}
        assert shown["europe/main"]["breaker"] in ("open", "half-open")
        assert shown["america/main"]["breaker"] == "closed"
        while time.monotonic() < began + _DOWN_S:
            assert bound.alive
            time.sleep(0.2)
        line.vendor.behave("europe-main")
        assert bound.ended() == 0
        abroad = [call for call in line.vendor.calls("america-main", "ohio-main") if call.custom_id.startswith("bound")]
        assert abroad == []
        finals = line.audit("--batch", "bound")
        assert {(record["state"], record["served_tier"]) for record in finals} == {("succeeded", "europe/main")}
        assert len(finals) == 60
        attempts = line.audit("--batch", "bound", "--kind", "attempt")
        assert {entry["region"] for entry in attempts} == {"eu"}
        held = line.audit("--batch", "bound", "--kind", "held")
        assert len({entry["job_id"] for entry in held}) == 60
        assert {entry["reason"] for entry in held} <= {"breaker_open", "overloaded"}
