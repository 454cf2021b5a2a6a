"""The reconciler: brings Redis and the ledger together again where one of them has lost something."""

import time
from collections.abc import Callable
from dataclasses import replace

import structlog

from pointsman_queue import START, Turn, entry_order
from pointsman_routes import ServiceUnavailable

from .batch import Batch
from .chain import Head
from .ledger import Ledger
from .lost_work import knows_others
from .moment import Clock, utc_now
from .redriving import Act, Counts, Reconciled
from .sweep import Suspects, Sweep, Yard

log = structlog.get_logger()

EVERY_S = 10.0
"""Between the beginnings of two sweeps."""
STEP_S = 1.0
"""Between two pages of one."""
STRANGE_S = 60.0
"""How long a Redis that the ledger has never recorded is left alone, where it has recorded another."""
_MOST_LOGGED = 100_000
"""Jobs remembered in a process as having been logged."""

Monotonic = Callable[[], float]
"""Tells seconds that only go forward."""


class Reconciler:
    """Sees to it that every accepted job comes to an end that is recorded. A `Duty` of a recorder.

    Of several one works at a time, and only while its own recorder's ledger is up to date with Redis. Its troubles hold
    nothing up: they are logged and tried again.

    Weakness: a Redis that is not the line's own looks like one that has lost everything. A recorder that is pointed at
    it waits a minute, and then takes in there all that is open.
    """

    def __init__(
        self, ledger: Ledger, yard: Yard, *, clock: Clock = utc_now, monotonic: Monotonic = time.monotonic
    ) -> None:
        """Does nothing before the first `attend`.

        Args:
            ledger: the recorder's.
            yard: what it works with.
            clock: tells how old a job is.
            monotonic: tells when something is due.
        """
        self._ledger = ledger
        self._yard = yard
        self._monotonic = monotonic
        self._sweep = Sweep(ledger, yard, clock, self._tell)
        self._counts = Counts()
        self._source: str | None = None
        self._begun_here: set[str] = set()
        """Outboxes whose first entry this recorder has recorded."""
        self._suspects: Suspects | None = None
        self._due = 0.0
        self._chores_due = 0.0
        self._began: float | None = None
        """When the sweep under way was begun; None between two."""
        self._not_before = 0.0
        self._failing = False
        self._stranded_now = 0
        self._logged: set[str] = set()

    @property
    def counts(self) -> Counts:
        """What was found and done."""
        return self._counts

    async def committed(self, batch: Batch, head: Head) -> None:
        """A batch is in the ledger for good."""
        del head
        if batch.after == START:
            self._begun_here.add(batch.source)

    async def attend(self, source: str, cursor: str) -> None:
        """Go on with the sweep if it is time to."""
        now = self._monotonic()
        if now < self._due and source == self._source:
            return
        self._due = now + STEP_S
        try:
            await self._go_on(source, cursor, now)
        except ServiceUnavailable as trouble:
            self._due = now + EVERY_S
            if not self._failing:
                self._failing = True
                log.warning("reconciler.interrupted", error=str(trouble))
        else:
            self._failing = False

    async def close(self) -> None:
        """Let another reconciler have its turn."""
        try:
            await self._yard.turn.release()
        except ServiceUnavailable as trouble:
            # It ends by itself.
            log.warning("reconciler.turn_not_released", error=str(trouble))

    async def _go_on(self, source: str, cursor: str, now: float) -> None:
        if source != self._source:
            await self._meet(source, cursor, now)
        if now < self._not_before:
            return
        turn = await self._yard.turn.take()
        if turn is not Turn.KEPT:
            # What was seen before, another may have set right.
            self._suspects = None
        if turn is Turn.OTHERS:
            self._due = now + EVERY_S
            return
        if self._suspects is None:
            await self._look(source, now)
        await self._settle(cursor)
        if self._suspects is None and self._sweep.through:
            await self._finish(now)

    async def _meet(self, source: str, cursor: str, now: float) -> None:
        """Take note of an outbox; a strange one is left alone for a while."""
        new = cursor == START or source in self._begun_here
        async with self._ledger.reading() as connection:
            strange = new and await knows_others(connection, source)
        self._source, self._suspects, self._began = source, None, None
        self._sweep.begin_anew()
        if strange:
            self._not_before = now + STRANGE_S
            log.warning("reconciler.redis_is_new", source=source, wait_s=STRANGE_S)

    async def _look(self, source: str, now: float) -> None:
        if self._began is None:
            self._began, self._stranded_now = now, 0
            self._sweep.begin_anew()
        chores = now >= self._chores_due
        if chores:
            self._chores_due = now + EVERY_S
            await self._return_leases()
        self._suspects = await self._sweep.look(source, scan=chores)

    async def _return_leases(self) -> None:
        if self._yard.leases is not None and (returned := await self._yard.leases.give_back()):
            self._counts.returned += returned
            log.warning("reconciler.leases_returned", count=returned)

    async def _settle(self, cursor: str) -> None:
        suspects = self._suspects
        if suspects is not None and entry_order(cursor) >= entry_order(suspects.mark):
            before, stranded = replace(self._counts), self._stranded_now
            try:
                await self._sweep.settle(suspects)
            except ServiceUnavailable:
                # They are settled again, and told of again.
                self._stranded_now = stranded
                raise
            finally:
                self._log_done(before)
            self._suspects = None

    async def _finish(self, now: float) -> None:
        """All have been looked at."""
        self._counts.stranded = self._stranded_now
        self._due = max((self._began or now) + EVERY_S, now + STEP_S)
        self._began = None
        await self._yard.turn.release()

    def _tell(self, found: Reconciled) -> None:
        """Count what was found; what stays as it is is logged, once for each job."""
        if found.act is Act.REDRIVEN:
            self._counts.redriven += 1
        elif found.act is Act.REBUILT:
            self._counts.rebuilt += 1
        else:
            self._stranded_now += 1
            self._counts.stranded = max(self._counts.stranded, self._stranded_now)
            self._log_once(found)

    def _log_once(self, found: Reconciled) -> None:
        if found.job_id in self._logged or len(self._logged) >= _MOST_LOGGED:
            return
        self._logged.add(found.job_id)
        log.error(
            "reconciler.job_stranded",
            job_id=found.job_id,
            batch_id=found.batch_id,
            task_class=found.task_class,
            reason=found.reason,
        )

    def _log_done(self, before: Counts) -> None:
        """Which jobs they were, their records tell."""
        if redriven := self._counts.redriven - before.redriven:
            log.warning("reconciler.jobs_redriven", count=redriven)
        if rebuilt := self._counts.rebuilt - before.rebuilt:
            log.warning("reconciler.finals_rebuilt", count=rebuilt)
