"""Jobs, tiers and a whole line of queues on a real Redis, for tests of the queue; every call makes a new value."""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

from arq import ArqRedis
from simulated_clock import START_MS, SimulatedClock

from pointsman_queue import (
    Admission,
    Claim,
    JobQueue,
    Lease,
    NewJob,
    Observer,
    Settlement,
    Switchboard,
    TierProfile,
    TierQueue,
    encode_envelope,
)
from pointsman_routes import (
    AttemptFinished,
    FinalRecord,
    Job,
    JobState,
    Message,
    OutcomeKind,
    Price,
    Rate,
    Record,
    RouteTable,
    build_route_table,
)

MAIN, SIDE, BACKUP = "alpha/main", "alpha/side", "beta/main"
"""Two tiers of one account, and one of another."""
RATE = Rate(price=Price.model_validate({"input": 2, "output": 8}), source="config")
DEADLINE_MS = 3_600_000
SPILL_MS = 300_000
POISON = 3
KEEP = timedelta(hours=1)
SALT = "0123456789abcdefghij-_"
"""As long as those that producers make."""
_EVERYTHING = """
local all = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  all[#all + 1] = key
  all[#all + 1] = redis.call('DUMP', key)
end
return all
"""


def make_table(
    *,
    main: dict[str, Any] | None = None,
    account: dict[str, Any] | None = None,
    provider: dict[str, Any] | None = None,
    tier: dict[str, Any] | None = None,
) -> RouteTable:
    """Three tiers at two providers.

    Args:
        main: limits of `alpha/main`.
        account: limits of its account.
        provider: what else its provider has.
        tier: what else it has itself.
    """
    server = {"kind": "openai-compatible", "owner": "team@example.com", "base_url": "http://localhost:8000/v1"}
    return build_route_table(
        {
            "providers": {
                "alpha": {
                    **server,
                    **(provider or {}),
                    "region": "eu",
                    "limits": account or {},
                    "tiers": {
                        "main": {"model": "a-large", "limits": main or {}, **(tier or {})},
                        "side": {"model": "a-small"},
                    },
                },
                "beta": {**server, "region": "local", "tiers": {"main": {"model": "b-large"}}},
            },
            "classes": {"triage": {"route": [MAIN, BACKUP, SIDE]}, "solo": {"route": [MAIN]}},
        }
    )


def make_profile(tier: str = MAIN, table: RouteTable | None = None) -> TierProfile:
    """What a claim needs to know of a tier."""
    return TierProfile.of(table or make_table(), tier, RATE)


def make_job(custom_id: str = "t-1", text: str = "Which way?") -> Job:
    """A job that asks one question."""
    return Job(custom_id=custom_id, task_class="triage", messages=(Message(role="user", content=text),))


def new_job(job_id: str, **changes: Any) -> NewJob:
    """A job on its way in: for `alpha/main`, of about ten tokens, due in an hour."""
    values: dict[str, Any] = {
        "job_id": job_id,
        "task_class": "triage",
        "tier": MAIN,
        "envelope": encode_envelope(make_job(job_id), START_MS, salt=SALT),
        "characters": 40,
        "max_tokens": 10,
        "prompt_digest": "0123456789abcdef" * 4,
        "record": json.dumps({"kind": "accepted", "job_id": job_id}).encode(),
        "deadline_ms": DEADLINE_MS,
        "spill_ms": SPILL_MS,
    }
    return NewJob(**{**values, **changes})


def make_lease(**changes: Any) -> Lease:
    """A first lease of a job at its primary."""
    values: dict[str, Any] = {
        "job_id": "job-1",
        "tier": MAIN,
        "fence": "7",
        "job": make_job(),
        "salt": SALT,
        "reason": None,
        "attempt": 1,
        "failures": 0,
        "tries_here": 0,
        "recoveries": 0,
        "path": "",
        "barred": frozenset(),
        "accepted_at": START_MS * 1000,
        "started_at": START_MS * 1000 + 5_000_000,
        "deadline_ms": float(START_MS + DEADLINE_MS),
        "cost_microusd": 0,
        "estimate_in": 10,
        "estimate_out": 100,
        "task_class": "triage",
        "batch_id": "batch",
        "skipped": 0,
    }
    return Lease(**{**values, **changes})


def finished(lease: Lease, **changes: Any) -> AttemptFinished:
    """The record of an attempt's end."""
    values = {
        "job_id": lease.job_id,
        "attempt": lease.attempt,
        "hop": 0,
        "tier": lease.tier,
        "provider": lease.tier.partition("/")[0],
        "model": "a-large",
        "region": None,
        "worker": "w",
        "fence": int(lease.fence),
        "task_class": lease.task_class,
        "policy_digest": "p",
        "started_at": lease.started_at,
        "outcome": OutcomeKind.OK,
        "usage_source": "none",
        "counted": False,
    }
    return AttemptFinished.model_validate({**values, **changes})


def final(lease: Lease, state: JobState) -> FinalRecord:
    """The record of a job's end."""
    return FinalRecord(
        job_id=lease.job_id,
        custom_id="c",
        batch_id=lease.batch_id,
        task_class=lease.task_class,
        state=state,
        requested_tier=MAIN,
        requested_model="a-large",
        accepted_at=lease.accepted_at,
        policy_digest="p",
        prompt_digest="d",
    )


def settlement(lease: Lease, step: str, *, state: JobState = JobState.SUCCEEDED, **changes: Any) -> Settlement:
    """How an attempt ends, with the records that go with it."""
    called = bool(changes.setdefault("called", lease.reason is None))
    records: tuple[Record, ...] = (finished(lease),) if called or lease.reason is None else ()
    if step == "finish":
        changes |= {"state": state.value, "result": b"{}"}
        records = (*records, final(lease, state))
    return Settlement(lease=lease, step=cast("Any", step), **{"records": records, **changes})


@dataclass(kw_only=True)
class Line:
    """Every part of the queue on one Redis, under a clock that tests set."""

    redis: ArqRedis
    clock: SimulatedClock
    jobs: JobQueue
    switchboard: Switchboard
    observer: Observer
    workers: dict[str, TierQueue]

    @classmethod
    async def of(cls, redis: ArqRedis, *, served: tuple[str, ...] = (MAIN, SIDE, BACKUP)) -> "Line":
        """A line whose clock stands at the beginning; at each of some tiers a worker lives, for as long as it takes."""
        clock = SimulatedClock(redis)
        await clock.set(START_MS)
        jobs, switchboard = JobQueue(redis, keep_results=KEEP), Switchboard(redis)
        clock.drive(jobs, switchboard)
        for tier in served:
            await redis.hset(f"pointsman:gate:{tier}", "served_until", str(START_MS * 2))  # type: ignore[misc]  # for both clients
        return cls(redis=redis, clock=clock, jobs=jobs, switchboard=switchboard, observer=Observer(redis), workers={})

    def worker(self, name: str = "w-1") -> TierQueue:
        """A worker's side of the queue."""
        if name not in self.workers:
            queue = TierQueue(self.redis, worker=name, keep_results=KEEP)
            self.clock.drive(queue)
            self.workers[name] = queue
        return self.workers[name]

    async def enqueue(self, *jobs: NewJob, batch: str = "batch") -> list[Admission]:
        """Take jobs in."""
        return await self.jobs.enqueue(batch, jobs)

    async def claim(self, limit: int = 10, *, profile: TierProfile | None = None, worker: str = "w-1") -> Claim:
        """Claim for a worker; of `alpha/main` without limits if nothing else is said."""
        return await self.worker(worker).claim(profile or make_profile(), limit, poison=POISON)

    async def lease(self, job_id: str = "job-1", **changes: Any) -> Lease:
        """Take in one job and claim it."""
        await self.enqueue(new_job(job_id, **changes))
        claim = await self.claim(1, profile=make_profile(changes.get("tier", MAIN)))
        (lease,) = claim.leases
        return lease

    async def settle(self, *settlements: Settlement) -> list[bool]:
        """Settle."""
        return await self.worker().settle(settlements)

    async def records(self, kind: str | None = None) -> list[dict[str, Any]]:
        """The outbox, in order, each record with its time."""
        entries = await self.redis.xrange("pointsman:outbox")
        found = [{**json.loads(fields[b"record"]), "at": int(fields[b"at"])} for _, fields in entries]
        return [record for record in found if kind is None or record["kind"] == kind]

    async def members(self, key: str) -> list[str]:
        """The members of a sorted set, lowest score first."""
        return [member.decode() for member in await self.redis.zrange(key, 0, -1)]

    async def fields(self, job_id: str) -> dict[str, str]:
        """A job's hash."""
        return await self._hash(f"pointsman:job:{job_id}")

    async def gate(self, scope: str = MAIN) -> dict[str, str]:
        """The hash of a tier's or provider's gate."""
        return await self._hash(f"pointsman:gate:{scope}")

    async def _hash(self, key: str) -> dict[str, str]:
        raw = await cast("Any", self.redis.hgetall(key))
        return {name.decode(): value.decode() for name, value in raw.items()}

    async def everything(self) -> dict[str, bytes]:
        """All that is in Redis but the clock and the fence, to compare before and after."""
        flat = await cast("Any", self.redis.eval(_EVERYTHING, 0))
        found = {key.decode(): value for key, value in zip(flat[::2], flat[1::2], strict=True)}
        return {key: found[key] for key in sorted(found) if key not in ("test:clock", "pointsman:fence")}
