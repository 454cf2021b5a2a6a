"""What a long queue costs: claims, and memory."""

from arq import ArqRedis

from pointsman_producer import JobEncoder
from pointsman_queue import TierProfile, TierQueue

from . import rig
from .measurement import Measurement

_CHUNK = 1_000
_CLAIMS = 20
_LIMIT = 25


async def claim_cost(url: str, *, few: int = 1_000, many: int = 1_000_000) -> Measurement:
    """Server time of a claim with many queued jobs against few."""
    async with rig.emptied(url) as redis:
        await _fill(redis, 0, few)
        short = await _claim_us(redis)
    async with rig.emptied(url) as redis:
        await _fill(redis, 0, many)
        long = await _claim_us(redis)
    return Measurement(
        what=f"claim cost with {many:,} queued jobs; against {few:,}; server time a job",
        ours=f"{long:.1f} us",
        baseline=f"{short:.1f} us",
        ratio=f"{long / short:.2f}x",
        target="under 1.5x",
        reached=long / short < 1.5,
    )


async def memory(url: str, *, count: int = 50_000) -> list[Measurement]:
    """Redis memory of a queued job beyond its payload, before and after its record has gone to the ledger."""
    async with rig.emptied(url) as redis:
        await _fill(redis, 0, _CHUNK)  # the fixed part
        before = await _used(redis)
        payload = await _fill(redis, _CHUNK, count)
        recorded_too = (await _used(redis) - before - payload) / count
        outbox = await redis.memory_usage("pointsman:outbox", samples=0) or 0
        without = recorded_too - outbox / (count + _CHUNK)
    return [
        Measurement(
            what=f"Redis memory a queued job beyond its payload, {when}",
            ours=f"{size:,.0f} bytes",
            baseline="",
            ratio="",
            target="under 1,024",
            reached=size < 1024,
        )
        for when, size in (("record still in the outbox", recorded_too), ("record in the ledger", without))
    ]


async def _fill(redis: ArqRedis, start: int, count: int) -> int:
    """Queue jobs; answers the bytes of their payloads."""
    queue = rig.job_queue(redis)
    template = JobEncoder(rig.table()).encode("backlog", rig.jobs(1)[0], 0)
    for first in range(start, start + count, _CHUNK):
        ids = (f"{number:024x}" for number in range(first, first + _CHUNK))
        await queue.enqueue("backlog", [template._replace(job_id=job_id) for job_id in ids])
    return len(template.envelope) * count


async def _claim_us(redis: ArqRedis) -> float:
    queue = TierQueue(redis, worker="bench", keep_results=rig.KEEP)
    profile = TierProfile.of(rig.table(), rig.TIER, rig.RATE)
    await queue.claim(profile, 1, poison=3)
    await redis.config_resetstat()
    claimed = 0
    for _ in range(_CLAIMS):
        claimed += len((await queue.claim(profile, _LIMIT, poison=3)).leases)
    stats = await redis.info("commandstats")
    return float(stats["cmdstat_evalsha"]["usec"]) / claimed


async def _used(redis: ArqRedis) -> int:
    return int((await redis.info("memory"))["used_memory"])
