"""`status` tells of the recorders: which live, what they put aside, and that there is none."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from acceptance_line import Line
from acceptance_routes import Route
from waiting import wait_until

from pointsman_queue import keys

pytestmark = pytest.mark.acceptance

_ROUTE = Route(name="plain")
_GARBAGE: tuple[dict[str, bytes | str], ...] = (
    {"record": b"\xff\xfe"},
    {"record": '{"kind": "accepted"}', "at": "soon"},
    {"something": "else"},
)
_HEALTH = frozenset(
    (
        *("kind", "recorder", "seq", "recorded", "per_s", "quarantined", "unsigned"),
        *("stranded", "redriven", "rebuilt", "returned", "quiet_s", "started_at", "at"),
    )
)


@pytest.fixture
def line(tmp_path: Path, redis_binary: Path, ledger_url: str) -> Iterator[Line]:
    """A line where nothing runs yet."""
    with Line.laid(tmp_path, [_ROUTE], redis=redis_binary, ledger_url=ledger_url) as laid:
        yield laid


def _shown(line: Line, kind: str) -> list[dict[str, Any]]:
    return [entry for entry in line.run("status", "--json").objects if entry["kind"] == kind]


def _put_garbage(line: Line) -> None:
    with redis.Redis.from_url(line.redis.url) as client:
        for fields in _GARBAGE:
            client.xadd(keys.OUTBOX, fields)


def test_garbage_is_counted(line: Line) -> None:
    """Entries of the outbox that are no records wait for a recorder, are put aside, told in the chain and counted."""
    assert "no recorder is running; start one with `pointsman recorder`" in line.run("status").out
    _put_garbage(line)
    assert "no recorder is running, and 3 records wait for one; start one" in line.run("status").out
    [before] = _shown(line, "line")
    assert (before["recorders"], before["quarantined"], before["unrecorded"]) == (0, None, 3)

    running = line.recorder()
    line.wait_recorded()
    counted = wait_until(
        lambda: [entry for entry in _shown(line, "line") if entry["quarantined"] == len(_GARBAGE)], "it is counted"
    )
    assert {**counted[0], "unsigned": 0} == {
        "kind": "line",
        "held": 0,
        "unrecorded": 0,
        "recorders": 1,
        "quarantined": 3,
        "stranded": 0,
        "unsigned": 0,
    }
    [told] = _shown(line, "recorder")
    assert set(told) == _HEALTH
    assert f"-{running.process.pid}-" in told["recorder"]
    assert (told["recorded"], told["quarantined"], told["seq"] >= 3) == (3, 3, True)
    assert "3 quarantined entries (see `pointsman audit list --kind quarantined`)" in line.run("status").out

    put_aside = line.audit("--kind", "quarantined")
    assert len({entry["entry_id"] for entry in put_aside}) == len(_GARBAGE)
    assert len(running.events("recorder.quarantined")) == len(_GARBAGE)

    running.signal(signal.SIGTERM)
    assert running.ended() == 0
    line.run("audit", "verify")
    [after] = _shown(line, "line")
    assert (after["recorders"], after["quarantined"]) == (0, None)
    assert _shown(line, "recorder") == []


def test_each_recorder_is_listed(line: Line) -> None:
    """Several recorders are each listed; all count the same ledger, whoever put something aside."""
    pids = {running.process.pid for running in (line.recorder(), line.recorder())}
    _put_garbage(line)
    wait_until(lambda: [entry["quarantined"] for entry in _shown(line, "line")] == [3], "it is counted")
    names = [entry["recorder"] for entry in _shown(line, "recorder")]
    assert {int(name.split("-")[-2]) for name in names} == pids
