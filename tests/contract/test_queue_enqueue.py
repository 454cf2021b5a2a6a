"""Taking jobs in: all of them or none, once, in order, and not when Redis is filling up."""

import asyncio

import pytest
from arq import ArqRedis
from queue_cases import BACKUP, DEADLINE_MS, MAIN, SPILL_MS, Line, new_job

from pointsman_queue import Admission, BatchProgress, WakeUps
from pointsman_routes import JobConflict, JobState, QueueFull

_OTHER = "f" * 64


async def test_jobs_are_kept_with_all_a_claim_needs(redis: ArqRedis) -> None:
    """An accepted job is queued at its tier under its deadline, with its envelope, digest and spill moment."""
    line = await Line.of(redis)
    job = new_job("a")
    assert await line.enqueue(job) == [Admission.ACCEPTED]
    now = line.clock.now_ms
    assert await redis.zrange(f"arq:queue:{MAIN}", 0, -1, withscores=True) == [(b"a", now + DEADLINE_MS)]
    assert await redis.zrange(f"pointsman:spill:{MAIN}", 0, -1, withscores=True) == [(b"a", now + SPILL_MS)]
    assert await redis.get("arq:job:a") == job.envelope
    assert await line.fields("a") == {
        "state": "queued",
        "tier": MAIN,
        "class": "triage",
        "batch": "batch",
        "deadline": f"{now + DEADLINE_MS}.0000",
        "spill": str(SPILL_MS),
        "spill_at": str(now + SPILL_MS),
        "chars": "40",
        "out": "10",
        "digest": job.prompt_digest[:16],
        "accepted": str(now * 1000),
    }
    assert await line.jobs.state("a") is JobState.QUEUED
    assert await line.jobs.state("b") is None


async def test_nothing_spills_without_another_tier(redis: ArqRedis) -> None:
    """A job of a class with one tier has no moment at which it would move on."""
    line = await Line.of(redis)
    await line.enqueue(new_job("a", spill_ms=0))
    assert await line.members(f"pointsman:spill:{MAIN}") == []
    assert "spill_at" not in await line.fields("a")


async def test_again_is_harmless(redis: ArqRedis) -> None:
    """Jobs handed in twice, in two calls or in one, are accepted once, and the second time changes nothing."""
    line = await Line.of(redis)
    assert await line.enqueue(new_job("a"), new_job("b"), new_job("a")) == [
        Admission.ACCEPTED,
        Admission.ACCEPTED,
        Admission.KNOWN,
    ]
    before = await line.everything()
    await line.clock.advance(1000)
    assert await line.enqueue(new_job("b"), new_job("a")) == [Admission.KNOWN, Admission.KNOWN]
    assert await line.everything() == before
    assert await line.jobs.progress("batch") == BatchProgress(total=2)


async def test_known_jobs_among_new_ones(redis: ArqRedis) -> None:
    """A call with known and new jobs takes in the new ones and says which is which."""
    line = await Line.of(redis)
    await line.enqueue(new_job("a"))
    assert await line.enqueue(new_job("b"), new_job("a"), new_job("c")) == [
        Admission.ACCEPTED,
        Admission.KNOWN,
        Admission.ACCEPTED,
    ]
    assert await line.jobs.progress("batch") == BatchProgress(total=3)


async def test_conflict_writes_nothing(redis: ArqRedis) -> None:
    """An id that is taken by a job which asks something else refuses the whole call, and says which id it was."""
    line = await Line.of(redis)
    await line.enqueue(new_job("b"))
    before = await line.everything()
    with pytest.raises(JobConflict, match="job id b is taken"):
        await line.enqueue(new_job("a"), new_job("b", prompt_digest=_OTHER), new_job("c"))
    assert await line.everything() == before


async def test_conflict_inside_one_call(redis: ArqRedis) -> None:
    """Two jobs in one call that share an id and ask different things are a conflict too; nothing is written."""
    line = await Line.of(redis)
    before = await line.everything()
    with pytest.raises(JobConflict, match="job id a is taken"):
        await line.enqueue(new_job("a"), new_job("b"), new_job("a", prompt_digest=_OTHER))
    assert await line.everything() == before


async def test_no_jobs(redis: ArqRedis) -> None:
    """A call without jobs writes nothing."""
    line = await Line.of(redis)
    before = await line.everything()
    assert await line.enqueue() == []
    assert await line.everything() == before


async def test_accepted_records_in_order(redis: ArqRedis) -> None:
    """The accepted records are in the outbox in the order of the jobs, stamped with the server's time."""
    line = await Line.of(redis)
    await line.enqueue(*(new_job(f"job-{number}") for number in range(50)))
    records = await line.records()
    assert [record["job_id"] for record in records] == [f"job-{number}" for number in range(50)]
    assert {(record["kind"], record["at"]) for record in records} == {("accepted", line.clock.now_ms * 1000)}


async def test_earliest_deadline_first_then_in_order(redis: ArqRedis) -> None:
    """A queue is ordered by deadline; jobs of one call with the same deadline keep their order, however many."""
    line = await Line.of(redis)
    names = [f"{number * 7919 % 5000:04d}" for number in range(5000)]
    await line.enqueue(*(new_job(name) for name in names), new_job("soon", deadline_ms=60_000))
    assert await line.members(f"arq:queue:{MAIN}") == ["soon", *names]


async def test_each_tier_is_woken_once(redis: ArqRedis) -> None:
    """Every tier that got a job is told, and no other."""
    line = await Line.of(redis)
    async with redis.pubsub() as heard:
        await heard.psubscribe("pointsman:wake:*")
        await heard.get_message(timeout=5)
        await line.enqueue(new_job("a"), new_job("b"), new_job("c", tier=BACKUP))
        messages = [await heard.get_message(timeout=5) for _ in range(2)]
        assert {message["channel"].decode() for message in messages if message} == {
            f"pointsman:wake:{MAIN}",
            f"pointsman:wake:{BACKUP}",
        }
        await line.enqueue(new_job("a"))
        assert await heard.get_message(timeout=0.05) is None


async def test_wakes_a_listener(redis: ArqRedis) -> None:
    """A worker that sleeps is woken by a job for its tier."""
    line = await Line.of(redis)
    wake_ups = WakeUps(redis, [MAIN])
    listening = asyncio.create_task(wake_ups.listen())
    try:
        async with asyncio.timeout(10):
            await wake_ups.event.wait()  # set once it listens
            wake_ups.event.clear()
            await line.enqueue(new_job("a"))
            await wake_ups.event.wait()
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def test_counts_of_batches(redis: ArqRedis) -> None:
    """Each batch counts its own jobs; an unknown one has no counts."""
    line = await Line.of(redis)
    await line.enqueue(new_job("a"), new_job("b"), batch="one")
    await line.enqueue(new_job("c"), batch="two")
    assert await line.jobs.progress("one") == BatchProgress(total=2)
    progress = await line.jobs.progress("two")
    assert progress is not None
    assert (progress.done, progress.outstanding) == (0, 1)
    assert await line.jobs.progress("three") is None


async def test_full(redis: ArqRedis) -> None:
    """Above three quarters of maxmemory nothing is taken in and nothing is written; below it, all is."""
    line = await Line.of(redis)
    await line.enqueue(new_job("a"))
    before = await line.everything()
    used = int((await redis.info("memory"))["used_memory"])
    await redis.config_set("maxmemory", int(used / 0.76))
    with pytest.raises(QueueFull, match="takes no new jobs above 75%"):
        await line.enqueue(new_job("b"))
    await redis.config_set("maxmemory", 0)
    assert await line.everything() == before
    await redis.config_set("maxmemory", used * 2)
    assert await line.enqueue(new_job("b")) == [Admission.ACCEPTED]
