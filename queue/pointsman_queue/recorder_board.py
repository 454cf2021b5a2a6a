"""Where recorders tell how they fare: a key each that expires, and the set of their ids."""

import json
from typing import TYPE_CHECKING, Any, cast

from arq import ArqRedis
from redis.exceptions import OutOfMemoryError

from . import keys
from .connection import redis_errors

if TYPE_CHECKING:
    from collections.abc import Awaitable

BELIEVED_MS = 15_000
"""A recorder that has told nothing for so long is not listed any more."""


class RecorderBoard:
    """One recorder's place on the board."""

    def __init__(self, redis: ArqRedis, name: str, *, believed_ms: int = BELIEVED_MS) -> None:
        """Tells nothing yet.

        Args:
            redis: a client.
            name: of the recorder; nobody else may have the same.
            believed_ms: how long what was told last is believed.
        """
        self._redis = redis
        self._name = name
        self._believed_ms = believed_ms
        self._tidied = False

    async def tell(self, health: str) -> bool:
        """Tell how the recorder fares.

        A full Redis takes nothing in; what was told last is believed for longer then, because the recorder lives.

        Args:
            health: a JSON object.

        Returns:
            Whether Redis had room for it.

        Raises:
            ServiceUnavailable: Redis does not answer.
        """
        key = keys.RECORDER + self._name
        with redis_errors():
            try:
                async with self._redis.pipeline(transaction=False) as pipe:
                    pipe.set(key, health, px=self._believed_ms)
                    pipe.sadd(keys.RECORDERS, self._name)
                    await pipe.execute()
            except OutOfMemoryError:
                await self._redis.pexpire(key, self._believed_ms)
                return False
            if not self._tidied:
                await self._forget_the_dead()
                self._tidied = True
        return True

    async def retire(self) -> None:
        """Leave the board.

        Raises:
            ServiceUnavailable: Redis does not answer; the key expires.
        """
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.delete(keys.RECORDER + self._name)
                pipe.srem(keys.RECORDERS, self._name)
                await pipe.execute()

    async def _forget_the_dead(self) -> None:
        """Take ids off the set whose key is gone; one that comes back puts its own on it again."""
        names, healths = await _read(self._redis)
        dead = [name for name, health in zip(names, healths, strict=True) if health is None]
        if dead:
            await cast("Awaitable[int]", self._redis.srem(keys.RECORDERS, *dead))


async def living_recorders(redis: ArqRedis) -> dict[str, dict[str, Any]]:
    """The health of each living recorder, by its id; found without going through other keys."""
    with redis_errors():
        names, healths = await _read(redis)
    return {name: json.loads(health) for name, health in zip(names, healths, strict=True) if health is not None}


async def _read(redis: ArqRedis) -> tuple[list[str], list[bytes | None]]:
    found = await cast("Awaitable[set[bytes]]", redis.smembers(keys.RECORDERS))
    names = sorted(name.decode() for name in found)
    return names, await redis.mget([keys.RECORDER + name for name in names]) if names else []
