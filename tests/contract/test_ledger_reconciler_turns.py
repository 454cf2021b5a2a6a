"""Reconcilers' turns, one pass over everything, and what stands in their way."""

import asyncio
from collections.abc import Sequence

import pytest
from arq import ArqRedis
from audit_records import accepted
from queue_cases import MAIN, make_job
from reconciler_house import KEEP, LOOSE, STRICT, id_of, open_house
from structlog.testing import capture_logs

from pointsman_audit import Act, Counts, Reconciled, Reconciler, ReconcilerHindered, WhyStranded, sweep
from pointsman_producer import JobEncoder
from pointsman_queue import JobPlaces, JobQueue, Turn, Whereabouts, keys

NAMES = ("j-0", "j-1", "j-2")


async def test_two_reconcilers(redis: ArqRedis, ledger_url: str) -> None:
    """Two at the same time take each lost job in once, and write each lost end once."""
    async with open_house(redis, ledger_url) as house, open_house(redis, ledger_url) as other:
        await house.submit(*(f"j-{number}" for number in range(40)))
        await house.record()
        over = await house.claim(20)
        await house.finish(*over)
        await redis.delete(keys.OUTBOX)
        for number in range(30, 40):
            await house.lose(id_of(f"j-{number}"))
        other.reconciler._yard.turn._name = "second"
        for _ in range(12):
            await asyncio.gather(house.attend(seconds=5), other.attend(seconds=5))
            await house.record()
        both = [house.reconciler.counts, other.reconciler.counts]
        assert sum(counts.rebuilt for counts in both) == len(over)
        assert sum(counts.redriven for counts in both) == 10
        await house.work()
        await house.reconcile()
        assert set((await house.finals()).values()) == {1}
        assert len(await house.finals()) == 40


async def test_another_has_its_turn(redis: ArqRedis, ledger_url: str) -> None:
    """While another reconciler works nothing is done; after its turn, and after a close, it is ours."""
    async with open_house(redis, ledger_url) as house:
        await house.submit("j-0")
        await house.record()
        await house.lose(id_of("j-0"))
        turn = house.yard().turn
        assert await turn.take() is Turn.TAKEN
        assert await turn.take() is Turn.KEPT
        await house.attend()
        assert house.reconciler.counts == Counts()
        with pytest.raises(ReconcilerHindered, match="another reconciler is at work"):
            await house.full_pass(yard=house.yard("third"))
        await turn.release()
        await house.attend(seconds=11)
        assert house.reconciler.counts == Counts(redriven=1)
        await house.reconciler.close()
        assert await turn.take() is Turn.TAKEN


async def test_nothing_is_written_without_the_turn(redis: ArqRedis, ledger_url: str) -> None:
    """A reconciler that froze and lost its turn writes no record and takes no job in when it goes on."""
    async with open_house(redis, ledger_url) as house:
        await house.submit("lost", "over")
        await house.record()
        await house.lose(id_of("lost"))
        await house.work()
        await redis.delete(keys.OUTBOX)
        await redis.xadd(keys.OUTBOX, {"at": "1", "record": "{}"})
        await house.attend()
        await house.record()
        await redis.delete(keys.RECONCILER)
        assert await house.yard().turn.take() is Turn.TAKEN
        await house.attend()
        assert house.reconciler.counts == Counts()
        assert await redis.xlen(keys.OUTBOX) == 0


async def test_full_pass(redis: ArqRedis, ledger_url: str) -> None:
    """A dry run tells all and changes nothing; the pass does it; after it nothing is found."""
    async with open_house(redis, ledger_url) as house:
        await house.submit(*NAMES)
        leases = await house.claim(1)
        await house.submit("l-0", task_class=LOOSE)
        await house.record()
        await house.finish(*leases)
        _, (over,) = await JobPlaces(redis).over(0, 10_000)
        await redis.delete(keys.OUTBOX)
        left = [name for name in NAMES if id_of(name) != over]
        for name in (left[0], "l-0"):
            await house.lose(id_of(name))
        wanted = {
            Reconciled(Act.REDRIVEN, id_of(left[0]), "batch", STRICT),
            Reconciled(Act.STRANDED, id_of("l-0"), "batch", LOOSE, WhyStranded.NO_LINE),
            Reconciled(Act.REBUILT, over, "batch", STRICT),
        }
        before = await redis.dbsize()
        assert set(await house.full_pass(dry_run=True)) == wanted
        assert (await redis.dbsize(), await redis.exists(keys.OUTBOX)) == (before, 0)
        assert set(await house.full_pass()) == wanted
        await house.record()
        assert [entry.act for entry in await house.full_pass()] == [Act.STRANDED]


async def test_full_pass_waits_for_the_recorder(redis: ArqRedis, ledger_url: str) -> None:
    """With records that nobody records nothing is done, and the error says what to do; nor on a strange Redis."""
    async with open_house(redis, ledger_url) as house:
        await house.submit(*NAMES)
        await house.record()
        await house.submit("late")
        await house.lose(id_of("j-0"))
        with pytest.raises(ReconcilerHindered, match="pointsman recorder"):
            await house.full_pass()
        assert not await redis.exists(keys.JOB + id_of("j-0"))
        assert not await redis.exists(keys.RECONCILER)
        await house.record()
        await redis.flushall()
        with pytest.raises(ReconcilerHindered, match="never recorded this Redis"):
            await house.full_pass()
        assert not await redis.keys("arq:*")


async def test_full_redis_does_not_stop_the_recorder(redis: ArqRedis, ledger_url: str) -> None:
    """A Redis that takes no jobs is told of once and tried again; the jobs are taken in once there is room."""
    async with open_house(redis, ledger_url) as house:
        await house.submit(*NAMES)
        await house.record()
        await house.lose(id_of("j-0"))
        used = int((await redis.info("memory"))["used_memory"])
        await redis.config_set("maxmemory", int(used * 1.2))
        try:
            with capture_logs() as logs:
                for _ in range(3):
                    await house.attend(seconds=11)
            assert [log["event"] for log in logs].count("reconciler.interrupted") == 1
        finally:
            await redis.config_set("maxmemory", 0)
        await house.reconcile()
        assert house.reconciler.counts == Counts(redriven=1)


async def test_id_taken_in_the_last_moment(redis: ArqRedis, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A producer that takes a lost job's id for another question meanwhile keeps it; the others are taken in."""
    async with open_house(redis, ledger_url) as house:
        await house.submit(*NAMES)
        await house.record()
        for name in NAMES:
            await house.lose(id_of(name))
        other = make_job("j-1", "Another question").model_copy(update={"task_class": STRICT})
        await JobQueue(redis, keep_results=KEEP).enqueue("batch", [JobEncoder(house.table).encode("batch", other, 0)])
        await house.record()

        async def look(_: JobPlaces, job_ids: Sequence[str]) -> dict[str, Whereabouts]:
            return dict.fromkeys(job_ids, Whereabouts.GONE)

        monkeypatch.setattr(JobPlaces, "look", look)
        found = await house.full_pass()
        assert {(entry.job_id, entry.act, entry.reason) for entry in found} == {
            (id_of("j-0"), Act.REDRIVEN, None),
            (id_of("j-1"), Act.STRANDED, WhyStranded.CONFLICT),
            (id_of("j-2"), Act.REDRIVEN, None),
        }
        assert await redis.zcard(keys.QUEUE + MAIN) == 3


async def test_ends_and_is_forgotten_under_its_eyes(
    redis: ArqRedis, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that ends and leaves Redis in the very moment it is looked for is not lost: its end is on its way."""
    async with open_house(redis, ledger_url) as house:
        await house.submit("j-0")
        leases = await house.claim(1)
        await house.record()
        real = JobPlaces.look

        async def look(places: JobPlaces, job_ids: Sequence[str]) -> dict[str, Whereabouts]:
            monkeypatch.setattr(JobPlaces, "look", real)
            await house.finish(*leases)
            await redis.delete(keys.JOB + id_of("j-0"))
            return await real(places, job_ids)

        monkeypatch.setattr(JobPlaces, "look", look)
        await house.attend()
        await house.attend()
        await house.reconcile()
        assert house.reconciler.counts == Counts()
        assert await house.finals() == {id_of("j-0"): 1}


async def test_moves_under_its_eyes(redis: ArqRedis, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that is claimed between the look at its state and the look at its place has a place."""
    async with open_house(redis, ledger_url) as house:
        await house.submit("j-0")
        await house.record()
        real = JobPlaces._signs

        async def signs(places: JobPlaces, job_ids: Sequence[str]) -> list[object]:
            found = await real(places, job_ids)
            await house.claim(1)
            return found

        monkeypatch.setattr(JobPlaces, "_signs", signs)
        assert await JobPlaces(redis).look([id_of("j-0")]) == {id_of("j-0"): Whereabouts.PLACED}


async def test_page_by_page(redis: ArqRedis, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep goes through all open jobs a page a second, rests, and begins anew; the turn is free in between."""
    monkeypatch.setattr(sweep, "PAGE", 2)
    async with open_house(redis, ledger_url) as house:
        names = [f"p-{number}" for number in range(5)]
        for name in names:
            await house.submit(name, task_class=LOOSE)
        await house.record()
        for name in names[1:]:
            await house.lose(id_of(name))
        found = []
        for _ in range(3):
            await house.attend(seconds=1)
            found.append((house.reconciler.counts.stranded, await redis.exists(keys.RECONCILER)))
        assert found == [(1, 1), (3, 1), (4, 0)]
        for _ in range(7):
            await house.attend(seconds=1)
            assert not await redis.exists(keys.RECONCILER)
        await house.attend(seconds=1)
        assert await redis.exists(keys.RECONCILER)
        assert house.reconciler.counts == Counts(stranded=4)


async def test_stretch_by_stretch(redis: ArqRedis, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ended jobs that the ledger never heard of are found all over Redis, a stretch in each sweep."""
    monkeypatch.setattr(sweep, "PAGE", 10)
    async with open_house(redis, ledger_url) as house:
        names = [f"p-{number}" for number in range(40)]
        await house.submit(*names)
        await house.work()
        await redis.delete(keys.OUTBOX)
        await house.reconcile(rounds=60)
        assert await house.finals() == {id_of(name): 1 for name in names}


async def test_what_another_wrote_meanwhile(redis: ArqRedis, ledger_url: str) -> None:
    """What was seen before another reconciler had its turn counts no more: it may have written the same end since."""
    async with open_house(redis, ledger_url) as house:
        await house.submit("over")
        await house.record()
        await house.work()
        await redis.delete(keys.OUTBOX)
        await redis.xadd(keys.OUTBOX, {"at": "1", "record": "{}"})
        await house.attend()
        await house.record()
        await redis.delete(keys.RECONCILER)
        other = Reconciler(house.ledger, house.yard("second"), clock=house.time.wall, monotonic=house.time.monotonic)
        await house.attend(other)
        assert other.counts == Counts(rebuilt=1)
        await house.attend()
        await house.reconcile()
        assert await house.finals() == {id_of("over"): 1}
        assert house.reconciler.counts == Counts()


async def test_record_without_a_turn(redis: ArqRedis, ledger_url: str) -> None:
    """A record under the turn gets there only while the turn lasts."""
    async with open_house(redis, ledger_url) as house:
        turn = house.yard("one").turn
        assert not await turn.write(accepted("job"))
        await turn.take()
        assert await turn.write(accepted("job"))
        await redis.delete(keys.RECONCILER)
        await house.yard("two").turn.take()
        assert not await turn.write(accepted("job"))
        await turn.release()
        assert await redis.get(keys.RECONCILER) == b"two"
        assert await redis.xlen(keys.OUTBOX) == 1


async def test_emptied_behind_the_recorder(redis: ArqRedis, ledger_url: str) -> None:
    """A Redis that was emptied after the recorder saw its name is not taken for the one that was recorded."""
    async with open_house(redis, ledger_url) as house:
        await house.submit("j-0")
        await house.record()
        source = await house.outbox.source()
        await redis.flushall()
        await house.reconciler.attend(source, await house.ledger.cursor(source))
        assert house.reconciler.counts == Counts()
        assert not await redis.exists(keys.JOB + id_of("j-0"))
