"""Backoff: how long to wait before asking an absent service again."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from pointsman_routes import QueueFull, ServiceUnavailable

_Answer = TypeVar("_Answer")

_DOUBLINGS = 30
"""Beyond this the delay is `most_s` anyway, and the power stays a small number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Delays that double from `first_s` to `most_s`, each shortened by up to half at random.

    The jitter keeps many producers from coming back in the same moment.
    """

    first_s: float = 0.1
    most_s: float = 2.0
    tries: int = 6
    """How often a submission is sent before it is given up; a wait for results does not give up."""

    async def through(self, step: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """Take a step that is harmless to take twice, again while Redis is away.

        Raises:
            QueueFull: at once; asking again makes no room.
            ServiceUnavailable: the last try failed too.
        """
        for attempt in range(self.tries - 1):
            try:
                return await step()
            except QueueFull:
                raise
            except ServiceUnavailable:
                await asyncio.sleep(self.delay(attempt))
        return await step()

    def delay(self, attempt: int) -> float:
        """Seconds to wait after a failed attempt; attempts count from 0."""
        full = min(self.most_s, self.first_s * (1 << min(attempt, _DOUBLINGS)))
        return full * (0.5 + random.random() / 2)
