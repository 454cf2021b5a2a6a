"""Records on their way to the outbox, while whoever wrote them goes on."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from pointsman_queue import Outbox
from pointsman_routes import Record, ServiceUnavailable

_PAUSE_S = 1.0
_LAST_S = 5.0

log = structlog.get_logger()


class RecordPost:
    """Takes records at once, and brings them to the outbox one after the other, as soon as Redis takes them.

    Memory: every record that has not got through.

    Weakness: one whose answer was lost is written twice. Those that a process still has when it ends while Redis is
    away are lost, which is logged; those of a killed one are lost in silence.
    """

    def __init__(self, *, pause_s: float = _PAUSE_S, last_s: float = _LAST_S) -> None:
        """Begin with nothing.

        Args:
            pause_s: between two tries.
            last_s: for what is still here at the end.
        """
        self._pause_s = pause_s
        self._last_s = last_s
        self._pending: deque[Record] = deque()
        self._news = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    def post(self, record: Record) -> None:
        """Take a record; never waits."""
        self._pending.append(record)
        self._empty.clear()
        self._news.set()

    @asynccontextmanager
    async def bound_for(self, outbox: Outbox) -> AsyncIterator[None]:
        """Bring what is posted to an outbox; at the end of the `async with` what is left, if that is soon done."""
        task = asyncio.create_task(self._bring(outbox))
        try:
            yield
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._last_s):
                    await self._empty.wait()
            for record in self._pending:
                log.error("post.record_lost", name=record.kind.value, reason="Redis did not take it")
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _bring(self, outbox: Outbox) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._pending:
                if await self._brought(outbox, self._pending[0]):
                    self._pending.popleft()
                else:
                    await asyncio.sleep(self._pause_s)
            self._empty.set()

    async def _brought(self, outbox: Outbox, record: Record) -> bool:
        try:
            await outbox.append(record)
        except ServiceUnavailable as trouble:
            log.warning("post.record_waits", name=record.kind.value, error=str(trouble))
            return False
        return True
