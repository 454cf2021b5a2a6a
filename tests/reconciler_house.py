"""A line with a recorder and reconcilers that a test moves step by step: jobs come in, are worked on, get lost."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from arq import ArqRedis
from queue_cases import BACKUP, MAIN, RATE, make_job, settlement

from pointsman_audit import FullPass, Ledger, ListedKind, Reconciled, Reconciler, Recorder, RecordFilter, Yard
from pointsman_audit.moment import utc_now
from pointsman_console.redrive import Redrive
from pointsman_producer import JobEncoder
from pointsman_queue import (
    Admission,
    JobPlaces,
    JobQueue,
    Lease,
    Outbox,
    OverdueLeases,
    ReconcilerTurn,
    TierProfile,
    TierQueue,
    keys,
)
from pointsman_routes import JobState, RouteTable, build_route_table, job_id_for

KEEP = timedelta(hours=1)
STRICT, KEPT, LOOSE = "strict", "kept", "loose"
"""Classes: one whose jobs are in the ledger until they end, one whose content is kept, one of which nothing is."""


def make_house_table(**tier: Any) -> RouteTable:
    """Three classes on the same two tiers, of which something more may be said."""
    server = {"kind": "openai-compatible", "owner": "team@example.com", "base_url": "http://localhost:8000/v1"}
    route = {"route": [MAIN, BACKUP], "deadline": "1h"}
    return build_route_table(
        {
            "providers": {
                "alpha": {**server, "region": "eu", "tiers": {"main": {"model": "a-large", **tier}}},
                "beta": {**server, "region": "local", "tiers": {"main": {"model": "b-large", **tier}}},
            },
            "classes": {
                STRICT: {**route, "acceptance": "ledger", "keep_content": "0"},
                KEPT: {**route, "keep_content": "1d"},
                LOOSE: {**route, "keep_content": "0"},
            },
        }
    )


class Time:
    """Two clocks; the wall's is a minute ahead, so that no job is too young to be looked at."""

    def __init__(self) -> None:
        self.ahead = timedelta(minutes=1)
        self.seconds = 0.0

    def wall(self) -> datetime:
        """The time."""
        return utc_now() + self.ahead

    def monotonic(self) -> float:
        """Seconds."""
        return self.seconds


@dataclass(kw_only=True)
class House:
    """Every part of it."""

    redis: ArqRedis
    ledger: Ledger
    table: RouteTable
    outbox: Outbox
    recorder: Recorder
    reconciler: Reconciler
    workers: TierQueue
    time: Time = field(default_factory=Time)

    def yard(self, name: str = "another", *, table: RouteTable | None = None) -> Yard:
        """What one more reconciler works with."""
        return make_yard(self.redis, name, table or self.table)

    async def submit(self, *custom_ids: str, task_class: str = STRICT, batch: str = "batch") -> list[Admission]:
        """Take jobs in, as a producer does."""
        await self.outbox.announce("producer", self.table, "producer")
        encoder = JobEncoder(self.table)
        jobs = [make_job(name).model_copy(update={"task_class": task_class}) for name in custom_ids]
        new = [encoder.encode(batch, job, 0) for job in jobs]
        return await JobQueue(self.redis, keep_results=KEEP).enqueue(batch, new)

    async def claim(self, limit: int = 10, tier: str = MAIN) -> tuple[Lease, ...]:
        """Take jobs to call for; those that are handed over are ended."""
        claim = await self.workers.claim(TierProfile.of(self.table, tier, RATE), limit, poison=3)
        if claim.handed:
            await self.workers.settle([settlement(lease, "finish", state=JobState.EXPIRED) for lease in claim.handed])
        return claim.leases

    async def finish(self, *leases: Lease, state: JobState = JobState.SUCCEEDED) -> None:
        """End jobs."""
        await self.workers.settle([settlement(lease, "finish", state=state) for lease in leases])

    async def work(self) -> None:
        """Bring everything that waits to an end."""
        for tier in (MAIN, BACKUP):
            while leases := await self.claim(tier=tier):
                await self.finish(*leases)

    async def record(self) -> None:
        """Record all that is in the outbox."""
        await self.recorder.drain()

    async def attend(self, reconciler: Reconciler | None = None, *, seconds: float = 1.0) -> None:
        """Let time pass, and a reconciler see to what is due."""
        self.time.seconds += seconds
        source = await self.outbox.source()
        await (reconciler or self.reconciler).attend(source, await self.ledger.cursor(source))

    async def reconcile(self, *, rounds: int = 8) -> None:
        """Record and reconcile until all is done."""
        for _ in range(rounds):
            await self.record()
            await self.attend(seconds=5)
        await self.record()

    async def full_pass(self, **options: Any) -> list[Reconciled]:
        """What one pass over everything finds."""
        found: list[Reconciled] = []
        values = {"clock": self.time.wall, "patience_s": 0.3, **options}
        await FullPass(self.ledger, values.pop("yard", None) or self.yard(), found.append, **values).run()
        return found

    async def recorded(self, kind: ListedKind) -> list[dict[str, Any]]:
        """Records of a kind, in order."""
        return [record async for record in self.ledger.list(RecordFilter(kind=kind))]

    async def finals(self) -> dict[str, int]:
        """How many final records each job has."""
        found: dict[str, int] = {}
        for record in await self.recorded(ListedKind.FINAL):
            found[record["job_id"]] = found.get(record["job_id"], 0) + 1
        return found

    async def told(self, job_id: str) -> dict[str, Any]:
        """The one final record of a job, with all its fields."""
        (end,) = [record for record in await self.ledger.story(job_id) if record["kind"] == "final"]
        return end

    async def lose(self, job_id: str) -> None:
        """Take a job out of Redis as if it had never been there, but for its batch."""
        await self.redis.delete(keys.JOB + job_id, keys.ENVELOPE + job_id)
        for tier in (MAIN, BACKUP):
            for prefix in (keys.QUEUE, keys.DELAYED, keys.LEASES, keys.SPILL, keys.HELD_FOR):
                await self.redis.zrem(prefix + tier, job_id)
        await self.redis.zrem(keys.HELD, job_id)

    async def batch(self, batch_id: str = "batch") -> tuple[int, int]:
        """How many jobs a batch has, and how many of them are over."""
        progress = await JobQueue(self.redis, keep_results=KEEP).progress(batch_id)
        return (progress.total, progress.done) if progress is not None else (0, 0)


def make_yard(redis: ArqRedis, name: str, table: RouteTable | None) -> Yard:
    """What a reconciler works with."""
    outbox, queue = Outbox(redis), TierQueue(redis, worker=f"reconciler {name}", keep_results=KEEP)
    profiles = {tier: TierProfile.of(table, tier, RATE) for tier in table.tiers} if table is not None else {}
    return Yard(
        outbox=outbox,
        jobs=JobQueue(redis, keep_results=KEEP),
        places=JobPlaces(redis),
        turn=ReconcilerTurn(redis, name),
        redriver=Redrive.under(table, outbox, f"reconciler {name}") if table is not None else None,
        leases=OverdueLeases(redis, queue, profiles) if table is not None else None,
    )


@asynccontextmanager
async def open_house(
    redis: ArqRedis, ledger_url: str, *, configured: bool = True, lease_s: float = 60, table: RouteTable | None = None
) -> AsyncIterator[House]:
    """A house at its beginning, or one that goes on with a ledger that is there."""
    table = table or make_house_table()
    time = Time()
    async with Ledger.open(ledger_url, make=True) as ledger:
        outbox = Outbox(redis)
        yard = make_yard(redis, "first", table if configured else None)
        reconciler = Reconciler(ledger, yard, clock=time.wall, monotonic=time.monotonic)
        yield House(
            redis=redis,
            ledger=ledger,
            table=table,
            outbox=outbox,
            recorder=Recorder(outbox, ledger, duties=[reconciler]),
            reconciler=reconciler,
            workers=TierQueue(redis, worker="w-1", keep_results=KEEP, lease_s=lease_s),
            time=time,
        )


def id_of(custom_id: str, batch: str = "batch") -> str:
    """A job's id."""
    return job_id_for(batch, custom_id)
