"""Plain arq on the same Redis: what the ratios are against."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from arq import ArqRedis, Worker, create_pool
from arq.connections import RedisSettings
from arq.worker import func

DEFAULT_POLL_S = 0.5


@asynccontextmanager
async def plain(url: str) -> AsyncIterator[ArqRedis]:
    """Arq's own client, with its own serializer, of an empty Redis."""
    redis = await create_pool(RedisSettings.from_dsn(url))
    await redis.flushall()
    try:
        yield redis
    finally:
        await redis.aclose(close_connection_pool=True)


async def enqueue_rate(redis: ArqRedis, count: int) -> float:
    """Jobs a second through `enqueue_job`, awaited one by one."""
    start = time.perf_counter()
    for number in range(count):
        await redis.enqueue_job("noop", number)
    return count / (time.perf_counter() - start)


async def run_rate(redis: ArqRedis, count: int, *, slots: int) -> float:
    """No-op jobs a second in one worker. It polls every 10 ms; with its default it would be slots / 0.5 s at most."""

    async def noop(ctx: dict[Any, Any], *args: Any, **kwargs: Any) -> Any:
        return args

    for number in range(count):
        await redis.enqueue_job("noop", number)
    running = Worker(
        functions=[func(noop, name="noop")],
        redis_pool=redis,
        max_jobs=slots,
        poll_delay=0.01,
        burst=True,
        handle_signals=False,
    )
    start = time.perf_counter()
    await running.async_run()
    return count / (time.perf_counter() - start)


async def pickup_latencies(redis: ArqRedis, count: int) -> list[float]:
    """Seconds from enqueueing to the start of the function, in an idle worker with arq's defaults."""
    started: asyncio.Queue[float] = asyncio.Queue()

    async def noop(ctx: dict[Any, Any], *args: Any, **kwargs: Any) -> Any:
        started.put_nowait(time.perf_counter())

    running = Worker(functions=[func(noop, name="noop")], redis_pool=redis, handle_signals=False)
    task = asyncio.create_task(running.async_run())
    latencies = []
    try:
        for number in range(count):
            # Steps out of phase with the poll, so that the wait is met at every point of it.
            await asyncio.sleep(0.037 * (number % 13))
            sent = time.perf_counter()
            await redis.enqueue_job("noop", number)
            latencies.append(await started.get() - sent)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return latencies
