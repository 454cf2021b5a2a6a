"""The recorder: every record of the outbox is in the ledger exactly once, in order, whatever dies when."""

import asyncio
import hashlib
import json
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from arq import ArqRedis
from audit_records import accepted, final, finished, put, started
from recorder_parts import STEPS, FatalLedger, FatalOutbox, FatalPoint, Killed, until
from structlog.testing import capture_logs

from pointsman_audit import Ledger, ListedKind, Recorder, RecordFilter
from pointsman_queue import Outbox, keys
from pointsman_routes import Wire

NOW = datetime(2026, 1, 2, tzinfo=UTC)


class Clock:
    """A clock the test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


async def told(ledger: Ledger, kind: ListedKind = ListedKind.ACCEPTED) -> list[tuple[int, str]]:
    """Number and job of every record of a kind."""
    return sorted([(record["seq"], record["job_id"]) async for record in ledger.list(RecordFilter(kind=kind))])


def in_order(count: int) -> list[tuple[int, str]]:
    """What the ledger holds when the jobs 1 to `count` are recorded once each, in order, without a gap."""
    return [(number, f"job-{number}") for number in range(1, count + 1)]


def jobs(count: int, first: int = 1) -> list[Wire]:
    """Accepted records of that many jobs."""
    return [accepted(f"job-{number}") for number in range(first, first + count)]


@asynccontextmanager
async def recording(url: str, redis: ArqRedis, **options: Any) -> AsyncIterator[tuple[Recorder, Ledger]]:
    """A recorder and its ledger."""
    clock = options.setdefault("clock", Clock())
    async with Ledger.open(url, make=True, clock=clock) as ledger:
        yield Recorder(Outbox(redis), ledger, **options), ledger


async def test_records_arrive_once_in_order(ledger_url: str, redis: ArqRedis) -> None:
    """Everything arrives, numbered from 1, and leaves Redis; a second look finds nothing new."""
    await put(redis, jobs(2500))
    async with recording(ledger_url, redis) as (recorder, ledger):
        assert await recorder.drain() == 2500
        assert await told(ledger) == in_order(2500)
        assert await redis.xlen(keys.OUTBOX) == 0
        assert await recorder.drain() == 0
        await put(redis, jobs(3, first=2501))
        assert await recorder.drain() == 3
        assert await told(ledger) == in_order(2503)


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("step", STEPS)
async def test_death_at_any_step(ledger_url: str, redis: ArqRedis, step: str, nth: int) -> None:
    """Wherever a recorder dies, the next one completes the ledger: nothing twice, nothing missing, Redis emptied."""
    await put(redis, jobs(35))
    point = FatalPoint(step, nth)
    dying = FatalLedger(ledger_url, point)
    await dying.make()
    with pytest.raises(Killed):
        await Recorder(FatalOutbox(redis, point), dying).drain()
    await dying.close()
    async with recording(ledger_url, redis) as (recorder, ledger):
        committed = await ledger.head()
        assert committed == {"before_read": 10 * (nth - 1), "after_read": 10 * (nth - 1)}.get(
            step, 10 * (nth - 1) if step == "before_commit" else 10 * nth
        )
        assert await recorder.drain() == 35 - committed
        assert await told(ledger) == in_order(35)
        assert await redis.xlen(keys.OUTBOX) == 0


async def test_committed_entries_are_dropped_after_a_death(ledger_url: str, redis: ArqRedis) -> None:
    """What a dead recorder had committed and not dropped is dropped by the next one, even if nothing new comes."""
    await put(redis, jobs(10))
    point = FatalPoint("after_commit")
    dying = FatalLedger(ledger_url, point)
    await dying.make()
    with pytest.raises(Killed):
        await Recorder(FatalOutbox(redis, point), dying).drain()
    await dying.close()
    assert await redis.xlen(keys.OUTBOX) == 10
    async with recording(ledger_url, redis) as (recorder, ledger):
        assert await recorder.drain() == 0
        assert await redis.xlen(keys.OUTBOX) == 0
        assert await told(ledger) == in_order(10)


_RECORDER = """
import asyncio, sys
from pointsman_audit import Ledger, Recorder
from pointsman_queue import Outbox, connect

async def main(redis_url, ledger_url):
    redis = await connect(redis_url)
    async with Ledger.open(ledger_url, make=True) as ledger:
        await Recorder(Outbox(redis), ledger).run()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_killed_process(ledger_url: str, redis_url: str, redis: ArqRedis) -> None:
    """A recorder process that is killed in full flight, again and again, loses and doubles nothing."""
    total = 6000
    await put(redis, jobs(total))
    async with recording(ledger_url, redis) as (recorder, ledger):
        for reached in (1000, 3000):
            command = (sys.executable, "-c", _RECORDER, redis_url, ledger_url)
            process = await asyncio.create_subprocess_exec(*command, stdout=DEVNULL)
            try:
                async with asyncio.timeout(60):
                    while await ledger.head() < reached:
                        assert process.returncode is None
                        await asyncio.sleep(0.002)
            finally:
                process.kill()
                await process.wait()
        await recorder.drain()
        assert await told(ledger) == in_order(total)
        assert await redis.xlen(keys.OUTBOX) == 0


async def test_two_recorders(ledger_url: str, redis: ArqRedis) -> None:
    """Two recorders side by side record everything once, in order and without a gap, while records still come."""
    async with recording(ledger_url, redis) as (one, ledger), recording(ledger_url, redis) as (other, _):
        both = [asyncio.create_task(recorder.run()) for recorder in (one, other)]
        for first in range(1, 6001, 300):
            await put(redis, jobs(300, first=first))
        await until(lambda: one.recorded + other.recorded >= 6000)
        one.stop()
        other.stop()
        await asyncio.gather(*both)
        assert await told(ledger) == in_order(6000)
        assert one.recorded + other.recorded == 6000
        assert await redis.xlen(keys.OUTBOX) == 0


async def test_overtaken_recorder_goes_on_behind(ledger_url: str, redis: ArqRedis) -> None:
    """A recorder whose batch another has committed writes nothing of it and takes what follows."""
    async with recording(ledger_url, redis) as (slow, ledger), recording(ledger_url, redis) as (fast, _):
        outbox: Any = slow._outbox
        reading = outbox.read

        async def overtaken(*arguments: Any, **options: Any) -> Any:
            entries = await reading(*arguments, **options)
            outbox.read = reading
            await fast.drain()
            await put(redis, jobs(5, first=11))
            return entries

        outbox.read = overtaken
        await put(redis, jobs(10))
        with capture_logs() as logs:
            assert await slow.drain() == 5
        assert fast.recorded == 10
        assert [log["event"] for log in logs].count("recorder.overtaken") == 1
        assert await told(ledger) == in_order(15)


async def test_garbage_is_quarantined(ledger_url: str, redis: ArqRedis) -> None:
    """Garbage is stored beside the records, counted and logged without its content, and stops nothing."""
    await put(redis, [*jobs(2), b"not json, with a secret", b'{"kind":"gossip"}', b"\x80\x04\0", *jobs(2, first=3)])
    await redis.xadd(keys.OUTBOX, {"something": "else"})
    async with recording(ledger_url, redis) as (recorder, ledger):
        with capture_logs() as logs:
            assert await recorder.drain() == 8
        assert [job for _, job in await told(ledger)] == ["job-1", "job-2", "job-3", "job-4"]
        found = [record async for record in ledger.list(RecordFilter(kind=ListedKind.QUARANTINED))]
        # What came without a time is listed first.
        aside = sorted(found, key=lambda record: int(record["seq"]))
        assert [record["reason"] for record in aside] == ["not JSON", "unknown kind", "not JSON", "not JSON"]
        assert aside[0]["raw_digest"] == hashlib.sha256(b"not json, with a secret").hexdigest()
        assert (await ledger.head(), await ledger.quarantined()) == (8, 4)
        assert await redis.xlen(keys.OUTBOX) == 0
    warned = [log for log in logs if log["event"] == "recorder.quarantined"]
    assert [log["reason"] for log in warned] == ["not JSON", "unknown kind", "not JSON", "not JSON"]
    assert "secret" not in json.dumps(logs)


async def test_nothing_but_garbage(ledger_url: str, redis: ArqRedis) -> None:
    """A batch of nothing but garbage moves the cursor on; the chain says what was put aside."""
    await put(redis, [b"one", b"two"])
    async with recording(ledger_url, redis) as (recorder, ledger):
        assert await recorder.drain() == 2
        assert await recorder.drain() == 0
        assert (await ledger.head(), await ledger.quarantined()) == (2, 2)


async def test_oddest_records_are_stored(ledger_url: str, redis: ArqRedis) -> None:
    """The longest texts and the largest numbers that are let in do fit into the database and its indexes."""
    odd: list[Wire] = [
        final("\N{PILE OF POO}" * 256, batch_id="b\0" + "\N{EURO SIGN}" * 300, custom_id="c" * 1024, served_model="\0"),
        finished("j" * 1024, tier="t" * 1024, model="m" * 1024, task_class="k" * 1024, fence=2**53 - 1),
        started("j" * 1024, tier="t" * 1024, model="m" * 1024, task_class="k" * 1024, attempt=2**53 - 1),
    ]
    await put(redis, odd)
    async with recording(ledger_url, redis) as (recorder, ledger):
        assert await recorder.drain() == 3
        assert (await ledger.head(), await ledger.quarantined()) == (3, 0)


async def test_new_redis_is_a_new_source(ledger_url: str, redis: ArqRedis) -> None:
    """After Redis was wiped its outbox is read from the start, even where its ids are lower; numbers go on."""
    await put(redis, jobs(5))
    async with recording(ledger_url, redis) as (recorder, ledger):
        await recorder.drain()
        await redis.flushall()
        for number in (6, 7):
            record = accepted(f"job-{number}").model_dump_json()
            await redis.xadd(keys.OUTBOX, {"at": 1, "record": record}, id=f"{number}-0")
        with capture_logs() as logs:
            assert await recorder.drain() == 2
        assert "recorder.source_changed" in [log["event"] for log in logs]
        assert await told(ledger) == in_order(7)


async def test_wiped_between_two_commands(ledger_url: str, redis: ArqRedis) -> None:
    """Entries read from a Redis that is wiped in the same moment are not recorded under the wrong name."""
    await put(redis, jobs(5))
    async with recording(ledger_url, redis) as (recorder, ledger):
        outbox: Any = recorder._outbox
        reading = outbox.read

        async def wiped(*arguments: Any, **options: Any) -> Any:
            entries = await reading(*arguments, **options)
            outbox.read = reading
            await redis.flushall()
            await put(redis, jobs(5))
            return entries

        outbox.read = wiped
        await recorder.drain()
        assert await told(ledger) == in_order(5)


async def test_full_redis_is_emptied(ledger_url: str, redis: ArqRedis) -> None:
    """A Redis above its memory limit takes no writes, yet the recorder starts, records and so makes room."""
    await put(redis, jobs(50))
    await Outbox(redis).source()
    await redis.config_set("maxmemory", 1)
    async with recording(ledger_url, redis) as (recorder, ledger):
        assert await recorder.drain() == 50
        assert await told(ledger) == in_order(50)
    assert await redis.xlen(keys.OUTBOX) == 0


async def test_two_redises_one_ledger(ledger_url: str, redis: ArqRedis) -> None:
    """Each outbox has its own place in the ledger: one that is recorded does not move the other's cursor."""
    await put(redis, jobs(3))
    async with recording(ledger_url, redis) as (recorder, ledger):
        await recorder.drain()
        own = await Outbox(redis).source()
        assert await ledger.cursor("another") == "0-0"
        assert await ledger.cursor(own) != "0-0"
