"""Redis, the recorder and the ledger go away in the middle of work, and come back: nothing is lost or doubled."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import servers
from acceptance_line import Line, Running, attempts_recorded, calls_made, wall_clock
from acceptance_routes import Route
from waiting import wait_until

pytestmark = pytest.mark.acceptance

_ROUTE = Route(name="steady", backup_too=False, of_tiers={"limits": {"concurrency": 8}})
_COUNT = 240


@contextmanager
def _line(folder: Path, binary: Path, **options: Any) -> Iterator[Line]:
    with Line.laid(folder, [_ROUTE], redis=binary, **options) as laid:
        laid.vendor.behave(latency_s=0.1)
        for running in (laid.start("recorder"), laid.start("worker", _ROUTE.primary)):
            laid.at_work(running)
        yield laid


def _submitting(line: Line) -> Running:
    """Jobs for about three seconds of work."""
    return line.start("submit", str(line.job_file(_ROUTE.jobs(_COUNT))), "--batch", "steady", "--wait")


def _assert_all_recorded_once(line: Line) -> None:
    finals = line.audit("--batch", "steady")
    attempts = line.audit("--batch", "steady", "--kind", "attempt")
    asked = Counter(job["custom_id"] for job in _ROUTE.jobs(_COUNT))
    assert Counter(record["custom_id"] for record in finals) == asked
    assert {record["state"] for record in finals} == {"succeeded"}
    unrecorded = calls_made(line) - attempts_recorded(attempts, finals)
    assert unrecorded == Counter()


def test_redis_killed(tmp_path: Path, redis_binary: Path) -> None:
    """After a SIGKILL of Redis its worker, recorder and producer go on by themselves within 10 s; nothing is lost."""
    with _line(tmp_path, redis_binary, durable=True) as line:
        recorder, worker = line.running("recorder"), line.running("worker")
        submitting = _submitting(line)
        line.wait_calls(40)
        line.redis.kill()
        wait_until(lambda: worker.events("worker.redis_down") or worker.events("worker.settle_waits"), "it is missed")
        before = len(line.vendor.calls())
        line.redis.restart()
        back_at = wall_clock()
        line.wait_calls(before + 1)
        assert line.vendor.calls()[before].at - back_at < 10
        assert submitting.ended() == 0
        assert (recorder.alive, worker.alive) == (True, True)
        assert len(submitting.out.read_text(encoding="utf-8").splitlines()) == _COUNT
        _assert_all_recorded_once(line)


def test_recorder_killed(tmp_path: Path, redis_binary: Path) -> None:
    """Jobs go on while the recorder is dead; its successor records all there is, each record once."""
    with _line(tmp_path, redis_binary) as line:
        submitting = _submitting(line)
        line.wait_calls(40)
        line.running("recorder").kill()
        assert submitting.ended() == 0
        assert line.outbox_length() > 0
        line.recorder()
        _assert_all_recorded_once(line)


def test_ledger_locked(tmp_path: Path, redis_binary: Path) -> None:
    """Jobs go on while another holds the SQLite ledger's lock; everything is there once after it has let go."""
    with _line(tmp_path, redis_binary) as line:
        recorder = line.running("recorder")
        with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            submitting = _submitting(line)
            assert submitting.ended() == 0
            wait_until(lambda: recorder.events("recorder.ledger_down"), "the ledger is missed")
            assert line.outbox_length() >= 3 * _COUNT
            other.execute("ROLLBACK")
        _assert_all_recorded_once(line)
        assert recorder.alive


def test_ledger_stopped(
    tmp_path: Path, redis_binary: Path, postgres_server: servers.PostgresServer, postgres_url: str
) -> None:
    """Jobs go on while PostgreSQL is stopped; everything is there once after it is back."""
    with _line(tmp_path, redis_binary, ledger_url=postgres_url) as line:
        submitting = _submitting(line)
        line.wait_calls(40)
        postgres_server.stop()
        try:
            assert submitting.ended() == 0
            assert line.outbox_length() > 0
        finally:
            postgres_server.start()
        _assert_all_recorded_once(line)
        assert line.running("recorder").alive
