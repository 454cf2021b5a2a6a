"""Wake-ups: a worker sleeps until a tier has work."""

import asyncio
from collections.abc import Sequence

from arq import ArqRedis
from redis.asyncio.client import PubSub

from . import keys
from .connection import MISSING


class WakeUps:
    """Listens for work on some tiers and sets an event.

    A message can be missed while Redis is away, so a listener must also ask by itself now and then;
    after each reconnection the event is set once.
    """

    def __init__(self, redis: ArqRedis, tiers: Sequence[str]) -> None:
        self._redis = redis
        self._channels = [keys.WAKE + name for name in {*tiers, *(tier.partition("/")[0] for tier in tiers)}]
        self.event = asyncio.Event()
        self.subscribed = asyncio.Event()
        """Set from the first time on that wake-ups can arrive."""

    async def listen(self) -> None:
        """Listen until cancelled, through any number of lost connections."""
        while True:
            pubsub = self._redis.pubsub(ignore_subscribe_messages=True)
            try:
                await pubsub.subscribe(*self._channels)
                self.subscribed.set()
                self.event.set()
                await self._follow(pubsub)
            except MISSING:
                await asyncio.sleep(0.5)
            finally:
                await pubsub.aclose()  # type: ignore[no-untyped-call]  # redis-py has no types here

    async def _follow(self, pubsub: PubSub) -> None:
        while True:
            if await pubsub.get_message(timeout=None) is not None:
                self.event.set()
