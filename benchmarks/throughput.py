"""Submission, the full life of a job, and jobs against a vendor on loopback."""

import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from pointsman_producer import Producer
from pointsman_routes import Answer, Evidence, Job, Ok, Usage
from pointsman_worker import HttpDesk, Report, build_client, codec_for

from . import arq_baseline, rig
from .measurement import Measurement

_ROUNDS = 5
_ANSWER = Report(
    outcome=Ok(answer=Answer(content="bug", finish_reason="stop")),
    evidence=Evidence(http_status=200, response_model="fast", usage=Usage(input_tokens=24, output_tokens=1)),
)


class NullDesk:
    """An in-process provider that has always answered already."""

    async def ask(self, tier: str, job: Job, max_tokens: int) -> Report:
        """Answer."""
        return _ANSWER


async def submission(url: str, *, count: int = 20_000, arq_count: int = 2_000) -> Measurement:
    """Bulk submission against arq's `enqueue_job` awaited one by one."""
    prepared = rig.jobs(count)

    async def theirs() -> float:
        async with arq_baseline.plain(url) as redis:
            return await arq_baseline.enqueue_rate(redis, arq_count)

    async def ours() -> float:
        async with rig.emptied(url) as redis:
            producer = Producer(rig.job_queue(redis), rig.table())
            start = time.perf_counter()
            receipts = await producer.submit(prepared)
            return len(receipts) / (time.perf_counter() - start)

    return await _compared("bulk submission, jobs/s; arq: enqueue_job one by one", ours, theirs, at_least=20)


async def job_life(url: str, *, count: int = 20_000, arq_count: int = 4_000) -> Measurement:
    """Claim, attempt record, settle, final record; against arq's no-op."""
    prepared = rig.jobs(count)

    async def theirs() -> float:
        async with arq_baseline.plain(url) as redis:
            return await arq_baseline.run_rate(redis, arq_count, slots=100)

    async def ours() -> float:
        async with rig.emptied(url) as redis:
            routes = rig.table()
            await Producer(rig.job_queue(redis), routes).submit(prepared)
            running = rig.worker(redis, NullDesk(), routes, slots=200, burst=True)
            start = time.perf_counter()
            await running.async_run()
            rate = count / (time.perf_counter() - start)
            await running.stop_services()
            return rate

    what = "full life of a job, null provider, jobs/s; arq: no-op, 100 slots"
    return await _compared(what, ours, theirs, at_least=3)


async def _compared(
    what: str, ours: Callable[[], Awaitable[float]], theirs: Callable[[], Awaitable[float]], *, at_least: float
) -> Measurement:
    """The round of the middle ratio: each side in turn, so that a machine of changing speed is fair to both."""
    rounds = []
    for _ in range(_ROUNDS):
        other = await theirs()
        mine = await ours()
        rounds.append((mine / other, mine, other))
    ratio, mine, other = sorted(rounds)[_ROUNDS // 2]
    return Measurement(
        what=what,
        ours=f"{mine:,.0f}",
        baseline=f"{other:,.0f}",
        ratio=f"{ratio:.1f}x ({min(rounds)[0]:.1f} to {max(rounds)[0]:.1f})",
        target=f"{at_least:.0f}x",
        reached=ratio >= at_least,
    )


async def vendor_load(url: str, *, count: int = 6_000) -> list[Measurement]:
    """One worker process against a vendor on loopback that answers at once."""
    with tempfile.TemporaryDirectory() as folder, rig.vendor(Path(folder) / "port") as port:
        async with rig.emptied(url) as redis:
            routes = rig.table(port)
            await Producer(rig.job_queue(redis), routes).submit(rig.jobs(count))
            client = build_client(100)
            codecs = {name: codec_for(provider, None) for name, provider in routes.providers.items()}
            running = rig.worker(redis, HttpDesk(routes, codecs, client), routes, slots=100, burst=True)
            start, cpu = time.perf_counter(), time.process_time()
            await running.async_run()
            rate, cpu_ms = count / (time.perf_counter() - start), (time.process_time() - cpu) / count * 1000
            await running.stop_services()
            await client.aclose()
    return [
        Measurement(
            what="jobs/s of one worker against a loopback vendor",
            ours=f"{rate:,.0f}",
            baseline="",
            ratio="",
            target="600",
            reached=rate >= 600,
        ),
        Measurement(
            what="CPU per job of that worker",
            ours=f"{cpu_ms:.2f} ms",
            baseline="",
            ratio="",
            target="under 1.5 ms",
            reached=cpu_ms < 1.5,
        ),
    ]
