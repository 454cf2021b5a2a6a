"""Garbage in Redis: whatever others write there, nothing crashes, no code runs, and it is put aside visibly."""

import pytest
from arq import ArqRedis
from arq.jobs import serialize_job
from queue_cases import BACKUP, MAIN, Line, make_profile, make_table, new_job, settlement

from pointsman_queue import LEASE_S, Claim
from pointsman_routes import QuarantinedRecord

_STRANGE = "no job\xff\"}'\n"
_SETS = ("arq:queue", "pointsman:delayed", "pointsman:leases", "pointsman:held", "pointsman:spill")


class _Trap:
    """Pickled, it calls `ran` in whoever unpickles it."""

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (_ran, ())


def _ran() -> None:
    raise AssertionError("a pickle from Redis was read")


@pytest.mark.parametrize("prefix", _SETS)
async def test_strange_members(redis: ArqRedis, prefix: str) -> None:
    """A member no job belongs to is taken out of whichever set it is in; the jobs beside it are served."""
    line = await Line.of(redis)
    await line.enqueue(new_job("a"), new_job("b"))
    await redis.zadd(f"{prefix}:{MAIN}", {_STRANGE: 0, "t-1": 1})
    first, second = await line.claim(1), await line.claim(1)
    assert [lease.job_id for lease in (*first.leases, *second.leases)] == ["a", "b"]
    assert first.handed == ()
    assert b"t-1" not in await redis.zrange(f"{prefix}:{MAIN}", 0, -1) or prefix == "pointsman:spill"
    if prefix != "pointsman:spill":
        assert [record["job_id"] for record in await line.records("quarantined")] == [_STRANGE, "t-1"]
    assert await redis.exists("pointsman:job:t-1") == 0


async def test_strange_members_of_the_held(redis: ArqRedis) -> None:
    """A member no job belongs to among all held jobs is put aside by whoever claims next."""
    line = await Line.of(redis)
    await line.settle(settlement(await line.lease("a"), "hold", tiers=(MAIN,)))
    await redis.zadd("pointsman:held", {_STRANGE: 0})
    claim = await line.claim(profile=make_profile(BACKUP))
    assert (claim.leases, claim.handed) == ((), ())
    assert await line.members("pointsman:held") == ["a"]
    assert [record["job_id"] for record in await line.records("quarantined")] == [_STRANGE]


async def test_what_is_put_aside_is_recorded(redis: ArqRedis) -> None:
    """The record says what was found where and why it is no job's, in a form the ledger takes; not what is in it."""
    line, table = await Line.of(redis), make_table()
    await redis.zadd(f"arq:queue:{MAIN}", {_STRANGE: 0})
    await line.claim(profile=make_profile(table=table))
    (entry,) = await line.records("quarantined")
    assert QuarantinedRecord.model_validate({name: value for name, value in entry.items() if name != "at"}) == (
        QuarantinedRecord(
            reason="not a job that waits here", job_id=_STRANGE, tier=MAIN, policy_digest=table.policy_digest
        )
    )


async def test_strange_members_of_a_shut_tier(redis: ArqRedis) -> None:
    """A tier that is shut hands over its jobs and puts the rest aside."""
    line = await Line.of(redis)
    await line.enqueue(new_job("a"))
    await redis.zadd(f"arq:queue:{MAIN}", {"t-1": 0})
    await line.switchboard.disable(make_table(), MAIN, reason="r", by="me")
    assert [lease.job_id for lease in (await line.claim()).handed] == ["a"]
    assert len(await line.records("quarantined")) == 1


@pytest.mark.parametrize("prefix", _SETS)
async def test_a_job_is_not_run_from_two_places(redis: ArqRedis, prefix: str) -> None:
    """A job that has ended or is elsewhere is not started anew because somebody put its id into one of the sets."""
    line = await Line.of(redis)
    await line.settle(settlement(await line.lease("ended"), "finish"))
    running = await line.lease("running")
    await line.enqueue(new_job("elsewhere", tier=BACKUP))
    target = prefix.replace("leases", "delayed")
    await redis.zadd(f"{target}:{MAIN}", {"ended": 1, "running": 2, "elsewhere": 3})
    claim = await line.claim()
    assert (claim.leases, claim.handed) == ((), ())
    (lease,) = (await line.claim(profile=make_profile(BACKUP))).leases
    assert lease.job_id == "elsewhere"
    assert await line.settle(settlement(running, "finish"), settlement(lease, "finish")) == [True, True]
    assert len(await line.records("final")) == 3


async def test_lease_of_another_tier(redis: ArqRedis) -> None:
    """A lease that runs at one tier is not reaped from another's list."""
    line = await Line.of(redis)
    running = await line.lease("a")
    await redis.zadd(f"pointsman:leases:{BACKUP}", {"a": 0})
    assert (await line.claim(profile=make_profile(BACKUP))).leases == ()
    assert await line.settle(settlement(running, "finish")) == [True]


@pytest.mark.parametrize("envelope", [serialize_job("dispatch", (_Trap(),), {}, None, 0), b"", b"{}", b"\xff", b"[1]"])
async def test_unreadable_envelope(redis: ArqRedis, envelope: bytes) -> None:
    """A pickled or broken envelope is leased as a job that cannot be read; nothing in it is run."""
    line = await Line.of(redis)
    await line.enqueue(new_job("a"))
    await redis.set("arq:job:a", envelope)
    (lease,) = (await line.claim()).leases
    assert (lease.job_id, lease.job) == ("a", None)


async def test_missing_envelope(redis: ArqRedis) -> None:
    """A job whose envelope is gone, or is no string, is leased as one that cannot be read."""
    line = await Line.of(redis)
    await line.enqueue(new_job("a"), new_job("b"))
    await redis.delete("arq:job:a", "arq:job:b")
    await redis.zadd("arq:job:b", {"x": 1})
    assert [(lease.job_id, lease.job) for lease in (await line.claim()).leases] == [("a", None), ("b", None)]


async def test_more_garbage_than_is_looked_at(redis: ArqRedis) -> None:
    """However many strange members are in front, a worker that asks again gets to the jobs."""
    line = await Line.of(redis)
    await line.enqueue(new_job("a"))
    await redis.zadd(f"arq:queue:{MAIN}", {f"t-{number}": 0 for number in range(100)})
    claims: list[Claim] = []
    while not claims or claims[-1].wait_ms == 1:
        claims.append(await line.claim(1))
    assert [lease.job_id for claim in claims for lease in claim.leases] == ["a"]
    assert len(claims) < 10
    assert len(await line.records("quarantined")) == 100


async def test_arqs_own_enqueue(redis: ArqRedis) -> None:
    """A job that was put in with arq's own client has no standing here: it is put aside, not run."""
    line = await Line.of(redis)
    put = await redis.enqueue_job("dispatch", {"custom_id": "t-1"}, _queue_name=f"arq:queue:{MAIN}")
    assert put is not None
    claim = await line.claim()
    assert (claim.leases, claim.handed) == ((), ())
    assert [record["job_id"] for record in await line.records("quarantined")] == [put.job_id]


async def test_lost_hash_of_a_leased_job(redis: ArqRedis) -> None:
    """A leased job whose standing is gone cannot be settled, and its lease is cleared away when it ends."""
    line = await Line.of(redis)
    lease = await line.lease("a")
    await redis.delete("pointsman:job:a")
    assert await line.settle(settlement(lease, "finish")) == [False]
    await line.clock.advance(int(LEASE_S * 1000))
    claim = await line.claim()
    assert (claim.leases, claim.handed, await line.members(f"pointsman:leases:{MAIN}")) == ((), (), [])
