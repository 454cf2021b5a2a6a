"""Waiting for the ledger: whether it has committed what a producer wrote to the outbox."""

import asyncio

from pointsman_queue import START, Standing, entry_order
from pointsman_routes import ServiceUnavailable

from .intake import Intake

TIMEOUT_S = 60.0
LOOK_S = 0.05
"""Between two looks of a producer; all that wait in it share them."""


class LedgerWatch:
    """Looks how far the ledger is, for everything in one producer that waits for it.

    A recorder tells in Redis how far it has committed, in the order of the outbox. What was written is committed once
    that mark has come to its end, if Redis is still in the life it was in before: a mark that comes to it in another
    life says nothing of entries that were lost in between.

    Weakness: entries that somebody deletes from the outbox by hand are taken for committed once later ones are.
    """

    def __init__(self, intake: Intake, *, timeout_s: float = TIMEOUT_S, look_s: float = LOOK_S) -> None:
        """Watch the ledger behind a queue.

        Args:
            intake: the queue.
            timeout_s: longest that something waits.
            look_s: between two looks.
        """
        self.timeout_s = timeout_s
        self._intake = intake
        self._look_s = look_s
        self._coming: asyncio.Future[Standing | None] | None = None
        self._trouble: ServiceUnavailable | None = None

    async def committed(self, life: str, until: float) -> bool:
        """Wait until the ledger has committed all that is in the outbox at this moment.

        Args:
            life: of Redis, seen before the entries were written.
            until: when to give up, by the event loop's clock.

        Returns:
            False when Redis has begun another life: the entries may be lost.

        Raises:
            TimeoutError: the ledger has not come so far.
            ServiceUnavailable: Redis is away, and the time is over.
        """
        clock = asyncio.get_running_loop().time
        written: str | None = None
        while True:
            # First a look of its own: one that others wait for may have begun before the last entry was written.
            seen = await (self._look() if written is None else self._next_look())
            if seen is not None and seen.life == life:
                written = written or seen.written
                if reached(seen, written):
                    return True
            if clock() >= until:
                raise self._trouble or TimeoutError
            if seen is None:
                await asyncio.sleep(self._look_s)
            elif seen.life != life:
                return False

    async def _next_look(self) -> Standing | None:
        """One look for all who wait for one."""
        if self._coming is not None:
            return await asyncio.shield(self._coming)
        self._coming = coming = asyncio.get_running_loop().create_future()
        seen = None
        try:
            await asyncio.sleep(self._look_s)
            seen = await self._look()
        finally:
            # Also when this waiter is cancelled: the others learn nothing and look themselves.
            self._coming = None
            coming.set_result(seen)
        return seen

    async def _look(self) -> Standing | None:
        """How far it is; None while Redis is away."""
        try:
            seen = await self._intake.standing()
        except ServiceUnavailable as trouble:
            self._trouble = trouble
            return None
        self._trouble = None
        return seen


def reached(standing: Standing, entry_id: str) -> bool:
    """Whether the ledger has committed an entry. Where nothing was ever written there is nothing it could have."""
    return entry_id != START and entry_order(standing.recorded) >= entry_order(entry_id)
