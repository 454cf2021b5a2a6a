"""Settling in batches, through outages, each caller told what became of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from queue_cases import make_lease, settlement
from structlog.testing import capture_logs
from worker_cases import QueueThatKeeps

from pointsman_queue import Settlement
from pointsman_routes import ServiceUnavailable
from pointsman_worker import settler as settler_module
from pointsman_worker.settler import Settler


@asynccontextmanager
async def _working(queue: QueueThatKeeps) -> AsyncIterator[Settler]:
    settler = Settler(queue)
    task = asyncio.create_task(settler.run())
    try:
        async with asyncio.timeout(10):
            yield settler
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _endings(count: int) -> list[Settlement]:
    return [settlement(make_lease(job_id=f"job-{number}", fence=f"{number}"), "finish") for number in range(count)]


async def test_tells_each_caller() -> None:
    """Each caller learns whether its own settlement was written."""
    async with _working(QueueThatKeeps(stale=("1",))) as settler:
        assert await asyncio.gather(*(settler.settle(ending) for ending in _endings(3))) == [True, False, True]


async def test_batches() -> None:
    """Settlements that wait go together, in their order, fifty at most in one call."""
    queue = QueueThatKeeps()
    async with _working(queue) as settler:
        await asyncio.gather(*(settler.settle(ending) for ending in _endings(125)))
    assert [len(call) for call in queue.calls] == [50, 50, 25]
    assert [ending.lease.fence for ending in queue.settled] == [str(number) for number in range(125)]


async def test_waits_through_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """While Redis is away nothing is lost and nobody is told anything; it is logged once, and written afterwards."""
    monkeypatch.setattr(settler_module, "_RETRY_S", (0.0,))
    queue = QueueThatKeeps(*(ServiceUnavailable("away") for _ in range(7)))
    with capture_logs() as logs:
        async with _working(queue) as settler:
            assert await asyncio.gather(*(settler.settle(ending) for ending in _endings(3))) == [True] * 3
    assert [len(call) for call in queue.calls] == [3]
    assert [log["event"] for log in logs] == ["worker.settle_waits"]


async def test_one_that_cannot_be_written_harms_no_other() -> None:
    """A settlement that cannot be written at all is told to its caller; those beside it and after it are written."""
    first, second, third = _endings(3)

    class Choosy(QueueThatKeeps):
        async def settle(self, settlements: list[Settlement]) -> list[bool]:  # type: ignore[override]  # a narrower double
            if second in settlements:
                raise ValueError("not to be written")
            return await super().settle(settlements)

    queue = Choosy()
    with capture_logs() as logs:
        async with _working(queue) as settler:
            told = await asyncio.gather(
                *(settler.settle(ending) for ending in (first, second, third)), return_exceptions=True
            )
            assert await settler.settle(first)
    assert (told[0], told[2]) == (True, True)
    assert isinstance(told[1], ValueError)
    assert [(log["event"], log["job_id"]) for log in logs] == [("worker.settle_failed", "job-1")]


async def test_caller_that_is_gone() -> None:
    """A caller that was cancelled while it waited harms no other, and its settlement is written all the same."""
    queue = QueueThatKeeps()
    settler = Settler(queue)
    endings = _endings(2)
    gone, waits = (asyncio.create_task(settler.settle(ending)) for ending in endings)
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    task = asyncio.create_task(settler.run())
    async with asyncio.timeout(10):
        assert await waits
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert queue.settled == endings
