"""The reconciler on real services: what Redis or the ledger has lost comes to its end, and nothing else is touched."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from arq import ArqRedis
from queue_cases import BACKUP, MAIN, settlement
from reconciler_house import KEPT, LOOSE, STRICT, House, id_of, open_house
from structlog.testing import capture_logs

from pointsman_audit import Counts, ListedKind
from pointsman_queue import JobPlaces, Whereabouts, keys
from pointsman_routes import JobState

NAMES = ("j-0", "j-1", "j-2")


async def _emptied(house: House) -> None:
    """Redis loses everything; what asks it next finds another one."""
    await house.redis.flushall()


async def test_whole_redis_lost(redis: ArqRedis, ledger_url: str) -> None:
    """Jobs that the ledger had are taken in once more under their ids, salts and policies, and end exactly once."""
    async with open_house(redis, ledger_url) as house:
        await house.submit(*NAMES)
        await house.submit("k-0", task_class=KEPT, batch="other")
        await house.record()
        (done,) = await house.claim(1)
        await house.finish(done)
        await house.record()
        digests = {record["job_id"]: record["prompt_digest"] for record in await house.recorded(ListedKind.ACCEPTED)}
        await _emptied(house)
        await house.attend()
        assert not await redis.keys("arq:queue:*")
        await house.attend(seconds=61)
        await house.reconcile()
        assert house.reconciler.counts == Counts(redriven=3)
        again = [record for record in await house.recorded(ListedKind.ACCEPTED) if record.get("redriven")]
        assert {record["job_id"] for record in again} == set(digests) - {done.job_id}
        assert all(record["prompt_digest"] == digests[record["job_id"]] for record in again)
        await house.work()
        await house.reconcile()
        assert await house.finals() == dict.fromkeys(digests, 1)
        assert house.reconciler.counts == Counts(redriven=3)
        assert [await house.batch(batch) for batch in ("batch", "other")] in ([(2, 2), (1, 1)], [(3, 3), (0, 0)])


async def test_strange_redis_is_left_alone_for_a_minute(redis: ArqRedis, ledger_url: str) -> None:
    """A Redis the ledger has never recorded is said aloud to be one, and nothing is taken in for sixty seconds."""
    async with open_house(redis, ledger_url) as house:
        await house.submit("j-0")
        await house.record()
        await house.attend()
        await _emptied(house)
        with capture_logs() as logs:
            for _ in range(59):
                await house.attend(seconds=1)
        assert [log["log_level"] for log in logs if log["event"] == "reconciler.redis_is_new"] == ["warning"]
        assert house.reconciler.counts == Counts()
        await house.attend(seconds=2)
        assert house.reconciler.counts == Counts(redriven=1)


async def test_strange_redis_that_is_written_to(redis: ArqRedis, ledger_url: str) -> None:
    """It is as strange when producers and the recorder are at work on it before the reconciler sees it."""
    async with open_house(redis, ledger_url) as house:
        await house.submit("j-0")
        await house.record()
        await _emptied(house)
        await house.submit("j-1")
        await house.record()
        await house.attend(seconds=59)
        await house.attend(seconds=59)
        assert house.reconciler.counts == Counts()
        await house.attend(seconds=2)
        assert house.reconciler.counts == Counts(redriven=1)
        # Both are counted: the new Redis had not counted the lost one yet.
        assert await house.batch() == (2, 0)


async def test_first_redis_is_not_strange(redis: ArqRedis, ledger_url: str) -> None:
    """The first Redis a ledger records is reconciled at once."""
    async with open_house(redis, ledger_url) as house:
        await house.submit("j-0")
        await house.record()
        await house.lose(id_of("j-0"))
        await house.attend()
        assert house.reconciler.counts == Counts(redriven=1)


@pytest.mark.parametrize("task_class", [STRICT, KEPT, LOOSE])
@pytest.mark.parametrize("lost", ["hash", "place", "all"])
async def test_single_keys_lost(redis: ArqRedis, ledger_url: str, lost: str, task_class: str) -> None:
    """A job of which only a part is gone is taken in once more, from its envelope if need be; its batch counts it once.

    Only where nothing kept what it asks does it stay lost, and is reported.
    """
    async with open_house(redis, ledger_url) as house:
        await house.submit(*NAMES, task_class=task_class)
        await house.record()
        job_id = id_of("j-1")
        if lost == "all":
            await house.lose(job_id)
        elif lost == "hash":
            await redis.delete(keys.JOB + job_id)
        else:
            await redis.zrem(keys.QUEUE + MAIN, job_id)
        with capture_logs() as logs:
            await house.reconcile()
        stays = lost == "all" and task_class == LOOSE
        assert house.reconciler.counts == (Counts(stranded=1) if stays else Counts(redriven=1))
        told = [log for log in logs if log["event"] == "reconciler.job_stranded"]
        assert [(log["job_id"], log["reason"]) for log in told] == [(job_id, "no_line")] * stays
        await house.work()
        await house.reconcile()
        assert await house.finals() == {id_of(name): 1 for name in NAMES if not stays or name != "j-1"}
        assert await house.batch() == (3, 2 if stays else 3)


@pytest.mark.parametrize("step", ["delay", "hold", "leased", "move"])
async def test_half_lost_wherever_it_was(redis: ArqRedis, ledger_url: str, step: str) -> None:
    """A job whose hash names a set it is not in has no place, whichever state it is in; nothing of it is left over."""
    async with open_house(redis, ledger_url) as house:
        await house.submit("j-0")
        (lease,) = await house.claim(1)
        if step != "leased":
            ways: dict[str, dict[str, Any]] = {
                "delay": {"wait_ms": 60_000},
                "hold": {"tiers": (MAIN, BACKUP)},
                "move": {"to": BACKUP},
            }
            how = ways[step]
            await house.workers.settle([settlement(lease, step, **how)])
        await house.record()
        assert await JobPlaces(redis).look([lease.job_id]) == {lease.job_id: Whereabouts.PLACED}
        await house.attend()
        assert house.reconciler.counts == Counts()
        for name in (keys.DELAYED + MAIN, keys.HELD, keys.LEASES + MAIN, keys.QUEUE + BACKUP):
            await redis.zrem(name, lease.job_id)
        assert await JobPlaces(redis).look([lease.job_id]) == {lease.job_id: Whereabouts.ASTRAY}
        await house.reconcile()
        assert house.reconciler.counts == Counts(redriven=1)
        await house.work()
        await house.reconcile()
        assert await house.finals() == {lease.job_id: 1}
        assert await house.batch() == (1, 1)
        assert await house.recorded(ListedKind.QUARANTINED) == []


async def test_moved_back_before_it_is_cleared(redis: ArqRedis, ledger_url: str) -> None:
    """What is left of a job is not removed once somebody has put the job back where it belongs, or ended it."""
    async with open_house(redis, ledger_url) as house:
        await house.submit("j-0", "j-1")
        places = JobPlaces(redis)
        assert not await places.clear(id_of("j-0"))
        await house.finish(*await house.claim(1))
        assert [await places.clear(id_of(name)) for name in ("j-0", "j-1", "never")] == [False] * 3
        assert await house.batch() == (2, 1)


async def test_final_lost_on_its_way(redis: ArqRedis, ledger_url: str) -> None:
    """An end that never came to the ledger is recorded from the job's result, once, and says so."""
    async with open_house(redis, ledger_url) as house:
        await house.submit(*NAMES)
        await house.record()
        leases = await house.claim(2)
        await house.finish(leases[0])
        await house.finish(leases[1], state=JobState.FAILED)
        await redis.delete(keys.OUTBOX)
        await house.reconcile()
        assert house.reconciler.counts == Counts(rebuilt=2)
        await house.work()
        await house.reconcile()
        assert await house.finals() == {id_of(name): 1 for name in NAMES}
        ends = [await house.told(id_of(name)) for name in NAMES]
        rebuilt = {record["job_id"]: record for record in ends if record["rebuilt"]}
        assert {job_id: record["state"] for job_id, record in rebuilt.items()} == {
            leases[0].job_id: "succeeded",
            leases[1].job_id: "failed",
        }
        accepted = {record["job_id"]: record for record in await house.recorded(ListedKind.ACCEPTED)}
        for job_id, record in rebuilt.items():
            same = ("custom_id", "batch_id", "task_class", "prompt_digest", "policy_digest", "accepted_at")
            assert {name: record[name] for name in same} == {name: accepted[job_id][name] for name in same}


async def test_final_of_a_job_the_ledger_never_heard_of(redis: ArqRedis, ledger_url: str) -> None:
    """A job whose every record was lost has its end recorded all the same; what nobody knows is called unknown."""
    async with open_house(redis, ledger_url) as house:
        await house.submit("j-0")
        await house.work()
        await redis.delete(keys.OUTBOX)
        for number in range(300):
            await redis.set(f"noise:{number}", "1")
        await house.reconcile()
        (record,) = await house.recorded(ListedKind.FINAL)
        assert (record["job_id"], record["prompt_digest"], record["response_digest"]) == (id_of("j-0"), "unknown", None)
        assert house.reconciler.counts == Counts(rebuilt=1)


async def test_final_of_a_second_life(redis: ArqRedis, ledger_url: str) -> None:
    """A job that was taken in anew after Redis forgot it, and whose second end is lost, has that recorded, too."""
    async with open_house(redis, ledger_url) as house:
        await house.submit("j-0")
        await house.work()
        await house.record()
        await house.lose(id_of("j-0"))
        await house.submit("j-0")
        await house.record()
        await house.work()
        await redis.delete(keys.OUTBOX)
        await house.reconcile()
        assert house.reconciler.counts == Counts(rebuilt=1)
        assert await house.finals() == {id_of("j-0"): 2}


async def test_older_copy_of_the_ledger(redis: ArqRedis, tmp_path: Path) -> None:
    """An older copy put back: what ended since is recorded again from Redis, and nothing is asked a second time."""
    path, copy = tmp_path / "ledger.db", tmp_path / "copy.db"
    async with open_house(redis, f"sqlite:///{path}") as house:
        await house.submit(*NAMES)
        await house.record()
    shutil.copy(path, copy)
    async with open_house(redis, f"sqlite:///{path}") as house:
        await house.submit("late")
        await house.work()
        await house.record()
        assert await house.finals() == {id_of(name): 1 for name in (*NAMES, "late")}
    async with open_house(redis, f"sqlite:///{copy}") as house:
        await house.reconcile()
        assert house.reconciler.counts == Counts(rebuilt=4)
        assert await house.finals() == {id_of(name): 1 for name in (*NAMES, "late")}
        assert await house.claim() == ()


async def test_without_a_configuration(redis: ArqRedis, ledger_url: str) -> None:
    """Without one lost jobs are reported and lost ends are recorded; nothing is taken in."""
    async with open_house(redis, ledger_url, configured=False) as house:
        await house.submit(*NAMES)
        await house.record()
        await house.finish(*await house.claim(1))
        await redis.delete(keys.OUTBOX)
        await house.lose(id_of("j-2"))
        await house.reconcile()
        assert house.reconciler.counts == Counts(stranded=1, rebuilt=1)


async def test_lease_of_a_dead_worker(redis: ArqRedis, ledger_url: str) -> None:
    """A lease that ran out with no worker left is returned, its call is closed as unknown, and no tier seems served."""
    async with open_house(redis, ledger_url, lease_s=0.001) as house:
        await house.submit(*NAMES)
        await house.claim(2)
        await asyncio.sleep(0.005)
        gates = {name: await redis.hgetall(keys.GATE + name) for name in (MAIN, BACKUP)}  # type: ignore[misc]
        await house.reconcile()
        assert house.reconciler.counts == Counts(returned=2)
        assert await redis.zcard(keys.QUEUE + MAIN) == 3
        assert await redis.zcard(keys.LEASES + MAIN) == 0
        calls = await house.recorded(ListedKind.ATTEMPT)
        assert [call["outcome"] for call in calls] == ["unknown", "unknown"]
        for name, before in gates.items():
            after = await redis.hgetall(keys.GATE + name)  # type: ignore[misc]
            assert {field: after.get(field) for field in (b"served_until", b"conf")} == {
                field: before.get(field) for field in (b"served_until", b"conf")
            }


async def test_young_and_placed_jobs_are_left_alone(redis: ArqRedis, ledger_url: str) -> None:
    """A job accepted within half a minute is not looked at, and one in its place is never touched."""
    async with open_house(redis, ledger_url) as house:
        await house.submit(*NAMES)
        await house.record()
        await house.reconcile()
        house.time.ahead *= 0
        await house.lose(id_of("j-0"))
        await house.reconcile()
        assert house.reconciler.counts == Counts()
        assert len(await house.recorded(ListedKind.ACCEPTED)) == 3


async def test_past_its_deadline(redis: ArqRedis, ledger_url: str) -> None:
    """A lost job gets what is left of its time; one whose time is over expires and is never called for."""
    async with open_house(redis, ledger_url) as house:
        await house.submit("soon")
        await house.record()
        await _emptied(house)
        await house.attend()
        await house.attend(seconds=61)
        left_ms = float(await redis.hget(keys.JOB + id_of("soon"), "deadline") or 0)  # type: ignore[misc]
        seconds, micros = await redis.time()
        assert 58 * 60_000 < left_ms - (seconds * 1000 + micros / 1000) <= 59 * 60_000
        await house.record()
        await house.lose(id_of("soon"))
        house.time.ahead *= 120
        await house.attend(seconds=20)
        await asyncio.sleep(0.005)
        assert await house.claim() == ()
        await house.record()
        assert [record["state"] for record in await house.recorded(ListedKind.FINAL)] == ["expired"]


async def test_id_taken_by_another_job(redis: ArqRedis, ledger_url: str) -> None:
    """What stands under a lost job's name and is none stays as it is; the others are taken in."""
    async with open_house(redis, ledger_url) as house:
        await house.submit(*NAMES)
        await house.record()
        for name in NAMES:
            await house.lose(id_of(name))
        await redis.set(keys.JOB + id_of("j-0"), "a text")
        # Half of a job, with another question's digest.
        await redis.hset(keys.JOB + id_of("j-1"), mapping={"digest": "f" * 16})  # type: ignore[misc]
        await house.reconcile()
        assert house.reconciler.counts.stranded == 1
        assert house.reconciler.counts.redriven == 2
        assert await redis.get(keys.JOB + id_of("j-0")) == b"a text"


async def test_no_content_in_logs(redis: ArqRedis, ledger_url: str) -> None:
    """What a job asks is in no log line of the reconciler."""
    async with open_house(redis, ledger_url, configured=False) as house:
        await house.submit(*NAMES)
        await house.record()
        await house.lose(id_of("j-0"))
        with capture_logs() as logs:
            await house.reconcile()
        assert "Which way?" not in json.dumps(logs, default=str)
        assert any(log["event"] == "reconciler.job_stranded" for log in logs)
