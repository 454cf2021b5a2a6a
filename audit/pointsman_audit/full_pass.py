"""One pass of the reconciler over everything, now, for somebody who waits for it."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from pointsman_queue import START, Turn, entry_order, redis_errors

from .errors import ReconcilerHindered
from .ledger import Ledger
from .lost_work import knows_others
from .moment import Clock, utc_now
from .stranded_jobs import Tell
from .sweep import Suspects, Sweep, Yard

_LOOK_S = 0.1
PATIENCE_S = 60.0
"""How long is waited for another reconciler, and for the ledger."""

Sleep = Callable[[float], Coroutine[Any, Any, None]]


class FullPass:
    """Looks at every open job and at every ended one, twice where need be, and sets right what is lost.

    A recorder must be at work: what it has not recorded yet is not known to be lost.
    """

    def __init__(
        self,
        ledger: Ledger,
        yard: Yard,
        tell: Tell,
        *,
        dry_run: bool = False,
        clock: Clock = utc_now,
        sleep: Sleep = asyncio.sleep,
        patience_s: float = PATIENCE_S,
        looked: Callable[[int], object] = lambda count: None,
    ) -> None:
        """Begin nothing yet.

        Args:
            ledger: the line's.
            yard: what is worked with.
            tell: is told of everything found.
            dry_run: change nothing.
            clock: tells how old a job is.
            sleep: waits for others.
            patience_s: how long, at most.
            looked: told how many open jobs have been looked at.
        """
        self._ledger = ledger
        self._yard = yard
        self._dry_run = dry_run
        self._sleep = sleep
        self._patience_s = patience_s
        self._looked = looked
        self._sweep = Sweep(ledger, yard, clock, tell, dry_run=dry_run)

    async def run(self) -> int:
        """Look at everything once.

        Returns:
            How many leases were returned; of a dry run, how many would have been.

        Raises:
            ReconcilerHindered: another reconciler was at work all the time; the ledger did not come to record what is
                in Redis; or it has never recorded this one, but another.
            ServiceUnavailable: Redis or the ledger does not answer, or Redis takes no jobs.
        """
        with redis_errors():
            source = await self._yard.outbox.source()
        if not self._dry_run:
            await self._insist_known(source)
        await self._take_turn()
        try:
            returned = await self._leases()
            while not (self._sweep.through and self._sweep.scanned):
                suspects = await self._sweep.look(source, scan=not self._sweep.scanned)
                if suspects is not None:
                    await self._recorded(suspects)
                    await self._sweep.settle(suspects)
                self._looked(self._sweep.looked)
                await self._keep_turn()
        finally:
            await self._yard.turn.release()
        return returned

    async def _insist_known(self, source: str) -> None:
        if await self._ledger.cursor(source) != START:
            return
        async with self._ledger.reading() as connection:
            if await knows_others(connection, source):
                raise ReconcilerHindered(
                    "the ledger has never recorded this Redis, but another one; see that it is the right one, "
                    "then start `pointsman recorder`, or look with --dry-run"
                )

    async def _take_turn(self) -> None:
        until = time.monotonic() + self._patience_s
        while await self._yard.turn.take() is Turn.OTHERS:
            if time.monotonic() >= until:
                raise ReconcilerHindered("another reconciler is at work; wait until it is through, and try again")
            await self._sleep(_LOOK_S)

    async def _keep_turn(self) -> None:
        if await self._yard.turn.take() is not Turn.KEPT:
            raise ReconcilerHindered("another reconciler has taken over; try again")

    async def _recorded(self, suspects: Suspects) -> None:
        """Wait until the ledger has what was in the outbox."""
        until = time.monotonic() + self._patience_s
        while entry_order(await self._ledger.cursor(suspects.source)) < entry_order(suspects.mark):
            if time.monotonic() >= until:
                raise ReconcilerHindered(
                    "the ledger does not have all that Redis tells; see that `pointsman recorder` runs, and try again"
                )
            await self._keep_turn()
            await self._sleep(_LOOK_S)

    async def _leases(self) -> int:
        leases = self._yard.leases
        if leases is None:
            return 0
        return sum((await leases.count()).values()) if self._dry_run else await leases.give_back()
