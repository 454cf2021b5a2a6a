"""What an operator and the recorder read: the whole line at a moment, one job, the outbox."""

import asyncio
import json

from arq import ArqRedis
from queue_cases import BACKUP, MAIN, SIDE, Line, make_profile, new_job, settlement

from pointsman_queue import START, JobQueue, Outbox, TierLoad
from pointsman_routes import JobState


async def test_overview(redis: ArqRedis) -> None:
    """Every job is counted once where it is; a held one also at each tier it waits for."""
    line = await Line.of(redis)
    await line.enqueue(*(new_job(f"{number}") for number in range(6)))
    leases = (await line.claim(4)).leases
    await line.settle(
        settlement(leases[0], "delay", wait_ms=9000),
        settlement(leases[1], "hold", tiers=(MAIN, BACKUP)),
        settlement(leases[2], "finish"),
    )
    seen = await line.observer.overview([MAIN, SIDE, BACKUP])
    assert seen.tiers == (
        TierLoad(tier=MAIN, queued=2, delayed=1, leased=1, held=1),
        TierLoad(tier=SIDE, queued=0, delayed=0, leased=0, held=0),
        TierLoad(tier=BACKUP, queued=0, delayed=0, leased=0, held=1),
    )
    assert (seen.held, seen.outbox, seen.workers) == (1, len(await line.records()), {})


async def test_living_workers(redis: ArqRedis) -> None:
    """Workers are listed while they are believed to live, each with the health it told."""
    line = await Line.of(redis)
    for number in range(3):
        await line.worker(f"w-{number}").renew([], json.dumps({"busy": number}), believed_s=60)
    await line.worker("w-9").renew([], "{}", believed_s=0.001)
    await asyncio.sleep(0.02)
    assert (await line.observer.overview([])).workers == {f"w-{number}": {"busy": number} for number in range(3)}


async def test_one_job(redis: ArqRedis) -> None:
    """A job is shown as Redis has it, to its end and after, its content for as long as that is kept.

    An unknown one is not there.
    """
    line = await Line.of(redis)
    fields: dict[str, str | int] = {"failures": 1, "path": f"{MAIN}:overloaded"}
    await line.settle(settlement(await line.lease("a"), "move", to=BACKUP, job_fields=fields))
    view = await line.observer.job("a")
    assert view is not None
    assert (view.state, view.tier, view.attempts, view.failures) == (JobState.QUEUED, BACKUP, 1, 1)
    assert view.path == f"{MAIN}:overloaded"
    (lease,) = (await line.claim(profile=make_profile(BACKUP))).leases
    await line.settle(settlement(lease, "finish"))
    view = await line.observer.job("a")
    assert view is not None
    assert (view.state, view.attempts, view.job) == (JobState.SUCCEEDED, 2, lease.job)
    await redis.delete("arq:job:a")
    view = await line.observer.job("a")
    assert view is not None
    assert (view.state, view.job) == (JobState.SUCCEEDED, None)
    assert await line.observer.job("b") is None


async def test_finished_jobs_are_followed(redis: ArqRedis) -> None:
    """Whoever follows a batch sees each finished job once, in the order they finished, and waits for the next."""
    line = await Line.of(redis)
    await line.enqueue(*(new_job(f"{number}") for number in range(3)))
    leases = (await line.claim()).leases
    await line.settle(settlement(leases[2], "finish"), settlement(leases[0], "finish", state=JobState.FAILED))
    seen = await line.jobs.finished("batch", after=START, count=9, block_ms=1)
    assert [job_id for _, job_id in seen] == ["2", "0"]
    waiting = asyncio.create_task(line.jobs.finished("batch", after=seen[-1][0], count=9, block_ms=9000))
    await asyncio.sleep(0.02)
    await line.settle(settlement(leases[1], "finish"))
    assert [job_id for _, job_id in await waiting] == ["1"]
    assert await line.jobs.results([]) == {}


async def test_outbox(redis: ArqRedis) -> None:
    """Records are read after a cursor, oldest first, and trimmed up to what was committed and no further."""
    line, outbox = await Line.of(redis), Outbox(redis)
    assert await outbox.read(START, count=9, block_ms=1) == []
    await line.enqueue(*(new_job(f"{number}") for number in range(5)))
    entries = await outbox.read(START, count=3, block_ms=1)
    assert [json.loads(entry.record)["job_id"] for entry in entries] == ["0", "1", "2"]
    assert {entry.at for entry in entries} == {line.clock.now_ms * 1000}
    assert await outbox.trim(entries[1].entry_id) == 2
    assert await outbox.length() == 3
    rest = await outbox.read(START, count=9, block_ms=1)
    assert rest[0] == entries[2]
    assert [json.loads(entry.record)["job_id"] for entry in rest] == ["2", "3", "4"]


async def test_outbox_has_a_name(redis: ArqRedis) -> None:
    """An outbox keeps its name as long as Redis keeps its data; a new Redis has another."""
    outbox = Outbox(redis)
    name = await outbox.source()
    assert name
    assert await Outbox(redis).source() == name
    await redis.flushall()
    assert await outbox.source() not in ("", name)


async def test_garbage_in_the_outbox(redis: ArqRedis) -> None:
    """An entry that is none of ours reaches the reader as it is, with no time."""
    await redis.xadd("pointsman:outbox", {"record": b"\xff", "at": "x"})
    await redis.xadd("pointsman:outbox", {"other": "1"})
    entries = await Outbox(redis).read(START, count=9, block_ms=1)
    assert [(entry.at, entry.record) for entry in entries] == [(0, b"\xff"), (0, b"")]


async def test_results_for_the_ledger(redis: ArqRedis) -> None:
    """The recorder finds the results that are still here, and is told of no others."""
    line, outbox = await Line.of(redis), Outbox(redis)
    await line.settle(settlement(await line.lease("a"), "finish"))
    assert await outbox.results(["a", "b"]) == {"a": b"{}"}
    assert await outbox.results([]) == {}
    assert isinstance(line.jobs, JobQueue)
