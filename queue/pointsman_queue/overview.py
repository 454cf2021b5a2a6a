"""What an operator sees: queues, leases, held jobs, living workers and recorders, one job's standing."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from arq import ArqRedis

from pointsman_routes import Job, JobState

from . import keys
from .connection import read_hash, redis_errors
from .envelope import decode_envelope
from .outcome_rates import OutcomeRates, read_rates
from .recorder_board import living_recorders


@dataclass(frozen=True, slots=True, kw_only=True)
class TierLoad:
    """Jobs at one tier."""

    tier: str
    queued: int
    delayed: int
    leased: int
    held: int
    """Held jobs that this tier could take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The whole line at a moment."""

    tiers: tuple[TierLoad, ...]
    held: int
    """Held jobs, each counted once."""
    outbox: int
    """Records not yet in the ledger."""
    workers: dict[str, dict[str, Any]]
    """Health of each living worker, by its id."""
    recorders: dict[str, dict[str, Any]]
    """Health of each living recorder, by its id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """One job as Redis has it."""

    job_id: str
    state: JobState
    tier: str
    task_class: str
    batch_id: str
    accepted_at: int
    """Microseconds since the epoch."""
    deadline_ms: float
    attempts: int
    failures: int
    path: str
    job: Job | None
    """None when its envelope is gone: dropped once its end is in the ledger, or expired. A job that has succeeded may
    still be here."""


class Observer:
    """Reads; writes nothing."""

    def __init__(self, redis: ArqRedis) -> None:
        self._redis = redis

    async def overview(self, tiers: Sequence[str]) -> Overview:
        """Count what is where, in four round trips and a scan of the whole key space for living workers."""
        loads = await self.loads(tiers)
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.zcard(keys.HELD)
                pipe.xlen(keys.OUTBOX)
                held, outbox = await pipe.execute()
            workers = await self._workers()
        recorders = await living_recorders(self._redis)
        return Overview(tiers=loads, held=held, outbox=outbox, workers=workers, recorders=recorders)

    async def loads(self, tiers: Sequence[str]) -> tuple[TierLoad, ...]:
        """Jobs at some tiers, in one round trip."""
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for tier in tiers:
                    for prefix in (keys.QUEUE, keys.DELAYED, keys.LEASES, keys.HELD_FOR):
                        pipe.zcard(prefix + tier)
                counts = await pipe.execute()
        return tuple(
            TierLoad(tier=tier, queued=queued, delayed=delayed, leased=leased, held=waiting)
            for tier, (queued, delayed, leased, waiting) in zip(
                tiers, zip(*[iter(counts)] * 4, strict=True), strict=True
            )
        )

    async def rates(self, tiers: Sequence[str], *, now_ms: float | None = None) -> tuple[OutcomeRates, ...]:
        """How calls ended in about the last hour, by tier and class; what has had no call is not there."""
        return await read_rates(self._redis, tiers, now_ms)

    async def job(self, job_id: str) -> JobView | None:
        """One job; None when it is not known, or no longer."""
        fields = await read_hash(self._redis, keys.JOB + job_id)
        if not fields:
            return None
        with redis_errors():
            envelope = await self._redis.get(keys.ENVELOPE + job_id)
        opened = decode_envelope(envelope) if envelope is not None else None
        return JobView(
            job_id=job_id,
            state=JobState(fields["state"]),
            tier=fields["tier"],
            task_class=fields["class"],
            batch_id=fields["batch"],
            accepted_at=int(fields["accepted"]),
            deadline_ms=float(fields["deadline"]),
            attempts=int(fields.get("calls", 0)),
            failures=int(fields.get("failures", 0)),
            path=fields.get("path", ""),
            job=opened.job if opened is not None else None,
        )

    async def _workers(self) -> dict[str, dict[str, Any]]:
        found = [key async for key in self._redis.scan_iter(match=keys.WORKER + "*", count=1000)]
        if not found:
            return {}
        healths = await self._redis.mget(found)
        return {
            key.decode().removeprefix(keys.WORKER): json.loads(health)
            for key, health in sorted(zip(found, healths, strict=True))
            if health is not None
        }
