"""Settling in batches: settlements that come up while one call is under way go together in the next."""

import asyncio
from dataclasses import dataclass, field

import structlog

from pointsman_queue import Settlement, TierQueue
from pointsman_routes import ServiceUnavailable

_MOST = 50
"""Settlements in one call; the server does nothing else meanwhile."""
_RETRY_S = (0.1, 0.2, 0.5, 1.0)

log = structlog.get_logger()


@dataclass(slots=True)
class _Waiting:
    settlement: Settlement
    written: "asyncio.Future[bool]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Settler:
    """Hands settlements to the queue, through any outage of Redis, and tells each caller whether it was written."""

    def __init__(self, queue: TierQueue) -> None:
        self._queue = queue
        self._waiting: list[_Waiting] = []
        self._work = asyncio.Event()

    async def settle(self, settlement: Settlement) -> bool:
        """Settle one attempt.

        Returns:
            Whether it was written; False when the lease was lost before.

        Raises:
            Exception: it cannot be written at all; the lease runs out.
        """
        entry = _Waiting(settlement)
        self._waiting.append(entry)
        self._work.set()
        return await entry.written

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            while self._waiting:
                batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
                await self._deliver(batch)

    async def _deliver(self, batch: list[_Waiting]) -> None:
        try:
            written = await self._write([entry.settlement for entry in batch])
        except Exception as error:  # one settlement that cannot be written must not keep back the others
            if len(batch) > 1:
                for entry in batch:
                    await self._deliver([entry])
                return
            log.exception("worker.settle_failed", job_id=batch[0].settlement.lease.job_id)
            if not batch[0].written.done():
                batch[0].written.set_exception(error)
            return
        for entry, done in zip(batch, written, strict=True):
            if not entry.written.done():
                entry.written.set_result(done)

    async def _write(self, settlements: list[Settlement]) -> list[bool]:
        tries = 0
        while True:
            try:
                return await self._queue.settle(settlements)
            except ServiceUnavailable as error:
                if tries == 0:
                    log.warning("worker.settle_waits", error=str(error), settlements=len(settlements))
                await asyncio.sleep(_RETRY_S[min(tries, len(_RETRY_S) - 1)])
                tries += 1
