"""A plain model of the queue: one dictionary of jobs, a few numbers per gate. No sets, no scripts, no Redis.

It says what a claim must and may give, and what a settlement must do. How much the limits let through at a moment is
the limits' own matter: here it only has to be allowed, in order, and never nothing for ever; tests/limit_machine.py
holds it against what was configured and against vendors.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from queue_cases import POISON

from pointsman_queue import LEASE_S, Claim, Lease, Renewal, Settlement, TierProfile

LEASE_MS = int(LEASE_S * 1000)
_SLOT_MS, _SLOTS, _LEAST_CALLS = 10_000, 6, 10


@dataclass(kw_only=True)
class ModelJob:
    """Where a job stands."""

    job_id: str
    tier: str
    deadline: float
    spill_ms: int
    characters: int
    max_tokens: int
    spill_at: float
    state: str = "queued"
    cancelled: bool = False
    spills: bool = True
    """Whether its waiting time is watched."""
    due: float = 0
    waits: tuple[str, ...] = ()
    lease_ends: float = 0
    fence: str = ""
    called: bool = False
    estimate: tuple[int, int] = (0, 0)
    calls: int = 0
    recoveries: int = 0
    released: list[str] = field(default_factory=list)
    """Tiers that took it back after it was held."""

    @property
    def place(self) -> tuple[float, str]:
        """What it is ordered by in a queue, and among the held."""
        return (0 if self.cancelled else self.deadline, self.job_id)


@dataclass(kw_only=True)
class ModelGate:
    """What is known of a tier or provider."""

    disabled: bool = False
    aborted: bool = False
    served_until: float = 0
    closed_until: float = 0
    closed_reason: str = ""
    throttled_until: float = 0
    streak: int = 0
    calls: dict[int, list[int]] = field(default_factory=dict)
    """By slots of ten seconds: calls that went well, and that failed."""
    open_until: float | None = None
    opens: int = 0
    probe: tuple[str, str] | None = None
    """Job and fence."""
    since: int = 0
    """Fence of the probe that closed the breaker: calls from before it say nothing."""

    def shut(self, now: float) -> str | None:
        """Why no call passes."""
        if self.disabled:
            return "disabled"
        if self.closed_until < 0 or self.closed_until > now:
            return self.closed_reason
        return "breaker_open" if self.open_until is not None and self.open_until > now else None

    def serve(self, calls: int, now: int) -> None:
        """Hear that a worker asks for so many calls: it lives."""
        if calls and self.served_until < now + LEASE_MS / 2:
            self.served_until = now + LEASE_MS

    def judge(self, says: str, attempt: tuple[str, str], now: int, least_calls: int) -> None:
        """Hear what an attempt says of the tier's health."""
        if self.open_until is not None:
            if attempt == self.probe:
                self._judge_probe(says, int(attempt[1]), now)
            return
        if int(attempt[1]) <= self.since:
            return
        slot = now // _SLOT_MS
        self.calls = {at: counts for at, counts in self.calls.items() if at > slot - _SLOTS}
        if says != "none":
            self.calls.setdefault(slot, [0, 0])[says == "bad"] += 1
        good, bad = (sum(counts[way] for counts in self.calls.values()) for way in (0, 1))
        if says == "bad" and good + bad >= least_calls and bad >= good:
            self._open(1, now)
        if says == "good":
            self.streak = 0

    def _judge_probe(self, says: str, fence: int, now: int) -> None:
        self.probe = None
        if says == "good":
            self.open_until, self.opens, self.calls, self.since = None, 0, {}, fence
        elif says == "bad":
            self._open(self.opens + 1, now)

    def _open(self, opens: int, now: int) -> None:
        self.open_until, self.opens, self.calls = now + min(300_000, 10_000 * 2 ** (opens - 1)), opens, {}
        self.probe, self.since = None, 0


class QueueModel:
    """Jobs and gates under one clock."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.jobs: dict[str, ModelJob] = {}
        self.gates: dict[str, ModelGate] = {}
        self.least_calls: dict[str, int] = {}
        """That open the breaker of a tier, where it is not the usual number."""

    def gate(self, scope: str) -> ModelGate:
        """The gate of a tier or provider."""
        return self.gates.setdefault(scope, ModelGate())

    def at(self, state: str, tier: str | None = None) -> list[ModelJob]:
        """Jobs in a state, at a tier."""
        return [job for job in self.jobs.values() if job.state == state and tier in (None, job.tier)]

    def claim(self, profile: TierProfile, limit: int, claim: Claim) -> None:
        """Follow a claim, and fail if it gave what it must not, or kept back what it must give."""
        tier, handed = profile.tier, {lease.job_id: lease for lease in claim.handed}
        gate, account = self.gate(tier), self.gate(profile.provider)
        self._recover(tier)
        self._end_held(tier, handed)
        gate.serve(limit, self.now)
        reason = gate.shut(self.now) or account.shut(self.now)
        if reason:
            assert claim.leases == ()
            waiting = self._queue(tier)
            assert {job_id: lease.reason for job_id, lease in handed.items()} == {
                job.job_id: self._over(job) or reason for job in waiting
            }
            self._hand(waiting, handed)
            return
        self._check_unserved(profile, handed)
        if gate.open_until is not None:
            limit = min(limit, 0 if self._is_out(gate.probe) else 1)
        for job in sorted((job for job in self.at("held") if tier in job.waits), key=_place)[:limit]:
            job.tier, job.waits, job.spill_at = tier, (), self.now + job.spill_ms
            job.released.append(tier)
            self._requeue(job)
        queue = self._queue(tier)
        self._check_leases(profile, limit, queue, claim)
        for lease in claim.handed:
            job = self.jobs[lease.job_id]
            if self._over(job):
                assert lease.reason == self._over(job)
            else:
                self._check_spill(profile, job, lease)
        waits = [job for job in queue if job.job_id not in handed and job not in self._leased(claim)]
        assert not waits or len(claim.leases) == limit or claim.wait_ms is not None
        if claim.leases and gate.open_until is not None:
            first = claim.leases[0]
            gate.probe = (first.job_id, first.fence)
        for lease in claim.leases:
            job = self.jobs[lease.job_id]
            job.state, job.called, job.calls = "leased", True, job.calls + 1
            job.estimate = (lease.estimate_in, lease.estimate_out)
            job.lease_ends, job.spills = self.now + LEASE_MS, False
        self._hand([self.jobs[job_id] for job_id in handed], handed)

    def _is_out(self, probe: tuple[str, str] | None) -> bool:
        """Whether the call that probes still holds its lease."""
        if probe is None:
            return False
        job = self.jobs[probe[0]]
        return job.state == "leased" and job.called and job.fence == probe[1]

    def reserved(self, tiers: Iterable[str]) -> tuple[int, int, int]:
        """Calls in flight at some tiers, and the tokens reserved by them: of ended attempts nothing."""
        running = [job for tier in tiers for job in self.at("leased", tier) if job.called]
        return len(running), sum(job.estimate[0] for job in running), sum(job.estimate[1] for job in running)

    def _end_held(self, tier: str, handed: dict[str, Lease]) -> None:
        over = [job for job in self.at("held") if job.place[0] <= self.now]
        for job in over:
            assert handed.pop(job.job_id).reason == ("cancelled" if job.cancelled else "expired")
            job.tier, job.waits = tier, ()
            self._take(job)

    def _check_leases(self, profile: TierProfile, limit: int, queue: list[ModelJob], claim: Claim) -> None:
        """Only jobs that wait here, earliest deadline first; past one that must wait only where tokens are limited."""
        alive = [job for job in queue if not self._over(job)]
        given = self._leased(claim)
        assert len(given) <= limit
        assert given == [job for job in alive if job in given]
        if not any(name in limits for limits in (profile.limits, profile.account) for name in ("tpm", "itpm", "otpm")):
            assert given == alive[: len(given)]
        gates = (self.gate(profile.tier), self.gate(profile.provider))
        if max(gate.throttled_until for gate in gates) > self.now:
            assert given == []

    def _check_spill(self, profile: TierProfile, job: ModelJob, lease: Lease) -> None:
        """A job that would wait too long goes where jobs are taken; it was watched for that."""
        assert lease.reason == ("rate_limited" if self._served(profile.tier) else "unserved")
        assert job.spill_ms
        assert job.spills
        assert lease.better in profile.others["triage"]
        assert self._takes(lease.better)

    def _check_unserved(self, profile: TierProfile, handed: dict[str, Lease]) -> None:
        """Where no worker lives every job that has waited its time goes to a tier where one does, if there is any."""
        if not self._served(profile.tier) and any(self._takes(tier) for tier in profile.others["triage"]):
            queue = self._queue(profile.tier)
            late = {job.job_id for job in queue if job.spill_ms and job.spills and job.spill_at <= self.now}
            assert late <= handed.keys()

    def _served(self, tier: str) -> bool:
        return self.gate(tier).served_until > self.now

    def _takes(self, tier: str) -> bool:
        gates = (self.gate(tier), self.gate(tier.partition("/")[0]))
        return self._served(tier) and not any(gate.shut(self.now) for gate in gates)

    def _leased(self, claim: Claim) -> list[ModelJob]:
        return [self.jobs[lease.job_id] for lease in claim.leases]

    def _hand(self, jobs: Iterable[ModelJob], handed: dict[str, Lease]) -> None:
        for job in jobs:
            if job.job_id in handed:
                self._take(job)

    def _take(self, job: ModelJob) -> None:
        job.state, job.called, job.estimate = "leased", False, (0, 0)
        job.lease_ends, job.spills = self.now + LEASE_MS, False

    def settle(self, ending: Settlement) -> bool:
        """Settle, as `settle.lua` must."""
        lease, job = ending.lease, self.jobs[ending.lease.job_id]
        if job.state != "leased" or job.fence != lease.fence or (job.called and job.cancelled):
            return False
        gate = self.gate(lease.tier)
        if ending.throttle_ms is not None:
            self._throttle(gate, ending.throttle_ms)
        if ending.close_reason is not None:
            till = -1 if ending.close_ms is None else self.now + ending.close_ms
            if gate.closed_until >= 0 and (till < 0 or till >= gate.closed_until):
                gate.closed_until, gate.closed_reason = till, ending.close_reason
        says = "none" if not ending.called or ending.healthy is None else "good" if ending.healthy else "bad"
        gate.judge(says, (lease.job_id, lease.fence), self.now, self.least_calls.get(lease.tier, _LEAST_CALLS))
        self._step(ending, job, since=job.spill_at if job.called else self.now + job.spill_ms)
        job.called = False
        return True

    def renew(self, leases: Iterable[Lease], tiers: Iterable[str]) -> Renewal:
        """Renew, as a worker that serves some tiers."""
        lost, cut = set(), set()
        for tier in tiers:
            self.gate(tier).served_until = self.now + LEASE_MS
        for lease in leases:
            job = self.jobs[lease.job_id]
            if job.state == "leased" and job.fence == lease.fence and not job.cancelled:
                job.lease_ends = self.now + LEASE_MS
                if self.gate(lease.tier).aborted or self.gate(lease.tier.partition("/")[0]).aborted:
                    cut.add(lease.fence)
            else:
                lost.add(lease.fence)
        return Renewal(lost=frozenset(lost), cut=frozenset(cut))

    def cancel(self, job_id: str) -> None:
        """Call a job off."""
        job = self.jobs[job_id]
        if job.state in ("queued", "delayed", "held", "leased"):
            job.cancelled, job.lease_ends, job.spills = True, 0, False
            job.state = "queued" if job.state == "delayed" else job.state

    def enable(self, scope: str) -> None:
        """Undo a switch, a closing, an open breaker and a vendor's wait."""
        self.gates[scope] = ModelGate(served_until=self.gate(scope).served_until)

    def _recover(self, tier: str) -> None:
        for job in self.at("leased", tier):
            if job.lease_ends <= self.now:
                job.recoveries += job.called
                job.called = False
                self._requeue(job)
        for job in self.at("delayed", tier):
            if job.due <= self.now:
                self._requeue(job)

    def _queue(self, tier: str) -> list[ModelJob]:
        return sorted(self.at("queued", tier), key=_place)

    def _over(self, job: ModelJob) -> str | None:
        if job.cancelled:
            return "cancelled"
        if job.deadline <= self.now:
            return "expired"
        return "poison" if job.recoveries >= POISON else None

    def _requeue(self, job: ModelJob) -> None:
        job.state, job.spills = "queued", True

    def _throttle(self, gate: ModelGate, ms: int) -> None:
        if ms == 0 and gate.throttled_until <= self.now:
            gate.streak += 1
            ms = min(60_000, 1000 * 2 ** min(gate.streak - 1, 10))
        gate.throttled_until = max(gate.throttled_until, self.now + ms)

    def _step(self, ending: Settlement, job: ModelJob, since: float) -> None:
        match ending.step:
            case "finish":
                job.state = ending.state or ""
            case "move":
                job.tier, job.spill_at = ending.to or "", self.now + job.spill_ms
                self._requeue(job)
            case "release":
                job.spill_at = since
                self._requeue(job)
            case "delay":
                job.state = "delayed"
                job.due = 0 if job.cancelled else min(self.now + (ending.wait_ms or 0), math.ceil(job.deadline))
            case "hold":
                job.state, job.waits = "held", ending.tiers


def _place(job: ModelJob) -> tuple[float, str]:
    return job.place
