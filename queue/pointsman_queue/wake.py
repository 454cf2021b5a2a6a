"""Wake-ups: a worker sleeps until a tier has work, and hears at once when one is switched off."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from arq import ArqRedis
from redis.asyncio.client import PubSub

from . import keys
from .connection import MISSING

_OFF = frozenset({b"off", b"abort"})


class WakeUps:
    """Listens for work on some tiers and sets an event.

    A message can be missed while Redis is away, so a listener must also ask by itself now and then;
    after each reconnection the event is set once.
    """

    def __init__(self, redis: ArqRedis, tiers: Sequence[str]) -> None:
        self._redis = redis
        self._channels = [keys.WAKE + name for name in {*tiers, *(tier.partition("/")[0] for tier in tiers)}]
        self._off: Counter[str] = Counter()
        self.event = asyncio.Event()
        self.aborted = asyncio.Event()
        """Set when calls in flight are to be cut; whoever listens clears it."""
        self.subscribed = asyncio.Event()
        """Set from the first time on that wake-ups can arrive."""

    def times_off(self, tier: str) -> int:
        """How often the tier or its provider was switched off, as far as was heard.

        It grows in time to stop a call that was claimed a moment before. The switch itself is in the claim: what was
        heard before a claim says nothing of the jobs it gave, since they were given while the tier was open.
        """
        # Nearly always nothing was, and every call asks.
        return self._off[tier] + self._off[tier.partition("/")[0]] if self._off else 0

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
            message = await pubsub.get_message(timeout=None)
            if message is not None:
                self._hear(message["channel"].decode().removeprefix(keys.WAKE), message["data"])
                self.event.set()

    def _hear(self, scope: str, word: bytes) -> None:
        if word in _OFF:
            self._off[scope] += 1
        if word == b"abort":
            self.aborted.set()
