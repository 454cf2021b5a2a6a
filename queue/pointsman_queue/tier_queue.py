"""The worker's side of the queue: claim, renew, settle."""

import json
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, NamedTuple, cast

from arq import ArqRedis

from pointsman_routes import Job, Limits, Rate, Record, RouteTable, Wire

from . import keys
from .connection import redis_errors
from .envelope import decode_envelope
from .scripts import script_text

LEASE_S = 15.0
"""A lease that is not renewed ends after this."""
HEARTBEAT_S = 5.0
"""How often a worker renews."""
_compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
"""Compact JSON; `json.dumps` would make an encoder for every call."""
HAND_LIMIT = 100
"""Jobs handed over without a call in one claim."""


SettleStep = Literal["finish", "move", "delay", "hold", "release"]
"""What becomes of a job when an attempt ends."""


class Lease(NamedTuple):
    """A job in a worker's hands, and where it stands. A tuple, since every claim makes many."""

    job_id: str
    tier: str
    fence: str
    """Only this number may settle the job."""
    job: Job | None
    """None when what is in Redis is not a job's envelope."""
    reason: str | None
    """Why the job is handed over without a call; None for one to be called."""
    attempt: int
    """The number of this call; for a job handed over, of the last one made."""
    failures: int
    tries_here: int
    recoveries: int
    path: str
    """Tiers left so far, as `tier:reason` joined by commas."""
    barred: frozenset[str]
    accepted_at: int
    """Microseconds since the epoch."""
    started_at: int
    """When it was claimed; microseconds since the epoch."""
    deadline_ms: float
    cost_microusd: int
    """Of the attempts before this one."""
    estimate_in: int
    """Tokens reserved."""
    estimate_out: int
    task_class: str
    batch_id: str
    skipped: int
    """Attempts before this one that ended before the call was made."""
    held: bool = False
    """Handed over from among the held jobs: it has left its last tier already, and only ends at this one."""

    @property
    def seconds_left(self) -> float:
        """Until the deadline, from when it was claimed."""
        return self.deadline_ms / 1000 - self.started_at / 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a claim gave."""

    leases: tuple[Lease, ...]
    """Jobs to call for; their `attempt_started` records are written."""
    handed: tuple[Lease, ...]
    """Jobs to settle without a call."""
    wait_ms: int | None
    """Until it is worth asking again; None until woken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """How an attempt ends: everything one atomic step writes."""

    lease: Lease
    step: SettleStep
    state: str | None = None
    """Of a finish."""
    to: str | None = None
    """Of a move."""
    tiers: tuple[str, ...] = ()
    """Of a hold: those that could take the job once they open."""
    wait_ms: int | None = None
    """Of a delay."""
    result: bytes = b""
    """Result line of a finish."""
    records: tuple[Record, ...] = ()
    called: bool = True
    """Whether a call was made; otherwise the reservation is given back."""
    used_in: int | None = None
    """Tokens really used; None keeps the estimate charged."""
    used_out: int | None = None
    healthy: bool | None = None
    throttle_ms: int | None = None
    """Closes the tier's buckets for every worker; 0 when the vendor named no time."""
    close_reason: str | None = None
    close_ms: int | None = None
    """With a reason: for how long; None until an operator enables the tier."""
    job_fields: dict[str, str | int] = field(default_factory=dict)
    """What to remember of the job: failures, tries, path, barred, cost, skipped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TierProfile:
    """What a claim needs to know of a tier; fixed for the life of a worker."""

    tier: str
    provider: str
    limits: dict[str, float]
    account: dict[str, float]
    account_tiers: tuple[str, ...]
    price_in: float
    price_out: float
    hops: dict[str, int]
    fragment: str
    removed: bool = False
    """The configuration no longer has it; jobs that were queued for it are handed over."""

    @classmethod
    def of(cls, table: RouteTable, tier_name: str, rate: Rate) -> "TierProfile":
        """Take a tier's profile from the route table."""
        tier, provider = table.tiers[tier_name], table.provider_of(tier_name)
        burst_s = tier.burst.total_seconds()
        names = {
            "tier": tier_name,
            "provider": provider.name,
            "model": tier.model,
            "region": provider.region,
            "policy_digest": table.policy_digest,
        }
        return cls(
            tier=tier_name,
            provider=provider.name,
            limits=_limits(tier.limits, burst_s),
            account=_limits(provider.limits, min(entry.burst.total_seconds() for entry in provider.tiers.values())),
            account_tiers=tuple(entry.name for entry in provider.tiers.values()),
            price_in=float(rate.price.input),
            price_out=float(rate.price.output),
            hops={entry.name: entry.hop(tier_name) for entry in table.classes.values()},
            fragment=_compact(names)[1:-1],
        )

    @classmethod
    def of_removed(cls, table: RouteTable, tier_name: str, dearest: Rate) -> "TierProfile":
        """The profile of a tier that is no longer in the route table.

        Args:
            table: the route table.
            tier_name: the tier.
            dearest: what a call cut off there is charged by; its own price is not known any more.
        """
        provider = tier_name.partition("/")[0]
        names = {"tier": tier_name, "provider": provider, "model": "unknown", "region": None}
        none = _limits(Limits(), 1)
        return cls(
            tier=tier_name,
            provider=provider,
            limits=none,
            account=none,
            account_tiers=(tier_name,),
            price_in=float(dearest.price.input),
            price_out=float(dearest.price.output),
            hops={},
            fragment=_compact({**names, "policy_digest": table.policy_digest})[1:-1],
            removed=True,
        )


class TierQueue:
    """Claims jobs of tiers, keeps their leases and settles them. Every write is fenced."""

    def __init__(self, redis: ArqRedis, *, worker: str, keep_results: timedelta, lease_s: float = LEASE_S) -> None:
        self._redis = redis
        self._worker = worker
        # Redis takes no expiry of 0; a script that fails halfway would leave a job without its record.
        self._keep_ms = max(1, int(keep_results.total_seconds() * 1000))
        self._lease_ms = int(lease_s * 1000)
        self._claim = redis.register_script(script_text("claim"))
        self._renew = redis.register_script(script_text("renew"))
        self._settle = redis.register_script(script_text("settle"))

    async def claim(self, profile: TierProfile, limit: int, *, poison: int) -> Claim:
        """Take the next jobs of a tier.

        In one step: leases that ran out are returned, due jobs promoted, switch, breaker and every bucket checked,
        estimates debited, `attempt_started` records written.

        Args:
            profile: the tier.
            limit: calls that can start now; 0 only tidies up.
            poison: lost leases after which a job is handed over to be failed.

        Raises:
            ServiceUnavailable: Redis does not answer. What it may have leased comes back when the lease ends.
        """
        ask = {
            "tier": profile.tier,
            "provider": profile.provider,
            "worker": self._worker,
            "limit": limit,
            "hand_limit": HAND_LIMIT,
            "lease_ms": self._lease_ms,
            "poison": poison,
            "limits": profile.limits,
            "account": profile.account,
            "account_tiers": profile.account_tiers,
            "price_in": profile.price_in,
            "price_out": profile.price_out,
            "hops": profile.hops,
            "fragment": profile.fragment,
            "removed": profile.removed,
        }
        with redis_errors():
            now, wait_ms, leases, handed = await self._claim(args=[_compact(ask)])
        now_us = int(now)
        return Claim(
            leases=tuple(_lease(profile.tier, now_us, entry) for entry in leases),
            handed=tuple(_lease(profile.tier, now_us, entry) for entry in handed),
            wait_ms=None if wait_ms < 0 else int(wait_ms),
        )

    async def renew(self, leases: Sequence[Lease], health: str, *, believed_s: float) -> frozenset[str]:
        """One heartbeat for all leases of this worker.

        Args:
            leases: those in hand.
            health: JSON for `pointsman status`.
            believed_s: after this without a heartbeat the worker is not listed any more.

        Returns:
            Fences of the leases that are lost: stop their calls, their settling would be refused.
        """
        arguments: list[str | int] = [self._worker, health, int(believed_s * 1000), self._lease_ms]
        for lease in leases:
            arguments += (lease.tier, lease.job_id, lease.fence)
        with redis_errors():
            return frozenset(fence.decode() for fence in await self._renew(args=arguments))

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """End attempts; each is written whole or not at all.

        Making the call again after a lost answer is harmless: the fence has gone.

        Returns:
            For each whether it was written; False when its lease was lost before, or its call called off.
        """
        arguments: list[str | bytes | int] = [self._keep_ms]
        for settlement in settlements:
            arguments += (_head(settlement), settlement.result)
            arguments += [_record(record) for record in settlement.records]
        with redis_errors():
            replies = await self._settle(args=arguments)
        return [reply == b"ok" for reply in replies]

    async def tiers_ever(self) -> frozenset[str]:
        """Every tier a job was ever queued for, those no longer configured included."""
        with redis_errors():
            # redis-py types one method for its blocking and its asynchronous client.
            found = await cast("Awaitable[set[bytes]]", self._redis.smembers(keys.TIERS))
        return frozenset(name.decode() for name in found)

    async def retire(self) -> None:
        """Take the worker off the list of the living."""
        with redis_errors():
            await self._redis.delete(keys.WORKER + self._worker)


def _limits(limits: Limits, burst_s: float) -> dict[str, float]:
    return {**limits.model_dump(), "burst_s": burst_s}


def _record(record: Wire) -> str:
    return record.model_dump_json(exclude_none=False)


def _head(settlement: Settlement) -> str:
    lease = settlement.lease
    head: dict[str, Any] = {
        "id": lease.job_id,
        "fence": lease.fence,
        "tier": lease.tier,
        "provider": lease.tier.partition("/")[0],
        "records": len(settlement.records),
        "step": settlement.step,
        "called": settlement.called,
        "set": settlement.job_fields,
        "state": settlement.state,
        "to": settlement.to,
        "wait_ms": settlement.wait_ms,
        "tiers": settlement.tiers or None,
        "real_in": settlement.used_in,
        "real_out": settlement.used_out,
        "healthy": settlement.healthy,
        "throttle_ms": settlement.throttle_ms,
    }
    if settlement.close_reason is not None:
        ms = -1 if settlement.close_ms is None else settlement.close_ms
        head["close"] = {"reason": settlement.close_reason, "ms": ms}
    return _compact({name: value for name, value in head.items() if value is not None})


def _lease(tier: str, now_us: int, entry: list[Any]) -> Lease:
    (job_id, envelope, fence, calls, failures, tries, recoveries, path, barred, accepted, deadline, cost,
     tokens_in, tokens_out, task_class, batch, skipped) = entry[:17]  # fmt: skip
    return Lease(
        job_id=job_id.decode(),
        tier=tier,
        fence=fence.decode(),
        job=decode_envelope(envelope),
        reason=entry[17].decode() if len(entry) > 17 else None,
        attempt=int(calls),
        failures=int(failures),
        tries_here=int(tries),
        recoveries=int(recoveries),
        path=path.decode(),
        barred=frozenset(name for name in barred.decode().split(",") if name),
        accepted_at=int(accepted),
        started_at=now_us,
        deadline_ms=float(deadline),
        cost_microusd=int(cost),
        estimate_in=int(tokens_in),
        estimate_out=int(tokens_out),
        task_class=task_class.decode(),
        batch_id=batch.decode(),
        skipped=int(skipped),
        held=len(entry) > 18,
    )
