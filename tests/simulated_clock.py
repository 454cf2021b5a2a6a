"""A clock for the Redis scripts that tests set, so that hours pass in no time.

The scripts ask Redis for the time and for nothing else. Here the same scripts read it from a key instead: the text
of that one call is replaced, everything around it is what production runs.
"""

from typing import Any

from arq import ArqRedis

from pointsman_queue import script_text

_ASKED = "redis.call('TIME')"
_KEY = "test:clock"
_VERBS = ("enqueue", "claim", "renew", "settle", "switch")
START_MS = 1_800_000_000_000
"""When simulated time begins: a whole number of seconds, early in a UTC day."""


class SimulatedClock:
    """The time the scripts of some parts see."""

    def __init__(self, redis: ArqRedis) -> None:
        self._redis = redis
        self.now_ms = START_MS

    async def set(self, now_ms: int) -> None:
        """Make it that time."""
        self.now_ms = now_ms
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(_KEY)
            pipe.rpush(_KEY, now_ms // 1000, now_ms % 1000 * 1000)
            await pipe.execute()

    async def advance(self, ms: int) -> None:
        """Let some milliseconds pass."""
        await self.set(self.now_ms + ms)

    def drive(self, *parts: object) -> None:
        """Make these parts' scripts read this clock."""
        for part in parts:
            for verb in _VERBS:
                if hasattr(part, f"_{verb}"):
                    setattr(part, f"_{verb}", self._script(verb))

    def _script(self, verb: str) -> Any:
        text = script_text(verb)
        if text.count(_ASKED) != 1:
            raise AssertionError(f"{verb}.lua does not ask for the time exactly once")
        return self._redis.register_script(text.replace(_ASKED, f"redis.call('LRANGE', '{_KEY}', 0, 1)"))
