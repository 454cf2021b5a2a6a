"""Wake-ups: a worker that sleeps hears of work, also after its connection was cut."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from arq import ArqRedis
from queue_cases import BACKUP, MAIN, SIDE

from pointsman_queue import WakeUps


@asynccontextmanager
async def _listening(redis: ArqRedis, *tiers: str) -> AsyncIterator[WakeUps]:
    wake_ups = WakeUps(redis, tiers)
    task = asyncio.create_task(wake_ups.listen())
    try:
        async with asyncio.timeout(20):
            await wake_ups.event.wait()  # set once it listens
            wake_ups.event.clear()
            yield wake_ups
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_set_on_publish(redis: ArqRedis) -> None:
    """A message for one of its tiers, or for a provider of theirs, wakes a listener."""
    async with _listening(redis, MAIN, BACKUP) as wake_ups:
        for scope in (MAIN, BACKUP, "alpha", "beta"):
            await redis.publish(f"pointsman:wake:{scope}", "1")
            await wake_ups.event.wait()
            wake_ups.event.clear()


async def test_hears_only_its_own(redis: ArqRedis) -> None:
    """A message for another tier wakes nobody here."""
    async with _listening(redis, MAIN) as wake_ups:
        await redis.publish(f"pointsman:wake:{SIDE}", "1")
        await redis.publish("pointsman:wake:beta", "1")
        await asyncio.sleep(0.05)
        assert not wake_ups.event.is_set()


async def test_survives_a_cut_connection(redis: ArqRedis) -> None:
    """When its connection is cut it listens again by itself, and wakes once, since a message may have been missed."""
    async with _listening(redis, MAIN) as wake_ups:
        for _ in range(2):
            await redis.client_kill_filter(_type="pubsub")
            await wake_ups.event.wait()
            wake_ups.event.clear()
            await redis.publish(f"pointsman:wake:{MAIN}", "1")
            await wake_ups.event.wait()
            wake_ups.event.clear()


async def test_gives_its_connection_back(redis: ArqRedis) -> None:
    """A listener that ends is no longer subscribed."""
    async with _listening(redis, MAIN):
        assert await redis.pubsub_numsub(f"pointsman:wake:{MAIN}") == [(f"pointsman:wake:{MAIN}".encode(), 1)]
    for _ in range(100):
        if await redis.pubsub_numsub(f"pointsman:wake:{MAIN}") == [(f"pointsman:wake:{MAIN}".encode(), 0)]:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("still subscribed")
