"""A plain model of the queue: one dictionary of jobs, a few numbers per gate. No sets, no scripts, no Redis.

It says what a claim must give and what a settlement must do. Numbers are computed in the order the scripts
compute them, so they agree to the last digit.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from queue_cases import POISON

from pointsman_queue import LEASE_S, Lease, Settlement, TierProfile

LEASE_MS = int(LEASE_S * 1000)
_SMOOTHING = 0.1
_LOOKED_AT = 16


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

    @property
    def place(self) -> tuple[float, str]:
        """What it is ordered by in a queue, and among the held."""
        return (0 if self.cancelled else self.deadline, self.job_id)


@dataclass(kw_only=True)
class ModelGate:
    """What is known of a tier or provider."""

    disabled: bool = False
    closed_until: float = 0
    closed_reason: str = ""
    throttled_until: float = 0
    streak: int = 0
    failing: float = 0
    open_until: float | None = None
    opens: int = 0
    probe: tuple[str, int] | None = None
    """Job and attempt."""
    probe_until: float = 0
    factor: float = 1
    at_ms: int | None = None
    levels: dict[str, float] = field(default_factory=dict)

    def shut(self, now: float) -> str | None:
        """Why no call passes."""
        if self.disabled:
            return "disabled"
        if self.closed_until < 0 or self.closed_until > now:
            return self.closed_reason
        return "breaker_open" if self.open_until is not None and self.open_until > now else None

    def refilled(self, limits: dict[str, float], now: int) -> dict[str, "Bucket"]:
        """Its buckets at this moment."""
        elapsed = 0 if self.at_ms is None else (now - self.at_ms) * 1000 / 1_000_000
        buckets = {}
        for name in ("rpm", "tpm", "itpm", "otpm"):
            rate = limits[name] / 60
            if rate > 0:
                capacity = max(rate * limits["burst_s"], 1 if name == "rpm" else 0)
                level = min(capacity, self.levels.get(name, capacity) + rate * elapsed)
                buckets[name] = Bucket(gate=self, name=name, capacity=capacity, level=level)
        return buckets

    def judge(self, says: str, attempt: tuple[str, int], now: int) -> None:
        """Hear what an attempt says of the tier's health."""
        if self.open_until is not None:
            if attempt == self.probe:
                self._judge_probe(says, now)
            return
        if says != "none":
            self.failing += ((1 if says == "bad" else 0) - self.failing) * _SMOOTHING
        if self.failing >= 0.5 and says == "bad":
            self._open(1, now)
        else:
            self.failing = 0 if self.failing < 0.01 else float(f"{self.failing:.4f}")
        if says == "good":
            self.streak = 0

    def _judge_probe(self, says: str, now: int) -> None:
        self.probe, self.probe_until = None, 0
        if says == "good":
            self.open_until, self.opens, self.failing = None, 0, 0
        elif says == "bad":
            self._open(self.opens + 1, now)

    def _open(self, opens: int, now: int) -> None:
        self.open_until, self.opens, self.failing = now + min(300_000, 10_000 * 2 ** (opens - 1)), opens, 0
        self.probe, self.probe_until = None, 0


@dataclass(kw_only=True)
class Bucket:
    """One limit of one gate."""

    gate: ModelGate
    name: str
    capacity: float
    level: float

    def need(self, tokens: tuple[int, int]) -> int:
        """What a call of that many tokens takes."""
        return {"rpm": 1, "tpm": sum(tokens), "itpm": tokens[0], "otpm": tokens[1]}[self.name]

    def lacks(self, tokens: tuple[int, int]) -> bool:
        """Whether the call must wait. One larger than the bucket goes when it is full."""
        return min(self.need(tokens), self.capacity) - self.level > 1e-6


@dataclass(kw_only=True)
class Given:
    """What a claim must give."""

    leases: list[ModelJob] = field(default_factory=list)
    handed: list[tuple[ModelJob, str]] = field(default_factory=list)


class QueueModel:
    """Jobs and gates under one clock."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.jobs: dict[str, ModelJob] = {}
        self.gates: dict[str, ModelGate] = {}

    def gate(self, scope: str) -> ModelGate:
        """The gate of a tier or provider."""
        return self.gates.setdefault(scope, ModelGate())

    def at(self, state: str, tier: str | None = None) -> list[ModelJob]:
        """Jobs in a state, at a tier."""
        return [job for job in self.jobs.values() if job.state == state and tier in (None, job.tier)]

    def claim(self, profile: TierProfile, limit: int) -> Given:
        """Claim, as `claim.lua` must."""
        tier, given = profile.tier, Given()
        gate, account = self.gate(tier), self.gate(profile.provider)
        self._recover(tier)
        busy = {name: len(self.at("leased", name)) for name in profile.account_tiers}
        self._end_held(tier, given)
        reason = gate.shut(self.now) or account.shut(self.now)
        if reason:
            given.handed += [(job, self._over(job) or reason) for job in self._queue(tier, given)]
            return self._handed(given)
        if gate.open_until is not None:
            limit = min(limit, 0 if gate.probe_until > self.now else 1)
        for job in sorted((job for job in self.at("held") if tier in job.waits), key=_place)[:limit]:
            job.tier, job.waits, job.spill_at = tier, (), self.now + job.spill_ms
            self._requeue(job)
        stuck = self._lease(profile, limit, busy, given)
        if stuck or limit == 0:
            late = [job for job in self._queue(tier, given) if job.spill_ms and job.spills and job.spill_at <= self.now]
            given.handed += [(job, self._over(job) or "rate_limited") for job in late]
        if given.leases and gate.open_until is not None:
            gate.probe, gate.probe_until = (given.leases[0].job_id, given.leases[0].calls), self.now + LEASE_MS
        return self._handed(given)

    def _end_held(self, tier: str, given: Given) -> None:
        for job in sorted(self.at("held"), key=_place):
            if job.place[0] <= self.now:
                # From here on it is leased, so no list of held jobs has it any more.
                job.tier, job.waits, job.state = tier, (), "leased"
                given.handed.append((job, "cancelled" if job.cancelled else "expired"))

    def _lease(self, profile: TierProfile, limit: int, busy: dict[str, int], given: Given) -> bool:
        """Lease from the head of the queue; tells whether a job there must wait."""
        gates = (self.gate(profile.tier), self.gate(profile.provider))
        scopes = zip(gates, (profile.limits, profile.account), strict=True)
        buckets = [bucket for gate, limits in scopes for bucket in gate.refilled(limits, self.now).values()]
        free = min(
            profile.limits["concurrency"] - busy[profile.tier] if profile.limits["concurrency"] else math.inf,
            profile.account["concurrency"] - sum(busy.values()) if profile.account["concurrency"] else math.inf,
        )
        throttled = max(gate.throttled_until for gate in gates) > self.now
        stuck = False
        for job in self._queue(profile.tier, given)[: max(limit, _LOOKED_AT) + 1]:
            reason = self._over(job)
            if reason:
                given.handed.append((job, reason))
                continue
            tokens = (math.ceil(job.characters / 4 * gates[0].factor), job.max_tokens)
            lacking = throttled or free < 1 or any(bucket.lacks(tokens) for bucket in buckets)
            if lacking or len(given.leases) >= limit:
                stuck = True
                break
            for bucket in buckets:
                bucket.level -= bucket.need(tokens)
            free -= 1
            job.state, job.called, job.estimate, job.calls = "leased", True, tokens, job.calls + 1
            job.lease_ends, job.spills = self.now + LEASE_MS, False
            given.leases.append(job)
        if given.leases:
            for gate in gates:
                gate.at_ms = self.now
            for bucket in buckets:
                bucket.gate.levels[bucket.name] = float(f"{bucket.level:.6f}")
        return stuck

    def settle(self, ending: Settlement) -> bool:
        """Settle, as `settle.lua` must."""
        lease, job = ending.lease, self.jobs[ending.lease.job_id]
        if job.state != "leased" or job.fence != lease.fence or (job.called and job.cancelled):
            return False
        gate = self.gate(lease.tier)
        self._correct(ending, job)
        if ending.throttle_ms is not None:
            self._throttle(gate, ending.throttle_ms)
        if ending.close_reason is not None:
            till = -1 if ending.close_ms is None else self.now + ending.close_ms
            if gate.closed_until >= 0 and (till < 0 or till >= gate.closed_until):
                gate.closed_until, gate.closed_reason = till, ending.close_reason
        says = "none" if not ending.called or ending.healthy is None else "good" if ending.healthy else "bad"
        gate.judge(says, (lease.job_id, lease.attempt) if lease.reason is None else ("", 0), self.now)
        self._step(ending, job, since=job.spill_at if job.called else self.now + job.spill_ms)
        job.called = False
        return True

    def renew(self, leases: Iterable[Lease]) -> set[str]:
        """Renew; the fences of those that are lost."""
        lost = set()
        for lease in leases:
            job = self.jobs[lease.job_id]
            if job.state == "leased" and job.fence == lease.fence and not job.cancelled:
                job.lease_ends = self.now + LEASE_MS
            else:
                lost.add(lease.fence)
        return lost

    def cancel(self, job_id: str) -> None:
        """Call a job off."""
        job = self.jobs[job_id]
        if job.state in ("queued", "delayed", "held", "leased"):
            job.cancelled, job.lease_ends, job.spills = True, 0, False
            job.state = "queued" if job.state == "delayed" else job.state

    def enable(self, scope: str) -> None:
        """Undo a switch, a closing, an open breaker and a vendor's wait."""
        old = self.gate(scope)
        self.gates[scope] = ModelGate(factor=old.factor, at_ms=old.at_ms, levels=old.levels)

    def _recover(self, tier: str) -> None:
        for job in self.at("leased", tier):
            if job.lease_ends <= self.now:
                job.recoveries += job.called
                job.called = False
                self._requeue(job)
        for job in self.at("delayed", tier):
            if job.due <= self.now:
                self._requeue(job)

    def _queue(self, tier: str, given: Given) -> list[ModelJob]:
        taken = {job.job_id for job, _ in given.handed}
        return sorted((job for job in self.at("queued", tier) if job.job_id not in taken), key=_place)

    def _over(self, job: ModelJob) -> str | None:
        if job.cancelled:
            return "cancelled"
        if job.deadline <= self.now:
            return "expired"
        return "poison" if job.recoveries >= POISON else None

    def _handed(self, given: Given) -> Given:
        for job, _ in given.handed:
            job.state, job.called, job.estimate = "leased", False, (0, 0)
            job.lease_ends, job.spills = self.now + LEASE_MS, False
        return given

    def _requeue(self, job: ModelJob) -> None:
        job.state, job.spills = "queued", True

    def _correct(self, ending: Settlement, job: ModelJob) -> None:
        requests, tokens = 0, (0, 0)
        if not ending.called:
            requests, tokens = int(job.called), job.estimate
        elif ending.used_in is not None and ending.used_out is not None:
            tokens = (job.estimate[0] - ending.used_in, job.estimate[1] - ending.used_out)
        back = {"rpm": requests, "tpm": sum(tokens), "itpm": tokens[0], "otpm": tokens[1]}
        for scope in (ending.lease.tier, ending.lease.tier.partition("/")[0]):
            levels = self.gate(scope).levels
            for name in levels:
                levels[name] = float(f"{levels[name] + back[name]:.6f}")
        base, gate = job.characters / 4, self.gate(ending.lease.tier)
        if ending.called and ending.used_in and base >= 1:
            factor = gate.factor + (ending.used_in / base - gate.factor) * 0.05
            gate.factor = float(f"{max(0.1, min(10, factor)):.4f}")

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
