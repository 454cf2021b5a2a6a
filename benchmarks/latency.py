"""How soon an idle worker picks a job up."""

import asyncio
import time

from pointsman_producer import Producer
from pointsman_routes import Job
from pointsman_worker import Report

from . import arq_baseline, rig
from .measurement import Measurement, percentile
from .throughput import NullDesk


class StopwatchDesk(NullDesk):
    """Notes when a job arrives."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[float] = asyncio.Queue()

    async def ask(self, tier: str, job: Job, max_tokens: int) -> Report:
        """Answer at once."""
        self.arrived.put_nowait(time.perf_counter())
        return await super().ask(tier, job, max_tokens)


async def pickup(url: str, *, count: int = 300, arq_count: int = 60) -> list[Measurement]:
    """From submitting a job to the moment its call would start; against arq's default."""
    async with arq_baseline.plain(url) as redis:
        theirs = await arq_baseline.pickup_latencies(redis, arq_count)
    async with rig.emptied(url) as redis:
        routes, desk = rig.table(), StopwatchDesk()
        producer = Producer(rig.job_queue(redis), routes)
        running = rig.worker(redis, desk, routes, slots=100, burst=False)
        task = asyncio.create_task(running.async_run())
        await running.listening()
        ours = []
        for job in rig.jobs(count):
            await asyncio.sleep(0.01)  # the worker is idle again
            sent = time.perf_counter()
            await producer.submit([job], batch_id="latency")
            ours.append(await desk.arrived.get() - sent)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await running.stop_services()
    mine, other = percentile(ours, 0.99), percentile(theirs, 0.99)
    return [
        Measurement(
            what="pick-up latency of an idle worker, p99; arq: default polling",
            ours=f"{mine * 1000:.1f} ms",
            baseline=f"{other * 1000:.0f} ms",
            ratio=f"{other / mine:.0f}x shorter",
            target="10x, under 25 ms",
            reached=other / mine >= 10 and mine < 0.025,
        )
    ]
