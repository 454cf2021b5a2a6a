"""The worker process: arq's life cycle and signals around claims that are woken, batched and fenced.

What is overridden, and why: arq polls, leases for the longest job's time, re-runs what a frozen worker still
holds, and ends when Redis is away. Here a worker sleeps until it is woken or the next token is there, renews
short leases, settles under a fence, and waits for Redis.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from signal import Signals
from typing import Any

import structlog
from arq import ArqRedis, Worker
from arq.worker import func

from pointsman_queue import FUNCTION, HEARTBEAT_S, LEASE_S, Claim, Lease, TierProfile, TierQueue, WakeUps
from pointsman_routes import MAX_RECOVERIES, Evidence, ServiceUnavailable, Unknown

from .dispatch import Dispatcher
from .report import Report
from .settler import Settler
from .stopwatch import Nanoseconds, Stopwatch

SWEEP_S = 5.0
"""How often a worker also tidies the tiers of others: lost leases, deadlines, closed tiers without a worker."""
IDLE_S = 5.0
"""Longest sleep of an idle worker; a wake-up may have been lost with a connection."""
_CLAIM_MOST = 50
"""Jobs of one claim: enough to share its cost, few enough that Redis works on the next while these are called."""
_SETTLERS = 2
"""Settling calls under way at once: one that Redis works on, one that is being written."""
_GIVE_BACK_S = 10.0
"""Longest wait for leases to be given back at the end."""
_OUTAGE_S = (0.1, 0.2, 0.5, 1.0)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPlan:
    """What a worker serves."""

    profiles: Mapping[str, TierProfile]
    """Tiers it is bound to, by name."""
    slots: Mapping[str, int]
    """Calls it may have in flight at once, by tier."""
    others: tuple[TierProfile, ...] = ()
    """Tiers it only tidies."""
    removed: Callable[[str], TierProfile | None] | None = None
    """The profile of a tier that is no longer configured; None for one that is."""
    grace: timedelta = timedelta(seconds=30)
    """How long running calls may go on after a signal."""
    burst: bool = False
    """End once nothing is left to do."""


async def _dispatched_elsewhere(ctx: dict[object, object]) -> None:
    """Registered for arq, which wants a function; jobs go through `TierWorker.run_job`."""


def _cut_off(why: str, watch: Stopwatch) -> Report:
    """Of a call that was under way: it may have been billed."""
    return Report(outcome=Unknown(detail=why), evidence=Evidence(), duration_us=watch.elapsed_us)


def _never_called() -> Report:
    """Of a call that had been claimed when its tier was switched off."""
    return Report(outcome=Unknown(detail="switched off before the call"), evidence=Evidence(), called=False)


class TierWorker(Worker):
    """A worker bound to some tiers."""

    def __init__(
        self,
        plan: WorkerPlan,
        *,
        redis: ArqRedis,
        queue: TierQueue,
        dispatcher: Dispatcher,
        settler: Settler,
        worker_id: str,
        handle_signals: bool = True,
        clock: Nanoseconds = time.perf_counter_ns,
    ) -> None:
        super().__init__(
            functions=[func(_dispatched_elsewhere, name=FUNCTION)],
            queue_name=",".join(plan.profiles),
            redis_pool=redis,
            burst=plan.burst,
            max_jobs=sum(plan.slots.values()),
            job_completion_wait=max(1, int(plan.grace.total_seconds())),
            handle_signals=handle_signals,
        )
        self.plan = plan
        self.worker_id = worker_id
        self.stopping = asyncio.Event()
        self.crashed = False
        """Whether it ended by itself, for a defect."""
        self.jobs_withdrawn = 0
        """Taken away from a tier that was switched off, claimed or under way."""
        self._queue = queue
        self._dispatcher = dispatcher
        self._settler = settler
        self._clock = clock
        self._wakeups = WakeUps(redis, tuple(plan.profiles))
        self._leases: dict[str, Lease] = {}
        self._lost: set[str] = set()
        self._cut: set[str] = set()
        self._settling: dict[str, asyncio.Task[None]] = {}
        """Tasks whose call has ended, by fence. Who cancels goes through `tasks`, and these are no longer there."""
        self._busy: Counter[str] = Counter()
        self._services: list[asyncio.Task[None]] = []
        self._swept = 0.0 if plan.burst else time.monotonic()
        self._outages = 0

    async def main(self) -> None:
        """Claim and run jobs until a signal, or in burst mode until nothing is left."""
        log.info("worker.started", worker=self.worker_id, tiers=list(self.plan.profiles))
        settling = [self._settler.run() for _ in range(_SETTLERS)]
        for service in (*settling, self._wakeups.listen(), self._beat()):
            self._services.append(self.loop.create_task(self._serve(service)))
        while self.allow_pick_jobs:
            self._wakeups.event.clear()
            await self._poll_iteration()
            if self.burst and await self._nothing_left():
                return
            await self._sleep()
        await asyncio.Event().wait()  # arq ends this task when the running jobs are done

    async def _serve(self, service: Coroutine[Any, Any, None]) -> None:
        """Run a service. A worker without its heartbeat or its settler must not go on claiming."""
        try:
            await service
        except Exception:  # whatever it is, the supervisor starts a sound worker
            log.exception("worker.service_crashed", worker=self.worker_id)
            self.crashed = True
            if self.main_task is not None:
                self.main_task.cancel()

    async def _poll_iteration(self) -> None:
        """Claim once for every tier, and start what was given."""
        self._sleep_s = IDLE_S
        try:
            for name, profile in self.plan.profiles.items():
                await self._claim(profile, self.plan.slots[name] - self._busy[name])
            if time.monotonic() - self._swept > SWEEP_S:
                await self._sweep()
                self._swept = time.monotonic()
        except ServiceUnavailable as error:
            if self._outages == 0:
                log.warning("worker.redis_down", error=str(error))
            self._sleep_s = _OUTAGE_S[min(self._outages, len(_OUTAGE_S) - 1)]
            self._outages += 1
            self._swept = time.monotonic()  # the workers of the others come back too
        else:
            if self._outages:
                log.info("worker.redis_back")
            self._outages = 0

    async def _sweep(self) -> None:
        """Tidy the tiers nobody here serves; jobs of a tier that is gone from the configuration move on."""
        profiles = list(self.plan.others)
        if self.plan.removed is not None:
            found = [self.plan.removed(name) for name in sorted(await self._queue.tiers_ever())]
            profiles += [profile for profile in found if profile is not None]
        for profile in profiles:
            await self._claim(profile, 0)

    async def _claim(self, profile: TierProfile, limit: int) -> None:
        own = profile.tier in self.plan.profiles
        if own and limit <= 0:
            return  # a slot that frees itself wakes the loop
        limit = min(limit, _CLAIM_MOST)
        times_off = self.times_off(profile.tier)
        claim = await self._queue.claim(profile, limit, poison=MAX_RECOVERIES)
        for lease in claim.leases:
            self._start(lease, profile.tier, times_off)
        if claim.handed:
            await self._relocate(claim)
        if own:
            more = bool(claim.handed) or len(claim.leases) == limit
            wait_s = 0.0 if more else claim.wait_ms / 1000 if claim.wait_ms is not None else IDLE_S
            self._sleep_s = min(self._sleep_s, wait_s)

    async def _relocate(self, claim: Claim) -> None:
        for lease in claim.handed:
            self._leases[lease.fence] = lease
        try:
            await self._dispatcher.relocate(claim.handed)
        finally:
            for lease in claim.handed:
                self._leases.pop(lease.fence, None)

    def _start(self, lease: Lease, tier: str, times_off: int) -> None:
        self._leases[lease.fence] = lease
        self._busy[tier] += 1
        task = self.loop.create_task(self.run_job(lease.fence, times_off))
        self.tasks[lease.fence] = task

    async def run_job(self, job_id: str, score: int) -> None:
        """Carry one lease through the pipeline.

        Args:
            job_id: the lease's fence; a job can be here twice when its first lease was lost.
            score: how often its tier was known to have been switched off when it was claimed; arq's signature.
        """
        lease = self._leases[job_id]
        watch = Stopwatch(self._clock)
        try:
            if self.times_off(lease.tier) != score:
                await self._dispatcher.withdraw(lease, _never_called())
                self.jobs_withdrawn += 1
            elif await self._dispatcher.run(lease, partial(self._call_ended, job_id)):
                self.jobs_complete += 1
        except asyncio.CancelledError:
            if job_id in self._settling:
                raise  # only the end of the process comes here; the lease runs out
            if job_id in self._cut:
                await self._dispatcher.withdraw(lease, _cut_off("an operator cut the call off", watch))
                self.jobs_withdrawn += 1
            elif job_id not in self._lost:
                await self._give_back(lease, watch)
        except Exception:  # one job's error must not end the worker; its lease runs out and the job is recovered
            self.jobs_failed += 1
            log.exception("worker.job_crashed", job_id=lease.job_id, tier=lease.tier)
        finally:
            self._lost.discard(job_id)
            self._cut.discard(job_id)
            self._leases.pop(job_id, None)
            self.tasks.pop(job_id, None)
            self._settling.pop(job_id, None)
            self._busy[lease.tier] -= 1
            self._wakeups.event.set()

    def _call_ended(self, fence: str) -> None:
        task = self.tasks.pop(fence, None)
        if task is not None:
            self._settling[fence] = task

    async def _give_back(self, lease: Lease, watch: Stopwatch) -> None:
        await self._dispatcher.give_back(lease, _cut_off("the worker was stopped during the call", watch))
        self.jobs_retried += 1

    async def _sleep(self) -> None:
        if self._sleep_s <= 0 and self._has_room():
            await asyncio.sleep(0)  # let the jobs just started reach their calls
            return
        timeout = max(self._sleep_s, 0.001) if self._has_room() else IDLE_S
        try:
            async with asyncio.timeout(timeout):
                await self._wakeups.event.wait()
        except TimeoutError:
            return

    def _has_room(self) -> bool:
        return any(self._busy[tier] < slots for tier, slots in self.plan.slots.items())

    async def _nothing_left(self) -> bool:
        return not self.tasks and not self._settling and self._sleep_s >= IDLE_S

    async def _beat(self) -> None:
        """Renew every lease, until cancelled: every few seconds, and at once when an operator aborts calls.

        A lost lease ends its call, whose answer could not be delivered any more.
        """
        while True:
            pause = HEARTBEAT_S
            tiers = () if self.stopping.is_set() else tuple(self.plan.profiles)
            self._wakeups.aborted.clear()
            try:
                found = await self._queue.renew(
                    tuple(self._leases.values()), self._health(), believed_s=LEASE_S, tiers=tiers
                )
            except ServiceUnavailable:
                pause = 1.0
            else:
                self._end(found.lost, self._lost)
                self._end(found.cut, self._cut)
            try:
                async with asyncio.timeout(pause):
                    await self._wakeups.aborted.wait()
            except TimeoutError:
                continue

    def _end(self, fences: frozenset[str], ended: set[str]) -> None:
        for fence in fences:
            task = self.tasks.get(fence)
            if task is not None and fence not in ended:
                ended.add(fence)
                task.cancel()

    def _health(self) -> str:
        return json.dumps(
            {
                "tiers": {tier: self._busy[tier] for tier in self.plan.profiles},
                "slots": dict(self.plan.slots),
                "done": self.jobs_complete,
                "given_back": self.jobs_retried,
                "crashed": self.jobs_failed,
            }
        )

    async def record_health(self) -> None:
        """The heartbeat writes a key per worker instead."""

    def handle_sig_wait_for_completion(self, signum: Signals) -> None:
        """Claim nothing more, let running calls end within the grace time, then give the rest back."""
        self.stopping.set()
        super().handle_sig_wait_for_completion(signum)
        self._wakeups.event.set()

    def times_off(self, tier: str) -> int:
        """How often the tier was switched off, as far as this worker has heard."""
        return self._wakeups.times_off(tier)

    async def listening(self) -> None:
        """Wait until wake-ups can arrive."""
        await self._wakeups.subscribed.wait()

    async def stop_services(self) -> None:
        """End the heartbeat, the wake-ups and the settler; running jobs must have ended."""
        for service in self._services:
            service.cancel()
        await asyncio.gather(*self._services, return_exceptions=True)

    async def close(self) -> None:
        """Give back what is still running, write what is still to be settled, and leave the list of the living."""
        for task in tuple(self.tasks.values()):
            task.cancel()
        if running := {*self.tasks.values(), *self._settling.values()}:
            # Without Redis nothing can be given back; the leases run out and the jobs come back by themselves.
            await asyncio.wait(running, timeout=_GIVE_BACK_S)
        await self.stop_services()
        try:
            await self._queue.retire()
        except ServiceUnavailable:
            log.warning("worker.not_retired", worker=self.worker_id)
        log.info("worker.stopped", worker=self.worker_id, done=self.jobs_complete, given_back=self.jobs_retried)
        if self._pool is not None:
            await self._pool.aclose(close_connection_pool=True)
            self._pool = None
