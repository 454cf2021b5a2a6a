"""A recorder tells how it fares, whatever happens to it; on both databases."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from arq import ArqRedis
from audit_records import accepted, put
from recorder_parts import Waits, until_recorded
from structlog.testing import capture_logs

from pointsman_audit import Counts, Ledger, LedgerBroken, LedgerUnavailable, Recorder, RecorderHealth
from pointsman_audit.recorder_health import COUNT_EVERY_S
from pointsman_queue import Observer, Outbox, RecorderBoard, client, keys

NAME = "r-1"
AT = datetime(2026, 1, 2, tzinfo=UTC)


class Post:
    """A recorder with its health, and a clock that the test sets."""

    def __init__(self, redis: ArqRedis, ledger: Ledger, **options: Any) -> None:
        self.redis = redis
        self.seconds = 0.0
        waits: Waits = options.pop("waits", None) or Waits()
        board = RecorderBoard(options.pop("telling_to", redis), NAME)
        clocks: dict[str, Any] = {
            "clock": lambda: AT + timedelta(seconds=self.seconds),
            "monotonic": lambda: 1000 + self.seconds,
        }
        self.health = RecorderHealth(board, ledger, sleep=waits.sleep, **clocks, **options)
        self.recorder = Recorder(Outbox(redis), ledger, duties=[self.health], sleep=waits.sleep)

    async def pass_time(self, seconds: float, *, attend: bool = True) -> dict[str, Any]:
        """Let time pass; what is told then."""
        self.seconds += seconds
        if attend:
            await self.health.attend("source", "1-0")
        await self.health.tell()
        return (await self.listed())[NAME]

    async def listed(self) -> dict[str, dict[str, Any]]:
        """What `status` sees."""
        return (await Observer(self.redis).overview([])).recorders

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator["asyncio.Task[None]"]:
        """The recorder runs and tells."""
        async with self.health.telling():
            task = asyncio.create_task(self.recorder.run())
            try:
                yield task
            finally:
                self.recorder.stop()
                async with asyncio.timeout(60):
                    await task


@pytest.fixture
async def ledger(ledger_url: str) -> AsyncIterator[Ledger]:
    """A ledger without records."""
    async with Ledger.open(ledger_url, make=True) as made:
        yield made


def junk(count: int) -> list[bytes]:
    """Entries that are no records."""
    return [b"junk"] * count


async def put_junk(redis: ArqRedis, count: int) -> None:
    """Put entries into the outbox that are no records."""
    for raw in junk(count):
        await redis.xadd(keys.OUTBOX, {"record": raw})


async def test_what_is_told(redis: ArqRedis, ledger: Ledger) -> None:
    """Every figure is the recorder's, the ledger's, the notary's or the reconciler's own."""
    counts = Counts(stranded=1, redriven=2, rebuilt=3, returned=4)
    post = Post(redis, ledger, unsigned=lambda: 5, counts=lambda: counts)
    await put(redis, [accepted("a"), accepted("b")])
    await put_junk(redis, 3)
    await post.recorder.drain()
    assert await post.pass_time(0) == {
        "seq": 5,
        "recorded": 5,
        "per_s": None,
        "quarantined": 3,
        "unsigned": 5,
        "stranded": 1,
        "redriven": 2,
        "rebuilt": 3,
        "returned": 4,
        "quiet_s": 0.0,
        "started_at": "2026-01-02T00:00:00.000000Z",
        "at": "2026-01-02T00:00:00.000000Z",
    }
    counts.stranded = 0
    await put(redis, [accepted("c")])
    await put_junk(redis, 1)
    await post.recorder.drain()
    told = await post.pass_time(4)
    assert (told["seq"], told["recorded"], told["quarantined"], told["stranded"]) == (7, 7, 4, 0)
    assert (told["per_s"], told["at"]) == (0.5, "2026-01-02T00:00:04.000000Z")
    assert told["started_at"] == "2026-01-02T00:00:00.000000Z"


async def test_nothing_is_made_up(redis: ArqRedis, ledger: Ledger) -> None:
    """What a recorder cannot know is told as unknown, never as none."""
    post = Post(redis, ledger)
    told = await post.pass_time(0, attend=False)
    unknown = ("seq", "per_s", "quarantined", "unsigned", "stranded", "redriven", "rebuilt", "returned")
    assert {name: told[name] for name in unknown} == dict.fromkeys(unknown)
    told = await post.pass_time(1)
    assert (told["seq"], told["quarantined"], told["recorded"], told["per_s"]) == (0, 0, 0, 0.0)


async def test_pace_is_of_late(redis: ArqRedis, ledger: Ledger) -> None:
    """The pace is that of the last ten seconds: an old rush is forgotten."""
    post = Post(redis, ledger)
    await post.pass_time(0)
    await put(redis, [accepted(f"job-{number}") for number in range(40)])
    await post.recorder.drain()
    assert (await post.pass_time(1))["per_s"] == 40.0
    paces = [(await post.pass_time(1))["per_s"] for _ in range(10)]
    assert (paces[0], paces[8], paces[9]) == (20.0, 4.0, 0.0)


async def test_others_quarantine_too(redis: ArqRedis, ledger: Ledger) -> None:
    """The count is the ledger's: what another recorder put aside is in it within half a minute, once."""
    post = Post(redis, ledger)
    assert (await post.pass_time(0))["quarantined"] == 0
    await put_junk(redis, 2)
    await Recorder(Outbox(redis), ledger).drain()
    assert (await post.pass_time(COUNT_EVERY_S - 1))["quarantined"] == 0
    told = await post.pass_time(1)
    assert (told["quarantined"], told["seq"], told["recorded"]) == (2, 2, 0)


async def test_count_that_fails(redis: ArqRedis, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the ledger cannot be counted the count is unknown, recording goes on, and it is tried again soon."""
    post = Post(redis, ledger)
    assert (await post.pass_time(0))["quarantined"] == 0

    async def fails() -> int:
        raise LedgerUnavailable("too slow")

    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr(ledger, "quarantined", fails)
        assert (await post.pass_time(COUNT_EVERY_S))["quarantined"] is None
        await put_junk(redis, 1)
        assert await post.recorder.drain() == 1
        assert (await post.pass_time(4))["quarantined"] is None
    assert [entry["event"] for entry in logs].count("recorder.not_counted") == 1
    assert (await post.pass_time(1))["quarantined"] == 1


async def test_told_while_nothing_happens(redis: ArqRedis, ledger: Ledger) -> None:
    """It is told at once and then once a second, also while there is nothing to record; the end takes it off."""
    waits = Waits()
    post = Post(redis, ledger, waits=waits)
    with capture_logs() as logs:
        await told_three_times(post, waits)
    assert not [entry for entry in logs if entry["event"].startswith("recorder.health")]
    assert await post.listed() == {}


async def told_three_times(post: Post, waits: Waits) -> None:
    """Let a recorder that has nothing to do tell three times."""
    async with post.at_work():
        for turn in range(1, 4):
            await waits.begun(turn)
            assert set(await post.listed()) == {NAME}
            await post.redis.delete(keys.RECORDER + NAME)
            waits.end()
        assert set(waits.asked) == {1.0}


async def test_listed_while_it_waits(redis: ArqRedis, ledger: Ledger) -> None:
    """A recorder that waits for a service is still listed, and tells for how long it has not got on."""
    post = Post(redis, ledger)
    assert (await post.pass_time(0))["quiet_s"] == 0.0
    assert (await post.pass_time(30, attend=False))["quiet_s"] == 30.0
    assert (await post.pass_time(2))["quiet_s"] == 0.0


async def test_listed_through_an_outage(redis: ArqRedis, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the recorder sits out an outage of the ledger it goes on being told of, longer than a key lives."""
    waits, post = Waits(), Post(redis, ledger)

    async def away(_: object) -> None:
        raise LedgerUnavailable("away")

    monkeypatch.setattr(ledger, "append", away)
    await put(redis, [accepted("a")])
    recorder = Recorder(Outbox(redis), ledger, duties=[post.health], sleep=waits.sleep)
    running = asyncio.create_task(recorder.run())
    await waits.begun(1)
    told = [await post.pass_time(10, attend=False) for _ in range(3)]
    assert [each["quiet_s"] for each in told] == [10.0, 20.0, 30.0]
    monkeypatch.undo()
    waits.end()
    await until_recorded(recorder, 1, running)
    recorder.stop()
    await running
    assert (await post.pass_time(0, attend=False))["quiet_s"] == 0.0


async def test_broken_ledger_ends_it(redis: ArqRedis, ledger: Ledger) -> None:
    """A recorder that ends with an error is taken off at once."""
    waits = Waits()
    post = Post(redis, ledger, waits=waits)

    async def ends() -> None:
        async with post.health.telling():
            await waits.begun(1)
            assert set(await post.listed()) == {NAME}
            raise LedgerBroken

    with pytest.raises(LedgerBroken):
        await ends()
    assert await post.listed() == {}


async def test_full_redis_is_no_outage(redis: ArqRedis, ledger: Ledger) -> None:
    """A full Redis refuses what is told: one word in the log, and all is recorded, which makes room."""
    waits = Waits()
    post = Post(redis, ledger, waits=waits)
    await put(redis, [accepted(f"job-{number}") for number in range(50)])
    await Outbox(redis).source()
    await redis.config_set("maxmemory", 1)
    with capture_logs() as logs:
        async with post.at_work() as task:
            await until_recorded(post.recorder, 50, task)
            for turn in range(1, 4):
                await waits.begun(turn)
                waits.end()
            await waits.begun(4)
            await redis.config_set("maxmemory", 0)
            waits.end()
            await waits.begun(5)
            assert set(await post.listed()) == {NAME}
    events = [entry["event"] for entry in logs]
    assert (events.count("recorder.health_not_told"), events.count("recorder.health_told")) == (1, 1)
    assert "recorder.redis_down" not in events
    assert await redis.xlen(keys.OUTBOX) == 0


async def test_absent_board_is_no_outage(redis: ArqRedis, ledger: Ledger) -> None:
    """Where nothing can be told the recorder records all the same, and ends in good order."""
    absent = client("redis://127.0.0.1:1")
    post = Post(redis, ledger, telling_to=absent)
    with capture_logs() as logs:
        async with post.at_work() as task:
            await put(redis, [accepted("a")])
            await until_recorded(post.recorder, 1, task)
    await absent.aclose(close_connection_pool=True)
    events = [entry["event"] for entry in logs]
    assert (events.count("recorder.health_not_told"), events.count("recorder.not_retired")) == (1, 1)
    assert "recorder.redis_down" not in events
