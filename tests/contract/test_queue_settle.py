"""Settling: an attempt ends in one step, written whole, under its fence, or not at all."""

import pytest
from arq import ArqRedis
from queue_cases import (
    BACKUP,
    DEADLINE_MS,
    KEEP,
    MAIN,
    SIDE,
    SPILL_MS,
    Line,
    final,
    finished,
    make_lease,
    make_profile,
    make_table,
    new_job,
    settlement,
)

from pointsman_queue import LEASE_S, BatchProgress, TierQueue
from pointsman_routes import JobState

LEASE_MS = int(LEASE_S * 1000)


@pytest.mark.parametrize("state", [state for state in JobState if state.final])
async def test_finish(redis: ArqRedis, state: JobState) -> None:
    """A finished job is nowhere in line; its result, its place in the batch and its records are written."""
    line = await Line.of(redis)
    lease = await line.lease("a")
    done = settlement(lease, "finish", state=state)
    assert await line.settle(done) == [True]
    assert await line.jobs.state("a") is state
    assert await line.jobs.progress("batch") == BatchProgress(total=1, **{state.value: 1})
    assert await line.jobs.results(["a", "b"]) == {"a": b"{}"}
    assert [name for _, name in await line.jobs.finished("batch", after="0-0", count=9, block_ms=1)] == ["a"]
    assert [record["kind"] for record in await line.records()] == [
        "accepted",
        "attempt_started",
        "attempt_finished",
        "final",
    ]
    assert [key for key in await line.everything() if key.startswith(("arq:queue", "pointsman:leases"))] == []


async def test_how_long_things_are_kept(redis: ArqRedis) -> None:
    """Result, job, envelope and finished batch expire together, however the job ended.

    The envelope of an answered job is not dropped before the recorder has taken the prompt from it.
    """
    line = await Line.of(redis)
    first, second = await line.lease("a"), await line.lease("b")
    await line.settle(settlement(first, "finish"))
    keep_ms = KEEP.total_seconds() * 1000
    for key in ("pointsman:job:a", "pointsman:result:a", "arq:job:a"):
        assert keep_ms - 60_000 < await redis.pttl(key) <= keep_ms
    assert await redis.get("arq:job:a") == new_job("a").envelope
    assert await redis.pttl("pointsman:batch:batch") == -1
    await line.settle(settlement(second, "finish", state=JobState.FAILED))
    for key in ("arq:job:b", "pointsman:batch:batch", "pointsman:done:batch"):
        assert keep_ms - 60_000 < await redis.pttl(key) <= keep_ms
    await line.enqueue(new_job("c"))
    assert await redis.pttl("pointsman:batch:batch") == -1
    assert await redis.pttl("pointsman:done:batch") == -1


async def test_results_kept_for_no_time(redis: ArqRedis) -> None:
    """A retention of nothing is no error: the job ends, with its record."""
    line = await Line.of(redis)
    lease = await line.lease("a")
    queue = TierQueue(redis, worker="w-1", keep_results=KEEP * 0)
    line.clock.drive(queue)
    assert await queue.settle([settlement(lease, "finish")]) == [True]
    assert len(await line.records("final")) == 1


async def test_fields_are_remembered(redis: ArqRedis) -> None:
    """What a settlement says of the job is in its next lease."""
    line = await Line.of(redis)
    fields: dict[str, str | int] = {
        "failures": 2,
        "tries": 1,
        "path": f"{MAIN}:overloaded",
        "barred": f"{MAIN},{SIDE}",
        "cost": 123_456_789_012,
        "skipped": 1,
    }
    await line.settle(settlement(await line.lease("a"), "move", to=BACKUP, job_fields=fields))
    (lease,) = (await line.claim(profile=make_profile(BACKUP))).leases
    assert (lease.attempt, lease.failures, lease.tries_here, lease.skipped) == (2, 2, 1, 1)
    assert (lease.path, lease.barred) == (f"{MAIN}:overloaded", frozenset({MAIN, SIDE}))
    assert lease.cost_microusd == 123_456_789_012


async def test_move(redis: ArqRedis) -> None:
    """A moved job keeps its deadline, waits for the new tier from now on, and wakes it."""
    line = await Line.of(redis)
    lease = await line.lease("a")
    await line.clock.advance(1000)
    async with redis.pubsub() as heard:
        await heard.subscribe(f"pointsman:wake:{BACKUP}")
        await heard.get_message(timeout=5)
        assert await line.settle(settlement(lease, "move", to=BACKUP)) == [True]
        assert await heard.get_message(timeout=5) is not None
    assert await redis.zscore(f"arq:queue:{BACKUP}", "a") == lease.deadline_ms
    assert await redis.zscore(f"pointsman:spill:{BACKUP}", "a") == line.clock.now_ms + SPILL_MS
    assert await line.members(f"pointsman:leases:{MAIN}") == []
    assert (await line.fields("a"))["tier"] == BACKUP


async def test_delay(redis: ArqRedis) -> None:
    """A delayed job waits outside the queue until its moment."""
    line = await Line.of(redis)
    await line.settle(settlement(await line.lease("a"), "delay", wait_ms=1500))
    assert await redis.zrange(f"pointsman:delayed:{MAIN}", 0, -1, withscores=True) == [(b"a", line.clock.now_ms + 1500)]
    assert await line.members(f"arq:queue:{MAIN}") == []
    assert await line.jobs.state("a") is JobState.DELAYED


async def test_hold(redis: ArqRedis) -> None:
    """A held job is on the list of all, and of each tier it waits for; they are woken."""
    line = await Line.of(redis)
    lease = await line.lease("a")
    async with redis.pubsub() as heard:
        await heard.subscribe(f"pointsman:wake:{BACKUP}", f"pointsman:wake:{SIDE}")
        for _ in range(2):
            await heard.get_message(timeout=5)
        await line.settle(settlement(lease, "hold", tiers=(BACKUP, SIDE)))
        messages = [await heard.get_message(timeout=5) for _ in range(2)]
    assert {message["channel"].decode() for message in messages if message} == {
        f"pointsman:wake:{SIDE}",
        f"pointsman:wake:{BACKUP}",
    }
    for key in ("pointsman:held", f"pointsman:held:{BACKUP}", f"pointsman:held:{SIDE}"):
        assert await redis.zrange(key, 0, -1, withscores=True) == [(b"a", lease.deadline_ms)]
    assert (await line.observer.overview([MAIN, SIDE])).held == 1


async def test_release_keeps_the_place(redis: ArqRedis) -> None:
    """A job given back after a call has its place by deadline, and its time at the tier goes on."""
    line = await Line.of(redis)
    lease = await line.lease("a")
    await line.clock.advance(4000)
    await line.settle(settlement(lease, "release"))
    assert await redis.zscore(f"arq:queue:{MAIN}", "a") == lease.deadline_ms
    assert await redis.zscore(f"pointsman:spill:{MAIN}", "a") == line.clock.now_ms - 4000 + SPILL_MS


@pytest.mark.parametrize("step", ["finish", "move", "delay", "hold", "release"])
async def test_stale_fence_writes_nothing(redis: ArqRedis, step: str) -> None:
    """A settlement under a fence that is lost writes nothing at all, whatever else it says of the tier."""
    line = await Line.of(redis)
    old = await line.lease("a")
    await line.clock.advance(LEASE_MS)
    await line.claim(worker="w-2")
    before = await line.everything()
    late = settlement(
        old,
        step,
        to=BACKUP,
        tiers=(BACKUP,),
        wait_ms=5,
        used_in=5,
        used_out=5,
        healthy=False,
        throttle_ms=5,
        close_reason="exhausted",
        job_fields={"failures": 9},
    )
    assert await line.settle(late) == [False]
    assert await line.everything() == before


async def test_twice_is_once(redis: ArqRedis) -> None:
    """A settlement made again, in another call or in the same, is refused the second time and writes nothing."""
    line = await Line.of(redis)
    done = settlement(await line.lease("a"), "finish")
    assert await line.settle(done, done) == [True, False]
    before = await line.everything()
    assert await line.settle(done) == [False]
    assert await line.everything() == before
    assert len(await line.records("final")) == 1


async def test_unknown_job(redis: ArqRedis) -> None:
    """A settlement of a job nobody knows is refused and writes nothing."""
    line = await Line.of(redis)
    before = await line.everything()
    assert await line.settle(settlement(make_lease(), "finish")) == [False]
    assert await line.everything() == before


async def test_many_at_once(redis: ArqRedis) -> None:
    """Settlements of one call stand each for themselves: the stale one is refused, the others are written."""
    line = await Line.of(redis)
    await line.enqueue(*(new_job(f"{number}") for number in range(60)))
    leases = (await line.claim(60, profile=make_profile(table=make_table(main={"concurrency": 99})))).leases
    await line.settle(settlement(leases[7], "release"))
    written = await line.settle(*(settlement(lease, "finish") for lease in leases))
    assert [number for number, done in enumerate(written) if not done] == [7]
    assert await line.jobs.progress("batch") == BatchProgress(total=60, succeeded=59)


async def test_records_are_those_given(redis: ArqRedis) -> None:
    """The records of a settlement are in the outbox whole, in their order, with the server's time."""
    line = await Line.of(redis)
    lease = await line.lease("a")
    given = (finished(lease), final(lease, JobState.FAILED))
    await line.clock.advance(77)
    await line.settle(settlement(lease, "finish", state=JobState.FAILED, records=given))
    assert [entry for entry in await line.records() if entry["kind"] in ("attempt_finished", "final")] == [
        {**record.model_dump(mode="json"), "at": line.clock.now_ms * 1000} for record in given
    ]


async def test_closing(redis: ArqRedis) -> None:
    """A closing shuts the tier for its time; its jobs are handed over with its reason; then it takes jobs again."""
    line = await Line.of(redis)
    await line.enqueue(new_job("a"), new_job("b"))
    (lease,) = (await line.claim(1)).leases
    await line.settle(settlement(lease, "move", to=BACKUP, close_reason="exhausted", close_ms=5000))
    claim = await line.claim()
    assert [(entry.job_id, entry.reason) for entry in claim.handed] == [("b", "exhausted")]
    assert claim.wait_ms == 5000
    await line.settle(settlement(claim.handed[0], "release"))
    await line.clock.advance(5000)
    assert len((await line.claim()).leases) == 1


async def test_closed_until_an_operator_acts(redis: ArqRedis) -> None:
    """A closing without an end shuts the tier until somebody enables it."""
    line = await Line.of(redis)
    lease = await line.lease("a")
    await line.settle(settlement(lease, "release", close_reason="unauthorized"))
    await line.clock.advance(DEADLINE_MS - 1)
    claim = await line.claim()
    assert [(entry.reason, claim.leases) for entry in claim.handed] == [("unauthorized", ())]
    await line.settle(settlement(claim.handed[0], "release"))
    await line.switchboard.enable(make_table(), MAIN, reason="new key", by="me")
    assert len((await line.claim()).leases) == 1


async def test_longer_closing_holds(redis: ArqRedis) -> None:
    """A tier closed until an operator acts is not opened by a closing for a time, nor a long closing by a short one."""
    line = await Line.of(redis)
    await line.enqueue(*(new_job(f"{number}") for number in range(4)))
    leases = (await line.claim(4)).leases
    closings = [("exhausted", 9000), ("exhausted", 5000), ("unauthorized", None), ("exhausted", 60_000)]
    seen = []
    for lease, (reason, ms) in zip(leases, closings, strict=True):
        await line.settle(settlement(lease, "move", to=BACKUP, close_reason=reason, close_ms=ms))
        gate = await line.gate()
        seen.append([gate["closed_reason"], gate["closed_until"]])
    late = str(line.clock.now_ms + 9000)
    assert seen == [["exhausted", late], ["exhausted", late], ["unauthorized", "-1"], ["unauthorized", "-1"]]


async def test_spilled_job_goes_to_the_other_tier(redis: ArqRedis) -> None:
    """A job handed over for waiting too long can be moved, and is called for at the other tier."""
    line = await Line.of(redis)
    slow = make_profile(table=make_table(main={"concurrency": 1}))
    await line.enqueue(new_job("a"), new_job("b"))
    (running,) = (await line.claim(profile=slow)).leases
    for _ in range(SPILL_MS // 10_000):
        await line.clock.advance(10_000)
        await line.worker().renew([running], "{}", believed_s=60)
    claim = await line.claim(profile=slow)
    assert [(lease.job_id, lease.reason) for lease in claim.handed] == [("b", "rate_limited")]
    await line.settle(settlement(claim.handed[0], "move", to=BACKUP))
    (lease,) = (await line.claim(profile=make_profile(BACKUP))).leases
    assert (lease.job_id, round(lease.seconds_left)) == ("b", (DEADLINE_MS - SPILL_MS) // 1000)
