"""The life of a job in a worker: ask, judge, settle."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from pointsman_queue import Lease, Openings, Settlement, Switchboard
from pointsman_routes import (
    Decision,
    Evidence,
    Fail,
    Hold,
    Job,
    Move,
    Ok,
    Reason,
    ServiceUnavailable,
    Standing,
    Step,
    TaskClass,
    Transient,
    Unsupported,
    Wait,
    decide,
    forbidden,
    relocate,
)

from .office import Office
from .report import Report
from .settler import Settler
from .settling import settle_call, settle_handed
from .stopwatch import Nanoseconds, Stopwatch
from .unbroken import unbroken

_ENDINGS = {
    "expired": "the deadline passed before a tier could answer",
    "cancelled": "called off by an operator",
    "poison": "its worker died or froze in every attempt",
}
_REDIS_RETRY_S = 0.5
_NOT_ASKED = Openings(open=frozenset())
"""For a decision that sends the job nowhere."""

log = structlog.get_logger()


class VendorDesk(Protocol):
    """Where jobs are taken to vendors."""

    async def ask(self, tier: str, job: Job, max_tokens: int) -> Report:
        """Make one call; every way it can end is in the report, nothing is raised."""
        ...


class Dispatcher:
    """Carries leased jobs through ask, judge and settle."""

    def __init__(
        self,
        office: Office,
        desk: VendorDesk,
        settler: Settler,
        switchboard: Switchboard,
        *,
        jitter: Callable[[], float] = random.random,
        clock: Nanoseconds = time.perf_counter_ns,
    ) -> None:
        self._office = office
        self._desk = desk
        self._settler = settler
        self._switchboard = switchboard
        self._jitter = jitter
        self._clock = clock
        table = office.table
        self._reasons: dict[tuple[str, str], str | None] = {}
        self._walls = {
            name: frozenset(tier for tier in entry.route if forbidden(table, entry, tier) is not None)
            for name, entry in table.classes.items()
        }
        """By class the tiers of its route that may not serve it. In a table that was checked there are none."""

    async def run(self, lease: Lease, ended: Callable[[], object] = lambda: None) -> bool:
        """Make the call a job was leased for, and settle it.

        Args:
            lease: the job.
            ended: called when the call has ended. Until then cancelling cuts the call; from then on nobody may cancel,
                or what came of it is lost.

        Returns:
            Whether it was written; False when the lease was lost and the answer discarded.
        """
        report = await self._ask(lease)
        ended()
        decision = await self._judge(lease, report)
        return await self._settle(settle_call(self._office, lease, report, decision))

    async def relocate(self, handed: Sequence[Lease]) -> None:
        """Settle jobs that were handed over without a call: they go elsewhere, wait, or end."""
        table = self._office.table
        routes = {tier for lease in handed if (entry := table.classes.get(lease.task_class)) for tier in entry.route}
        openings = await self._openings(sorted(routes))
        settlements = [settle_handed(self._office, lease, self._next(lease, openings)) for lease in handed]
        await asyncio.gather(*(self._settle(settlement) for settlement in settlements))

    async def give_back(self, lease: Lease, report: Report) -> bool:
        """Return a job whose call was cut by the end of this worker; it costs the job nothing."""
        decision = Decision(step=Wait(seconds=0, reason=Reason.LEASE_LOST))
        return await unbroken(self._settle(settle_call(self._office, lease, report, decision)))

    async def withdraw(self, lease: Lease, report: Report) -> bool:
        """Take a job away from a tier that was switched off, its call not begun or cut; it costs the job nothing.

        The tier may have been switched on again meanwhile; then the job goes back into its queue.
        """
        return await unbroken(self._withdraw(lease, report))

    async def _withdraw(self, lease: Lease, report: Report) -> bool:
        task_class = self._office.table.classes.get(lease.task_class)
        if lease.job is None or task_class is None:
            step: Step = _unusable(lease, task_class)
        else:
            openings = await self._openings(task_class.route)
            step = Wait(seconds=0, reason=Reason.DISABLED)
            if lease.tier not in openings.open:
                step = relocate(self._standing(lease, task_class, openings), Reason.DISABLED)
        return await self._settle(settle_call(self._office, lease, report, Decision(step=step)))

    async def _ask(self, lease: Lease) -> Report:
        task_class = self._office.table.classes.get(lease.task_class)
        if lease.job is None or task_class is None:
            return _not_asked("not a job for this tier")
        # The claim lets none of these through. What leaves this house is worth a second look.
        reason = self._forbidden(task_class, lease.tier)
        if reason is not None:
            return _not_asked(reason)
        max_tokens = lease.job.max_tokens or task_class.max_tokens
        if lease.seconds_left > self._office.table.tiers[lease.tier].timeout.total_seconds():
            return await self._desk.ask(lease.tier, lease.job, max_tokens)
        watch = Stopwatch(self._clock)
        try:
            async with asyncio.timeout(lease.seconds_left):
                return await self._desk.ask(lease.tier, lease.job, max_tokens)
        except TimeoutError:
            late = Transient(detail="the deadline passed during the call", may_be_billed=True)
            return Report(outcome=late, evidence=Evidence(), duration_us=watch.elapsed_us)

    async def _judge(self, lease: Lease, report: Report) -> Decision:
        task_class = self._office.table.classes.get(lease.task_class)
        if lease.job is None or task_class is None:
            return Decision(step=_unusable(lease, task_class))
        if isinstance(report.outcome, Ok):
            return decide(self._standing(lease, task_class, _NOT_ASKED), report.outcome)
        openings = await self._openings(task_class.route)
        standing = self._standing(lease, task_class, openings)
        if self._forbidden(task_class, lease.tier) is not None:
            return Decision(step=relocate(standing, Reason.OFF_ROUTE))
        return decide(standing, report.outcome)

    async def _settle(self, settlement: Settlement) -> bool:
        written = await self._settler.settle(settlement)
        lease = settlement.lease
        if not written:
            log.warning("worker.lease_lost", job_id=lease.job_id, tier=lease.tier, fence=lease.fence)
        elif settlement.close_reason is not None:
            log.error("worker.tier_closed", tier=lease.tier, reason=settlement.close_reason, job_id=lease.job_id)
        elif settlement.step in ("move", "hold"):
            event = "worker.job_moved" if settlement.step == "move" else "worker.job_held"
            log.info(event, job_id=lease.job_id, tier=lease.tier, to=settlement.to)
        return written

    def _forbidden(self, task_class: TaskClass, tier: str) -> str | None:
        """Why the class may not be served by the tier; found once for each, since a table never changes."""
        key = (task_class.name, tier)
        if key not in self._reasons:
            self._reasons[key] = forbidden(self._office.table, task_class, tier)
        return self._reasons[key]

    def _next(self, lease: Lease, openings: Openings) -> Step:
        task_class = self._office.table.classes.get(lease.task_class)
        if lease.reason in _ENDINGS:
            return Fail(code=lease.reason, detail=_ENDINGS[lease.reason])
        if lease.job is None or task_class is None:
            return _unusable(lease, task_class)
        reason = Reason.named(lease.reason) or Reason.OFF_ROUTE
        standing = self._standing(lease, task_class, openings)
        if lease.better in openings.open & frozenset(task_class.route) - standing.barred:
            return Move(tier=lease.better, reason=reason)
        step = relocate(standing, reason)
        waited = reason in (Reason.RATE_LIMITED, Reason.UNSERVED)
        stays = lease.tier in frozenset(task_class.route) - standing.barred
        if waited and stays and isinstance(step, Hold | Fail):
            # Slow is better than not at all: the tier itself is open.
            return Wait(seconds=0, reason=reason)
        return step

    def _standing(self, lease: Lease, task_class: TaskClass, openings: Openings) -> Standing:
        return Standing(
            task_class=task_class,
            tier=lease.tier,
            open_tiers=openings.open,
            served=openings.served,
            barred=lease.barred | self._walls[lease.task_class],
            failures=lease.failures,
            tries_here=lease.tries_here,
            recoveries=lease.recoveries,
            refusals=lease.refusals,
            seconds_left=lease.seconds_left,
            jitter=self._jitter(),
        )

    async def _openings(self, tiers: Sequence[str]) -> Openings:
        """Ask until Redis answers: without it nothing can be settled either."""
        while True:
            try:
                return await self._switchboard.openings(self._office.table, tiers)
            except ServiceUnavailable:
                await asyncio.sleep(_REDIS_RETRY_S)


def _not_asked(why: str) -> Report:
    return Report(outcome=Unsupported(detail=why), evidence=Evidence(), called=False)


def _unusable(lease: Lease, task_class: TaskClass | None) -> Fail:
    if lease.job is None:
        return Fail(code="unreadable", detail="what Redis holds under this id is not a job")
    if task_class is None:
        return Fail(code="unknown_class", detail=f"the configuration has no class {lease.task_class!r} any more")
    return Fail(code="unusable", detail="the job cannot be used")
