"""`pointsman up` makes a line out of nothing, keeps it running, and leaves nothing behind but its data."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from acceptance_line import Running, bare_environment, launch, run
from acceptance_routes import KEYS, Route, configuration
from vendor_process import VendorProcess
from waiting import wait_until

pytestmark = pytest.mark.acceptance

_ROUTE = Route(name="plain")


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[VendorProcess]:
    """A vendor, and a configuration that leads to it."""
    process = VendorProcess.launch(tmp_path)
    try:
        config = tmp_path / "pointsman.toml"
        config.write_text(configuration([_ROUTE], vendor=process.url), encoding="utf-8")
        yield process
    finally:
        process.stop()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # One that has ended and is not yet collected is not running.
    return " Z " not in Path(f"/proc/{pid}/stat").read_text() if Path("/proc/self/stat").exists() else True


def _pids(up: Running, name: str) -> list[int]:
    """The processes `up` has started under a name, the newest last."""
    return [event["pid"] for event in up.events("up.child_started") if event["name"] == name]


def _started(folder: Path, name: str, env: dict[str, str]) -> Running:
    up = launch(folder, name, ["up"], env)
    children = ["recorder", *(f"worker {tier}" for tier in _ROUTE.tiers)]

    def complete() -> bool:
        assert up.alive, up.said
        return all(_pids(up, child) for child in children)

    wait_until(complete, "everything is started")
    return up


def _stopped(up: Running) -> None:
    """End `up` as an operator does; everything it started ends with it."""
    started = [event["pid"] for kind in ("up.child_started", "redis.started") for event in up.events(kind)]
    up.signal(signal.SIGTERM)
    assert up.ended() == 0, up.said
    assert len(started) >= 4
    assert [pid for pid in started if _lives(pid)] == []
    assert "Traceback" not in up.said


def test_up_and_down(tmp_path: Path, vendor: VendorProcess) -> None:
    """A line comes up with no Redis at hand, outlives a worker, ends without a trace, and its data is there again."""
    env = bare_environment(POINTSMAN_HOME=str(tmp_path / "home"), **KEYS)
    file = tmp_path / "jobs.jsonl"

    def pointsman(*arguments: str) -> list[dict[str, object]]:
        return run(*arguments, env=env, cwd=tmp_path).objects

    def submit(name: str) -> list[dict[str, object]]:
        file.write_text("\n".join(json.dumps(job) for job in _ROUTE.jobs(10, named=name)), encoding="utf-8")
        return pointsman("submit", str(file), "--batch", name, "--wait", "--timeout", "2m")

    assert vendor.calls() == []
    up = _started(tmp_path, "up-first", env)
    try:
        first = submit("first")
        assert len(first) == 10
        worker = f"worker {_ROUTE.primary}"
        [pid] = _pids(up, worker)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(_pids(up, worker)) == 2, "the worker is started again")
        assert len(submit("second")) == 10
        assert {call.model for call in vendor.calls()} == {_ROUTE.primary_model}
        _stopped(up)
    finally:
        up.kill()
    assert not (tmp_path / "home" / "redis.sock").exists()

    up = _started(tmp_path, "up-again", env)
    try:
        assert submit("first") == first
        assert len(vendor.calls()) == 20
        wait_until(lambda: len(pointsman("audit", "list", "--json")) == 20, "the ledger has both batches")
        _stopped(up)
    finally:
        up.kill()
