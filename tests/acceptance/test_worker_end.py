"""Workers die and are stopped in the middle of calls, and no job notices."""

import signal
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from acceptance_line import Line, attempts_recorded, calls_made, wall_clock
from acceptance_routes import Route

pytestmark = pytest.mark.acceptance

_KILLED = Route(name="killed", backup_too=False)
_PATIENT = Route(name="patient", backup_too=False)
_HASTY = Route(name="hasty", backup_too=False)
_COUNT = 8


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory, redis_binary: Path) -> Iterator[Line]:
    """A line with a recorder, and a worker that can take every tier."""
    folder = tmp_path_factory.mktemp("ending")
    with Line.laid(folder, (_KILLED, _PATIENT, _HASTY), redis=redis_binary) as laid:
        laid.recorder()
        yield laid


def test_killed_in_mid_call(line: Line) -> None:
    """The jobs of a worker that gets SIGKILL are answered by another within 20 s; what it cut is on record, once."""
    route = _KILLED
    line.vendor.behave(route.primary_model, behaviour="hang")
    doomed = line.worker(route.primary)
    submitting = line.start("submit", str(line.job_file(route.jobs(_COUNT))), "--batch", "killed", "--wait")
    line.wait_calls(_COUNT, route.primary_model)
    line.worker(route.primary)
    line.vendor.behave(route.primary_model)
    killed_at = wall_clock()
    doomed.kill()
    assert submitting.ended() == 0
    finals = line.audit("--batch", "killed")
    attempts = line.audit("--batch", "killed", "--kind", "attempt")
    assert Counter(record["custom_id"] for record in finals) == Counter(job["custom_id"] for job in route.jobs(_COUNT))
    assert {record["state"] for record in finals} == {"succeeded"}
    assert max(datetime.fromisoformat(record["finished_at"]).timestamp() for record in finals) - killed_at <= 20
    cut = [entry for entry in attempts if entry["outcome"] != "ok"]
    assert {(entry["outcome"], entry["usage_source"], entry["counted"]) for entry in cut} == {
        ("unknown", "estimate", False)
    }
    assert all(entry["cost_microusd"] > 0 for entry in cut)
    assert {f"-{doomed.process.pid}-" in entry["worker"] for entry in cut} == {True}
    assert len(cut) == _COUNT
    assert attempts_recorded(attempts, finals) == calls_made(line, route.primary_model)


def test_stopped_with_time_to_finish(line: Line) -> None:
    """A worker that gets SIGTERM lets its calls end within the grace time, claims nothing more, and exits with 0."""
    route = _PATIENT
    line.vendor.behave(route.primary_model, latency_s=2.0)
    worker = line.worker(route.primary, "--slots", "2")
    submitting = line.start("submit", str(line.job_file(route.jobs(3))), "--batch", "patient", "--wait")
    line.wait_calls(2, route.primary_model)
    worker.signal(signal.SIGTERM)
    assert worker.ended() == 0
    assert len(line.vendor.calls(route.primary_model)) == 2
    assert {entry["outcome"] for entry in line.audit("--batch", "patient", "--kind", "attempt")} == {"ok"}
    assert line.queued(route.primary) == 1
    line.worker(route.primary)
    assert submitting.ended() == 0
    assert len(line.audit("--batch", "patient")) == 3


def test_stopped_in_mid_call(line: Line) -> None:
    """Calls that outlast the grace time are given back: recorded as unknown, not counted, answered by another."""
    route = _HASTY
    line.vendor.behave(route.primary_model, behaviour="hang")
    worker = line.worker(route.primary, "--grace", "1s")
    submitting = line.start("submit", str(line.job_file(route.jobs(_COUNT))), "--batch", "hasty", "--wait")
    line.wait_calls(_COUNT, route.primary_model)
    line.vendor.behave(route.primary_model)
    worker.signal(signal.SIGTERM)
    assert worker.ended() == 0
    assert line.queued(route.primary) == _COUNT
    line.worker(route.primary)
    assert submitting.ended() == 0
    finals = line.audit("--batch", "hasty")
    attempts = line.audit("--batch", "hasty", "--kind", "attempt")
    assert {record["state"] for record in finals} == {"succeeded"}
    assert {record["attempts"] for record in finals} == {2}
    told = Counter((entry["outcome"], entry["usage_source"], entry["counted"]) for entry in attempts)
    assert told == {("unknown", "estimate", False): _COUNT, ("ok", "vendor", False): _COUNT}
    assert attempts_recorded(attempts, finals) == calls_made(line, route.primary_model)
