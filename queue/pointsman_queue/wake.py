"""Wake-ups: a worker sleeps until a tier has work, and hears at once when one is switched off."""

import asyncio
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
        self._off: set[str] = set()
        self.event = asyncio.Event()
        self.aborted = asyncio.Event()
        """Set when calls in flight are to be cut; whoever listens clears it."""
        self.subscribed = asyncio.Event()
        """Set from the first time on that wake-ups can arrive."""

    def heard_off(self, tier: str) -> bool:
        """Whether the tier or its provider was switched off, as far as was heard.

        It comes in time to stop a call that was claimed a moment before. The switch itself is in the claim.
        """
        return bool(self._off) and (tier in self._off or tier.partition("/")[0] in self._off)

    async def listen(self) -> None:
        """Listen until cancelled, through any number of lost connections."""
        while True:
            pubsub = self._redis.pubsub(ignore_subscribe_messages=True)
            try:
                await pubsub.subscribe(*self._channels)
                self._off.clear()  # an `on` may have been missed
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
            self._off.add(scope)
        elif word == b"on":
            self._off.discard(scope)
        if word == b"abort":
            self.aborted.set()
