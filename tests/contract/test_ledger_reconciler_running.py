"""The reconciler inside running recorders: what was acknowledged comes to one end, whatever Redis loses meanwhile."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from arq import ArqRedis
from queue_cases import make_job
from reconciler_house import KEEP, STRICT, House, Time, make_yard, open_house
from recorder_parts import Killed

from pointsman_audit import Ledger, Reconciler, Recorder
from pointsman_producer import Backoff, Producer
from pointsman_queue import JobQueue, Outbox

_FASTER = 100
"""Seconds of the reconciler's clock in a real one."""


def _hurried() -> float:
    return time.monotonic() * _FASTER


@asynccontextmanager
async def _recording(redis: ArqRedis, ledger: Ledger, house: House, names: str) -> AsyncIterator[list[Reconciler]]:
    """Recorders at work, one for each letter, each with its reconciler; none of them may fail."""
    reconcilers = [
        Reconciler(ledger, make_yard(redis, name, house.table), clock=Time().wall, monotonic=_hurried) for name in names
    ]
    recorders = [Recorder(Outbox(redis), ledger, duties=[reconciler]) for reconciler in reconcilers]
    tasks = [asyncio.create_task(recorder.run()) for recorder in recorders]
    try:
        yield reconcilers
    finally:
        for recorder in recorders:
            recorder.stop()
        async with asyncio.timeout(60):
            await asyncio.gather(*tasks)


async def _until(reached: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await reached():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("names", ["a", "ab"])
async def test_acknowledged_and_lost(redis: ArqRedis, ledger_url: str, names: str) -> None:
    """A strict job that was acknowledged is answered though Redis lost everything, and has exactly one final record."""
    async with open_house(redis, ledger_url) as house, _recording(redis, house.ledger, house, names) as reconcilers:
        producer = Producer(
            JobQueue(redis, keep_results=KEEP), house.table, backoff=Backoff(first_s=0.01, most_s=0.05, tries=1000)
        )
        jobs = [make_job(f"j-{number}").model_copy(update={"task_class": STRICT}) for number in range(30)]
        receipts = await producer.submit(jobs, batch_id="batch")
        await redis.flushall()

        async def all_over() -> bool:
            await house.work()
            return len(await house.finals()) == len(jobs)

        await _until(all_over)
        assert await house.finals() == {receipt.job_id: 1 for receipt in receipts}
        assert sum(reconciler.counts.redriven for reconciler in reconcilers) == len(jobs)
        assert await house.batch() == (30, 30)


async def test_a_reconciler_that_dies(redis: ArqRedis, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between taking a half-lost job out and taking it in again, nothing is lost: the next takes it in."""
    async with open_house(redis, ledger_url) as house:
        await house.submit("j-0", "j-1")
        await house.record()
        for name in await redis.keys("arq:queue:*"):
            await redis.delete(name)

        async def die(*_: object) -> None:
            raise Killed

        with monkeypatch.context() as patched:
            patched.setattr(JobQueue, "enqueue", die)
            with pytest.raises(Killed):
                await house.attend()
        await redis.delete("pointsman:reconciler")
        assert await redis.keys("pointsman:job:*") == []
        await house.reconcile()
        await house.work()
        await house.reconcile()
        assert set((await house.finals()).values()) == {1}
        assert await house.batch() == (2, 2)
