"""How long until queues are empty, and in which words."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pointsman_console import forecast
from pointsman_console.forecast import drain_s, in_words
from pointsman_queue import Gate, TierLoad, read_gate
from pointsman_routes import ServiceUnavailable

NOW = 1_800_000_000_000


def _gate(scope: str = "a/b", **fields: str) -> Gate:
    return read_gate(scope, {name.encode(): value.encode() for name, value in fields.items()}, NOW)


def _load(tier: str, queued: int) -> TierLoad:
    return TierLoad(tier=tier, queued=queued, delayed=0, leased=0, held=0)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1s"), (59, "59s"), (60, "1m"), (130.4, "2m10s"), (3600, "1h"), (11_100, "3h5m"), (90_000, "1d1h"),
     (86_400, "1d")],
)  # fmt: skip
def test_words(seconds: float, words: str) -> None:
    """A span is told in its two largest units."""
    assert in_words(seconds) == words


def test_pace_and_next_slot() -> None:
    """A queue takes its first wait, then a job's time at the slower of the limits' pace and that of late."""
    assert _gate(pace="20", free_at=str(NOW + 3000)).drain_s(100) == 5
    assert _gate(pace="20", gap="50", ended=str(NOW - 1000)).drain_s(100) == 5
    assert _gate(pace="20", gap="50", ended=str(NOW - 61_000)).drain_s(100) == 2
    assert _gate(throttled_until=str(NOW + 7000), pace="10").next_free_s == 7


def test_unknown_is_not_zero() -> None:
    """Nothing waiting takes no time; jobs at a tier of which nothing is known take nobody knows how long."""
    assert _gate().drain_s(0) == 0
    assert _gate().drain_s(1) is None


def test_the_slowest_tier_decides() -> None:
    """Several queues are empty when the last one is; one unknown makes all unknown."""
    gates = {"a": _gate("a", pace="10"), "b": _gate("b", pace="1000"), "c": _gate("c")}
    assert drain_s([_load("a", 9), _load("b", 9), _load("c", 0)], gates) == 9
    assert drain_s([_load("a", 9), _load("c", 1)], gates) is None
    assert drain_s([], gates) == 0


class _Board:
    """A board and an observer of one tier, away when told so."""

    def __init__(self, *queued: int | None) -> None:
        self._queued = list(queued)

    async def loads(self, tiers: list[str]) -> list[TierLoad]:
        """So many jobs, or nobody answers."""
        queued = self._queued.pop(0) if self._queued else None
        if queued is None:
            raise ServiceUnavailable("away")
        return [_load("a", queued)]

    async def gates(self, tiers: list[str]) -> dict[str, Gate]:
        """A second a job."""
        return {"a": _gate("a", pace="1000")}


async def test_the_last_estimate_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """An estimate is shown before any result has come; while Redis is away the last one stays. No task is left."""
    monkeypatch.setattr(forecast, "_LOOK_S", 0)
    board = _Board(90, None, None, 30)
    shown: list[str] = []
    line = cast("Any", SimpleNamespace(observer=board, switchboard=board))
    before = asyncio.all_tasks()
    async with forecast.followed(line, ["a"], shown.append):
        async with asyncio.timeout(5):
            while len(shown) < 2:  # noqa: ASYNC110 -- what is waited for sets no event
                await asyncio.sleep(0)
    assert shown == ["queue empty in about 1m30s", "queue empty in about 30s"]
    assert asyncio.all_tasks() == before


def test_learned_limits() -> None:
    """What was learned is told with where it is from."""
    taught = {"rpm:limit": "420.4", "rpm:from": "refusals"}
    told = {"tpm:limit": "9000", "tpm:from": "vendor", "tpm:mode": "window"}
    learned = _gate(**taught, **told).learned
    assert (learned["rpm"].limit, learned["rpm"].told, learned["rpm"].refills) == (420, False, None)
    assert (learned["tpm"].limit, learned["tpm"].told, learned["tpm"].refills) == (9000, True, False)
