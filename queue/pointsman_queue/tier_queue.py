"""The worker's side of the queue: claim, renew, settle."""

import json
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from arq import ArqRedis

from . import keys
from .connection import redis_errors
from .lease import Claim, Lease, Renewal, read_lease
from .scripts import script_text
from .settlement import Settlement, settlement_head
from .tier_profile import TierProfile

LEASE_S = 15.0
"""A lease that is not renewed ends after this."""
HEARTBEAT_S = 5.0
"""How often a worker renews."""
HAND_LIMIT = 100
"""Jobs handed over without a call in one claim."""
_compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
"""Compact JSON; `json.dumps` would make an encoder for every call."""


class TierQueue:
    """Claims jobs of tiers, keeps their leases and settles them. Every write is fenced."""

    def __init__(self, redis: ArqRedis, *, worker: str, keep_results: timedelta, lease_s: float = LEASE_S) -> None:
        self._redis = redis
        self._worker = worker
        # Redis takes no expiry of 0; a script that fails halfway would leave a job without its record.
        self._keep_ms = max(1, int(keep_results.total_seconds() * 1000))
        self._lease_ms = int(lease_s * 1000)
        self._confs: dict[tuple[str, int], tuple[str, str]] = {}
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
        conf, account_conf = self._confs_of(profile)
        # Whoever does not know a tier says nothing of its limits, nor of its account's.
        confs = {} if profile.removed else {"conf": conf, "account_conf": account_conf}
        return await self._ask(profile, {"limit": limit, "hand_limit": HAND_LIMIT, "poison": poison, **confs})

    async def tidy(self, profile: TierProfile) -> Claim:
        """Return leases of a tier that ran out and promote its due jobs, and nothing else.

        No job is taken or handed over, no worker is said to live there, and nothing is said of its limits.

        Raises:
            ServiceUnavailable: Redis does not answer.
        """
        return await self._ask(profile, {"limit": 0, "hand_limit": 0, "poison": 0})

    async def _ask(self, profile: TierProfile, wish: dict[str, Any]) -> Claim:
        ask = {
            "tier": profile.tier,
            "provider": profile.provider,
            "worker": self._worker,
            "lease_ms": self._lease_ms,
            **wish,
            "account_tiers": profile.account_tiers,
            "others": profile.others,
            # cjson has a value of its own for null, so what is not known is left out.
            **({} if profile.least_spill_ms is None else {"least_spill_ms": profile.least_spill_ms}),
            "price_in": profile.price_in,
            "price_out": profile.price_out,
            "hops": profile.hops,
            "names": profile.names,
            "call_names": profile.call_names,
            "removed": profile.removed,
        }
        with redis_errors():
            now, wait_ms, leases, handed = await self._claim(args=[_compact(ask)])
        now_us = int(now)
        return Claim(
            leases=tuple(read_lease(profile.tier, now_us, entry) for entry in leases),
            handed=tuple(read_lease(profile.tier, now_us, entry) for entry in handed),
            wait_ms=None if wait_ms < 0 else int(wait_ms),
        )

    async def renew(
        self, leases: Sequence[Lease], health: str, *, believed_s: float, tiers: Sequence[str] = ()
    ) -> Renewal:
        """One heartbeat for all leases of this worker.

        Args:
            leases: those in hand.
            health: JSON for `pointsman status`.
            believed_s: after this without a heartbeat the worker is not listed any more.
            tiers: those it serves.
        """
        arguments: list[str | int] = [self._worker, health, int(believed_s * 1000), self._lease_ms, ",".join(tiers)]
        for lease in leases:
            arguments += (lease.tier, lease.job_id, lease.fence)
        with redis_errors():
            lost, cut = await self._renew(args=arguments)
        return Renewal(lost=frozenset(fence.decode() for fence in lost), cut=frozenset(fence.decode() for fence in cut))

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """End attempts; each is written whole or not at all.

        Making the call again after a lost answer is harmless: the fence has gone.

        Returns:
            For each whether it was written; False when its lease was lost before, or its call called off.
        """
        arguments: list[str | bytes | int] = [self._keep_ms]
        for settlement in settlements:
            arguments += (settlement_head(settlement), settlement.result)
            arguments += [record.model_dump_json(exclude_none=False) for record in settlement.records]
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

    def _confs_of(self, profile: TierProfile) -> tuple[str, str]:
        """Limits as gates keep them; the time zone's offset is asked anew, since it changes twice a year."""
        zone_s = 0 if profile.timezone == "UTC" else profile.zone_s(datetime.now(UTC))
        key = (profile.tier, zone_s)
        if key not in self._confs:
            self._confs[key] = profile.confs(zone_s)
        return self._confs[key]
