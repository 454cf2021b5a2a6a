"""The reconciler's turn: of several reconcilers one works at a time."""

from enum import Enum, auto

from arq import ArqRedis
from redis.asyncio.client import Pipeline

from pointsman_routes import Record

from . import keys
from .connection import redis_errors

TURN_MS = 30_000
"""A turn that is not renewed ends after this."""


class Turn(Enum):
    """Whose turn it is."""

    KEPT = auto()
    """Ours, and nobody else had it since it was last ours."""
    TAKEN = auto()
    """Ours from now on: others may have been at work before."""
    OTHERS = auto()
    """Another's."""


class ReconcilerTurn:
    """A lock in Redis under the reconciler's own id. What is written under it is written only while it lasts."""

    def __init__(self, redis: ArqRedis, name: str, *, turn_ms: int = TURN_MS) -> None:
        """Takes nothing yet.

        Args:
            redis: a client.
            name: of the reconciler; nobody else may have the same.
            turn_ms: how long a turn lasts without being renewed.
        """
        self._redis = redis
        self._name = name
        self._turn_ms = turn_ms

    async def take(self) -> Turn:
        """Take the turn if it is free, or renew it.

        Raises:
            ServiceUnavailable: Redis does not answer, or has no room for the lock.
        """
        with redis_errors():
            if await self._redis.set(keys.RECONCILER, self._name, nx=True, px=self._turn_ms):
                return Turn.TAKEN
            kept = await self._redis.transaction(self._renewing, keys.RECONCILER, value_from_callable=True)
        return Turn.KEPT if kept else Turn.OTHERS

    async def write(self, record: Record) -> bool:
        """Put a record into the outbox, if it is still our turn when it gets there.

        Returns:
            Whether it was written.

        Raises:
            ServiceUnavailable: Redis does not answer or has no room; the record may or may not be there.
        """
        text = record.model_dump_json()

        async def step(pipe: Pipeline) -> bool:
            ours = await self._is_ours(pipe)
            seconds, micros = await pipe.time()
            pipe.multi()  # type: ignore[no-untyped-call]
            if ours:
                pipe.xadd(keys.OUTBOX, {"at": seconds * 1_000_000 + micros, "record": text})
            return ours

        with redis_errors():
            return bool(await self._redis.transaction(step, keys.RECONCILER, value_from_callable=True))

    async def release(self) -> None:
        """Let others have their turn, if it was ours."""

        async def step(pipe: Pipeline) -> None:
            ours = await self._is_ours(pipe)
            pipe.multi()  # type: ignore[no-untyped-call]
            if ours:
                pipe.delete(keys.RECONCILER)

        with redis_errors():
            await self._redis.transaction(step, keys.RECONCILER)

    async def _renewing(self, pipe: Pipeline) -> bool:
        ours = await self._is_ours(pipe)
        pipe.multi()  # type: ignore[no-untyped-call]
        if ours:
            pipe.pexpire(keys.RECONCILER, self._turn_ms)
        return ours

    async def _is_ours(self, pipe: Pipeline) -> bool:
        return bool(await pipe.get(keys.RECONCILER) == self._name.encode())
