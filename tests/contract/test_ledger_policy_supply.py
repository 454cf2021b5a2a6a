"""A ledger made anew behind a Redis that has gone on is told of the policies that it has never heard of."""

import pytest
from arq import ArqRedis
from audit_records import accepted, final, put
from route_cases import make_table
from sqlalchemy import select

from pointsman_audit import Ledger, PolicySupply, Recorder, known_policies
from pointsman_audit.schema import content
from pointsman_queue import Outbox, encode_envelope, keys
from pointsman_routes import Job, PolicyRecord, RouteTable, Wire

OURS = make_table(task_class={"keep_content": "1000d"})
OTHERS = make_table(task_class={"keep_content": "2000d"})


async def ask(redis: ArqRedis, job_id: str) -> None:
    """Put a job's envelope into Redis."""
    job = Job.model_validate({"custom_id": job_id, "class": "triage", "messages": [{"role": "user", "content": "hi"}]})
    await redis.set(keys.ENVELOPE + job_id, encode_envelope(job, 0, salt="salt"))


def under(table: RouteTable, *records: Wire) -> list[Wire]:
    """Records of jobs accepted and ended under a configuration."""
    return [record.model_copy(update={"policy_digest": table.policy_digest}) for record in records]


async def kept(ledger: Ledger) -> set[str]:
    """The jobs that there is content of."""
    async with ledger.reading() as connection:
        return set((await connection.execute(select(content.c.job_id))).scalars().all())


def recorder_of(redis: ArqRedis, ledger: Ledger, table: RouteTable | None) -> Recorder:
    """A recorder under a configuration."""
    outbox = Outbox(redis)
    return Recorder(outbox, ledger, policies=PolicySupply(outbox, ledger, table, "recorder r1"))


async def test_own_policy(ledger_url: str, redis: ArqRedis) -> None:
    """The recorder's own policy is told of where a record names it first: content is kept and decisions explained."""
    for job_id in ("j1", "j2"):
        await ask(redis, job_id)
    async with Ledger.open(ledger_url, make=True) as ledger:
        recorder = recorder_of(redis, ledger, OURS)
        for job_id in ("j1", "j2"):
            await put(redis, under(OURS, accepted(job_id), final(job_id)))
            await recorder.drain()
        (known,) = await known_policies(ledger)
        assert (known.policy, known.roles, known.first_seq) == (OURS.policy, ("producer",), 1)
        assert (known.by, known.digest) == ("recorder r1", OURS.policy_digest)
        assert known.first_at == "2026-01-01T12:00:00.000000Z"
        assert await kept(ledger) == {"j1", "j2"}
        assert await ledger.head() == 5


@pytest.mark.parametrize("table", [None, OURS])
async def test_others_are_announced_again(ledger_url: str, redis: ArqRedis, table: RouteTable | None) -> None:
    """Another's policy is announced once more when somebody starts under it, and only then."""
    outbox = Outbox(redis)
    await outbox.announce("producer", OTHERS, "p1")
    await outbox.announce("worker", OURS, "w1")
    await redis.delete(keys.OUTBOX)
    async with Ledger.open(ledger_url, make=True) as ledger:
        recorder = recorder_of(redis, ledger, table)
        await put(redis, under(OTHERS, accepted("j1")))
        await recorder.drain()
        assert await known_policies(ledger) == []
        assert await outbox.announce("producer", OTHERS, "p2")
        assert not await outbox.announce("worker", OURS, "w2")
        await put(redis, under(OTHERS, accepted("j2")))
        await recorder.drain()
        assert [known.policy for known in await known_policies(ledger)] == [OTHERS.policy]


async def test_what_is_announced_is_not_told_twice(ledger_url: str, redis: ArqRedis) -> None:
    """A policy that comes the ordinary way, or is there, gets no further record."""
    told = PolicyRecord(role="producer", policy_digest=OURS.policy_digest, by="p1", policy=OURS.policy)
    await put(redis, [told, *under(OURS, accepted("j1"))])
    async with Ledger.open(ledger_url, make=True) as ledger:
        await recorder_of(redis, ledger, OURS).drain()
        await put(redis, under(OURS, accepted("j2")))
        await recorder_of(redis, ledger, OURS).drain()
        assert await ledger.head() == 3
