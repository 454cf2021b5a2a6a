"""Recorders for tests: parts that break at a chosen step, and a wait that the test ends."""

import asyncio
from collections.abc import Callable
from typing import Any

from arq import ArqRedis
from sqlalchemy import event

from pointsman_audit import Batch, Head, Ledger, Recorder
from pointsman_queue import Outbox, OutboxEntry

STEPS = ("before_read", "after_read", "before_commit", "after_commit", "after_trim")


class Killed(BaseException):
    """The process dies here; nothing may catch it."""


class FatalPoint:
    """Dies at the n-th time it comes to a step."""

    def __init__(self, step: str, nth: int = 1) -> None:
        self.step = step
        self.left = nth

    def reach(self, step: str) -> None:
        """Come to a step."""
        if step == self.step:
            self.left -= 1
            if self.left == 0:
                raise Killed(step)


class FatalOutbox(Outbox):
    """An outbox around whose commands the recorder dies."""

    def __init__(self, redis: ArqRedis, point: FatalPoint) -> None:
        super().__init__(redis)
        self.point = point

    async def read(self, after: str, *, count: int, block_ms: int) -> list[OutboxEntry]:
        """Read."""
        self.point.reach("before_read")
        found = await super().read(after, count=min(count, 10), block_ms=block_ms)
        if found:
            self.point.reach("after_read")
        return found

    async def trim(self, committed: str) -> int:
        """Trim."""
        dropped = await super().trim(committed)
        self.point.reach("after_trim")
        return dropped


class FatalLedger(Ledger):
    """A ledger around whose commit the recorder dies."""

    def __init__(self, url: str, point: FatalPoint) -> None:
        super().__init__(url)
        self.point = point
        self.appending = False
        event.listen(self._engine.sync_engine, "commit", self._committing)

    def _committing(self, _: Any) -> None:
        if self.appending:
            self.point.reach("before_commit")

    async def append(self, batch: Batch) -> Head | None:
        """Append."""
        self.appending = True
        try:
            found = await super().append(batch)
        finally:
            self.appending = False
        self.point.reach("after_commit")
        return found


class Waits:
    """A sleep that lasts until the test lets it end, and remembers how long it was meant to last."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self._begun = asyncio.Condition()
        self._over = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        """Sleep."""
        self._over.clear()
        async with self._begun:
            self.asked.append(seconds)
            self._begun.notify_all()
        await self._over.wait()

    async def begun(self, times: int) -> None:
        """Wait until it has been slept so many times."""
        async with asyncio.timeout(60), self._begun:
            await self._begun.wait_for(lambda: len(self.asked) >= times)

    def end(self) -> None:
        """Let the sleeper go on."""
        self._over.set()


async def until(reached: Callable[[], bool]) -> None:
    """Wait for a condition; the test fails if it does not come about."""
    async with asyncio.timeout(60):
        while not reached():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.01)


async def until_recorded(recorder: Recorder, count: int, running: "asyncio.Task[None]") -> None:
    """Wait until a running recorder has committed so many entries."""
    await until(lambda: recorder.recorded >= count or running.done())
    if running.done():
        running.result()
    assert recorder.recorded >= count
