"""Leases whose time is over while no worker is there to see it."""

from collections.abc import Mapping

from arq import ArqRedis

from . import keys
from .connection import redis_errors
from .tier_profile import TierProfile
from .tier_queue import TierQueue

_ROUNDS = 5
"""Of two hundred leases each, at one tier in one go."""


class OverdueLeases:
    """Returns them, as a worker's claim does: the job is queued again, an open call is closed as unknown.

    Workers do it for their own tiers and, now and then, for all others; this is for a line without a worker.
    """

    def __init__(self, redis: ArqRedis, queue: TierQueue, profiles: Mapping[str, TierProfile]) -> None:
        """Looks after some tiers.

        Args:
            redis: a client.
            queue: does it.
            profiles: of the tiers, by name.
        """
        self._redis = redis
        self._queue = queue
        self._profiles = profiles

    async def count(self) -> dict[str, int]:
        """How many there are, by tier; of those that have any.

        Raises:
            ServiceUnavailable: Redis does not answer.
        """
        with redis_errors():
            seconds, micros = await self._redis.time()
            now_ms = seconds * 1000 + micros // 1000
            async with self._redis.pipeline(transaction=False) as pipe:
                for tier in self._profiles:
                    pipe.zcount(keys.LEASES + tier, "-inf", now_ms)
                counts = await pipe.execute()
        return {tier: count for tier, count in zip(self._profiles, counts, strict=True) if count}

    async def give_back(self) -> int:
        """Return them; says how many, of which a worker may have returned some in the same moment.

        Raises:
            ServiceUnavailable: Redis does not answer.
        """
        returned = 0
        for _ in range(_ROUNDS):
            overdue = await self.count()
            if not overdue:
                break
            for tier in overdue:
                await self._queue.tidy(self._profiles[tier])
            left = await self.count()
            returned += sum(max(0, count - left.get(tier, 0)) for tier, count in overdue.items())
        return returned
