"""Redis above its maxmemory: nothing new comes in and no call starts, but what runs can end."""

import pytest
from arq import ArqRedis
from queue_cases import BACKUP, MAIN, Line, make_profile, make_table, new_job, settlement
from redis.exceptions import OutOfMemoryError

from pointsman_queue import LEASE_S
from pointsman_routes import JobState, QueueFull, ServiceUnavailable


async def _fill(redis: ArqRedis) -> None:
    """Make Redis use twice what it may, with no script loaded, and see that it refuses to write."""
    await redis.script_flush()
    used = int((await redis.info("memory"))["used_memory"])
    await redis.config_set("maxmemory", used // 2)
    with pytest.raises(OutOfMemoryError):
        await redis.set("anything", "more")


@pytest.mark.parametrize("step", ["finish", "move", "delay", "hold", "release"])
async def test_settle_passes(redis: ArqRedis, step: str) -> None:
    """A call that has ended is settled whole, whatever becomes of the job: its records, result and buckets."""
    line = await Line.of(redis)
    lease = await line.lease("a")
    await _fill(redis)
    ends = settlement(
        lease,
        step,
        to=BACKUP,
        tiers=(BACKUP,),
        wait_ms=5,
        used_in=3,
        used_out=3,
        healthy=False,
        throttle_ms=5,
        close_reason="exhausted",
        job_fields={"failures": 1},
    )
    assert await line.settle(ends) == [True]
    assert len(await line.records("attempt_finished")) == 1
    if step == "finish":
        assert await line.jobs.results(["a"]) == {"a": b"{}"}
    assert await redis.exists(f"pointsman:gate:{MAIN}") == 1


async def test_many_settle_together(redis: ArqRedis) -> None:
    """Settlements of one call pass together, also after a stale one, which writes nothing."""
    line = await Line.of(redis)
    await line.enqueue(*(new_job(f"{number}") for number in range(20)))
    leases = (await line.claim(20, profile=make_profile(table=make_table(main={"concurrency": 99})))).leases
    await line.settle(settlement(leases[0], "finish"))
    await _fill(redis)
    written = await line.settle(*(settlement(lease, "finish") for lease in leases))
    assert written == [False] + [True] * 19
    assert len(await line.records("final")) == 20


async def test_leases_are_kept(redis: ArqRedis) -> None:
    """The first heartbeat of all passes, so that running calls keep their leases, and says what is served."""
    line = await Line.of(redis, served=())
    lease = await line.lease("a")
    await redis.hdel(f"pointsman:gate:{MAIN}", "served_until")  # type: ignore[misc]  # typed for both clients
    await _fill(redis)
    await line.worker().renew([lease], "{}", believed_s=60, tiers=(MAIN, BACKUP))
    gates = await line.switchboard.gates([MAIN, BACKUP], now_ms=line.clock.now_ms)
    assert {scope: gate.served for scope, gate in gates.items()} == {MAIN: True, BACKUP: True}
    ends = line.clock.now_ms + int(LEASE_S * 1000)
    assert await redis.zscore(f"pointsman:leases:{MAIN}", "a") == ends


async def test_nothing_new(redis: ArqRedis) -> None:
    """New jobs are refused and nothing of them is written; known ones are refused too, rather than answered wrongly."""
    line = await Line.of(redis)
    await line.enqueue(new_job("a"))
    await _fill(redis)
    before = await line.everything()
    for job_id in ("a", "b"):
        with pytest.raises(QueueFull):
            await line.enqueue(new_job(job_id))
    assert await line.everything() == before


async def test_no_call_starts(redis: ArqRedis) -> None:
    """A claim that would start calls is refused whole, and goes through as soon as there is memory."""
    line = await Line.of(redis)
    await line.enqueue(new_job("a"), new_job("b"))
    await _fill(redis)
    before = await line.everything()
    with pytest.raises(ServiceUnavailable, match="maxmemory"):
        await line.claim()
    assert await line.everything() == before
    await redis.config_set("maxmemory", 0)
    assert len((await line.claim()).leases) == 2


async def test_switches_work(redis: ArqRedis) -> None:
    """A bad route can be cut, and jobs called off, at any time."""
    line, table = await Line.of(redis), make_table()
    lease = await line.lease("a")
    await line.enqueue(new_job("b"))
    await _fill(redis)
    await line.switchboard.disable(table, MAIN, reason="r", by="ann")
    assert not (await line.switchboard.gates([MAIN]))[MAIN].open
    await line.switchboard.enable(table, MAIN, reason="r", by="ann")
    assert await line.switchboard.cancel("b", by="ann") is JobState.QUEUED
    assert await line.switchboard.cancel("a", by="ann") is JobState.LEASED
    assert await line.settle(settlement(lease, "finish")) == [False]
    assert len(await line.records("switch")) == 2


async def test_calls_are_aborted(redis: ArqRedis) -> None:
    """Calls in flight can be cut, and their worker settles them."""
    line, table = await Line.of(redis), make_table()
    lease = await line.lease("a")
    await _fill(redis)
    await line.switchboard.disable(table, "alpha", reason="r", by="ann", abort=True)
    assert (await line.worker().renew([lease], "{}", believed_s=60, tiers=(MAIN,))).cut == {lease.fence}
    assert await line.settle(settlement(lease, "move", to=BACKUP, outcome="unknown")) == [True]
