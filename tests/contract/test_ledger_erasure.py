"""Erasing: nothing of a job's texts is left in ledger or Redis, and the chain is as it was."""

import random
import sqlite3
import uuid
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from typing import Any

import pytest
import servers
from arq import ArqRedis
from audit_records import NOON, final
from erasure_world import (
    ORDER,
    accept,
    finish,
    found_in_files,
    found_in_redis,
    found_in_tables,
    keeping,
    make_job,
    names_in_files,
    record,
    vacuums,
)
from sqlalchemy import event

from pointsman_audit import (
    Batch,
    Erased,
    ErasureOrder,
    Fate,
    Ledger,
    Roles,
    draft_of,
    erasable,
    erase,
    examine,
    jobs_about,
    scrub,
)
from pointsman_audit.content import Answered, Asked
from pointsman_producer import JobEncoder
from pointsman_queue import JobQueue, JobTraces, Wiped, keys
from pointsman_routes import JobConflict, JobState

PROMPT, ANSWER, SUBJECT = "the canary of a patient", "take two canaries", "person-4711"
TEXTS = (PROMPT, ANSWER, SUBJECT)


@asynccontextmanager
async def making(url: str) -> AsyncIterator[Ledger]:
    """A ledger, made first."""
    async with Ledger.open(url, make=True) as ledger:
        yield ledger


async def erase_all(
    redis: ArqRedis, ledger: Ledger, job_ids: Collection[str], order: ErasureOrder = ORDER
) -> dict[str, Erased]:
    """Erase as the command does."""
    traces = JobTraces(redis)
    wiped = [job_id for job_id in job_ids if await traces.wipe(job_id) is Wiped.WIPED]
    done = await erase(ledger, job_ids, order, wiped=wiped)
    assert await scrub(ledger) is None
    return done


async def erasures(ledger: Ledger, job_id: str) -> list[dict[str, Any]]:
    """The records of a job's erasure."""
    return [told for told in await ledger.story(job_id) if told["kind"] == "erasure"]


@pytest.mark.parametrize("size", [0, 30_000])
async def test_nothing_is_left(ledger_url: str, redis: ArqRedis, size: int) -> None:
    """Before, the texts are in the content table and in three keys of Redis; afterwards they are nowhere at all."""
    prompt, answer = PROMPT + "x" * size, ANSWER + "y" * size
    gone, stays = await accept(redis, make_job("a", prompt, SUBJECT), make_job("b", "another prompt", "person-2"))
    digest = (await redis.hget(keys.JOB + gone, "digest")).decode()  # type: ignore[misc]  # both clients
    async with making(ledger_url) as ledger:
        await record(redis, ledger)
        # Of one that failed Redis also keeps the prompt.
        await finish(redis, gone, answer, JobState.FAILED)
        await finish(redis, stays, "another answer")
        await record(redis, ledger)
        assert await found_in_tables(ledger, *TEXTS) == {"content"}
        assert await found_in_redis(redis, *TEXTS, digest) == {prefix + gone for prefix in (
            keys.ENVELOPE, keys.RESULT, keys.JOB)}  # fmt: skip
        salt = (await _row(ledger, gone))["salt"]
        done = await erase_all(redis, ledger, [gone])
        assert done == {gone: Erased(Fate.ERASED, await ledger.head())}
        for name in (*TEXTS, salt):
            assert await found_in_tables(ledger, name) == set(), name
        assert await found_in_redis(redis, *TEXTS, salt, digest) == set()
        assert found_in_files(ledger_url, *TEXTS, salt) == set()
        assert (await _row(ledger, stays))["subject"] == "person-2"
        assert (await examine(ledger, [], [])).ok
        (told,) = await erasures(ledger, gone)
        assert {name: told[name] for name in ("scope", "erased", "reason", "by", "task_class")} == {
            "scope": "job", "erased": True, "reason": ORDER.reason, "by": "ann", "task_class": "triage"
        }  # fmt: skip
    if ledger_url.startswith("postgresql"):
        assert await vacuums(ledger_url) == 1


async def _row(ledger: Ledger, job_id: str) -> dict[str, Any]:
    async with ledger.reading() as connection:
        rows = await connection.exec_driver_sql(f"SELECT * FROM content WHERE job_id = '{job_id}'")
        return dict(rows.mappings().one())


async def test_second_time(ledger_url: str, redis: ArqRedis) -> None:
    """What is erased already is left as it is: no second record, the chain does not grow."""
    (job_id,) = await accept(redis, make_job("a", PROMPT))
    await finish(redis, job_id, ANSWER)
    async with making(ledger_url) as ledger:
        await record(redis, ledger)
        await erase_all(redis, ledger, [job_id])
        head = await ledger.head()
        assert await erase_all(redis, ledger, [job_id]) == {job_id: Erased(Fate.NOTHING_LEFT)}
        assert await ledger.head() == head
        assert len(await erasures(ledger, job_id)) == 1
        # Something came back: that it was erased once more is a fact of its own.
        await redis.set(keys.RESULT + job_id, ANSWER)
        assert (await erase_all(redis, ledger, [job_id]))[job_id].fate is Fate.ERASED
        assert [told["erased"] for told in await erasures(ledger, job_id)] == [True, False]


async def test_nothing_was_kept(ledger_url: str, redis: ArqRedis) -> None:
    """Of a job whose content is over a record says that it was asked for, and that the ledger held nothing."""
    (job_id,) = await accept(redis, make_job("a", PROMPT), keep_content="0")
    await finish(redis, job_id, ANSWER)
    await redis.delete(keys.RESULT + job_id, keys.JOB + job_id, keys.ENVELOPE + job_id)
    async with making(ledger_url) as ledger:
        await record(redis, ledger)
        async with ledger.writing() as connection:
            await connection.exec_driver_sql("DELETE FROM content")
        assert (await erase_all(redis, ledger, [job_id]))[job_id].fate is Fate.NOTHING_LEFT
        assert [told["erased"] for told in await erasures(ledger, job_id)] == [False]


async def test_what_cannot_be_erased(ledger_url: str, redis: ArqRedis) -> None:
    """A job without an end, one that was taken in anew, and one nobody knows are left alone, beside one that is not."""
    jobs = [make_job(name, f"{PROMPT} {name}") for name in ("open", "again", "done")]
    is_open, again, done = await accept(redis, *jobs)
    for job_id in (again, done):
        await finish(redis, job_id, ANSWER)
    async with making(ledger_url) as ledger:
        await record(redis, ledger)
        await redis.delete(keys.JOB + again)
        await accept(redis, jobs[1])
        await record(redis, ledger)
        everyone = [is_open, again, "nobody", done]
        assert await erasable(ledger, everyone) == {
            is_open: Fate.UNFINISHED, again: Fate.UNFINISHED, "nobody": Fate.UNKNOWN, done: None
        }  # fmt: skip
        fates = await erase_all(redis, ledger, everyone)
        assert {job_id: one.fate for job_id, one in fates.items()} == {
            is_open: Fate.UNFINISHED, again: Fate.UNFINISHED, "nobody": Fate.UNKNOWN, done: Fate.ERASED
        }  # fmt: skip
        assert await found_in_tables(ledger, f"{PROMPT} open") == {"content"}
        assert await found_in_tables(ledger, f"{PROMPT} again") == {"content"}
        assert [await redis.exists(keys.ENVELOPE + job_id) for job_id in everyone] == [1, 1, 0, 0]


async def test_subject(ledger_url: str, redis: ArqRedis) -> None:
    """By a subject every job about it is found, and none about another; records do not name it."""
    names = [make_job(f"t-{number}", PROMPT, SUBJECT) for number in range(3)]
    *about, other = await accept(redis, *names, make_job("other", "prompt of another", SUBJECT + "0"))
    for job_id in (*about, other):
        await finish(redis, job_id, ANSWER)
    async with making(ledger_url) as ledger:
        await record(redis, ledger)
        assert set(await jobs_about(ledger, SUBJECT)) == set(about)
        order = ErasureOrder("subject", "asked for", "ann")
        done = await erase_all(redis, ledger, about, order)
        assert [done[job_id].seq for job_id in about] == [10, 11, 12]
        assert await jobs_about(ledger, SUBJECT) == []
        assert await jobs_about(ledger, SUBJECT + "0") == [other]
        for seq, job_id in enumerate(about, 10):
            (told,) = await erasures(ledger, job_id)
            assert (told["scope"], told["seq"]) == ("subject", seq)
        assert (await examine(ledger, [], [])).ok


async def test_crash_between_redis_and_ledger(ledger_url: str, redis: ArqRedis) -> None:
    """Who dies after Redis was cleaned, or in the transaction, leaves no record; the same once more does it all."""
    (job_id,) = await accept(redis, make_job("a", PROMPT))
    await finish(redis, job_id, ANSWER)
    async with making(ledger_url) as ledger:
        await record(redis, ledger)
        assert await JobTraces(redis).wipe(job_id) is Wiped.WIPED
        assert await found_in_redis(redis, *TEXTS) == set()

        def die(*_: Any) -> None:
            raise KeyboardInterrupt

        engine = ledger._engine.sync_engine
        event.listen(engine, "commit", die)
        with pytest.raises(KeyboardInterrupt):
            await erase(ledger, [job_id], ORDER, wiped=[job_id])
        event.remove(engine, "commit", die)
    async with making(ledger_url) as ledger:
        assert await erasures(ledger, job_id) == []
        assert await found_in_tables(ledger, *TEXTS) == {"content"}
        done = await erase_all(redis, ledger, [job_id])
        assert done[job_id].fate is Fate.ERASED
        assert len(await erasures(ledger, job_id)) == 1
        assert found_in_files(ledger_url, *TEXTS) == set()
        assert (await examine(ledger, [], [])).ok


async def test_recorder_goes_on(ledger_url: str, redis: ArqRedis) -> None:
    """A recorder that was at work before an erasure by another process keeps content afterwards, as before."""
    first, second = make_job("a", PROMPT), make_job("b", "another prompt")
    async with making(ledger_url) as recording, making(ledger_url) as ledger:
        (job_id,) = await accept(redis, first)
        await finish(redis, job_id, ANSWER)
        await record(redis, recording)
        assert await recording.answer(job_id) is not None
        assert (await erase_all(redis, ledger, [job_id]))[job_id].fate is Fate.ERASED
        assert await recording.answer(job_id) is None
        (other,) = await accept(redis, second)
        await finish(redis, other, "another answer")
        await record(redis, recording)
        assert await recording.answer(other) is not None
        assert (await examine(ledger, [], [])).ok


async def test_redis_of_a_job_under_way(redis: ArqRedis) -> None:
    """Nothing is taken from a job that a worker may have; of one that is over, what it cost stays."""
    (job_id,) = await accept(redis, make_job("a", PROMPT))
    traces = JobTraces(redis)
    assert await traces.wipe("nobody") is Wiped.NONE
    before = await redis.hgetall(keys.JOB + job_id)  # type: ignore[misc]  # typed for both clients
    assert await traces.wipe(job_id) is Wiped.UNDER_WAY
    assert await redis.hgetall(keys.JOB + job_id) == before  # type: ignore[misc]
    assert await redis.exists(keys.ENVELOPE + job_id)
    await finish(redis, job_id, ANSWER)
    assert await traces.wipe(job_id) is Wiped.WIPED
    assert await redis.hgetall(keys.JOB + job_id) == {  # type: ignore[misc]
        **before, b"state": b"succeeded", b"digest": b"erased"
    }  # fmt: skip
    assert await traces.wipe(job_id) is Wiped.NONE


async def test_not_asked_anew(redis: ArqRedis) -> None:
    """The job that was erased, handed in again under its id, is a conflict and not a new job."""
    job = make_job("a", PROMPT)
    (job_id,) = await accept(redis, job)
    await finish(redis, job_id, ANSWER)
    await JobTraces(redis).wipe(job_id)
    queue = JobQueue(redis, keep_results=keeping().classes["triage"].keep_content)
    with pytest.raises(JobConflict, match=job_id):
        await queue.enqueue("batch", [JobEncoder(keeping()).encode("batch", job, 0)])


async def test_no_copy_in_gaps_of_pages(tmp_path: Any) -> None:
    """Rows that grew, and were moved when pages were divided, leave nothing of themselves in SQLite's file."""
    url, chance = f"sqlite:///{tmp_path / 'ledger.db'}", random.Random(1)
    ids = [f"{chance.getrandbits(96):024x}" for _ in range(3000)]
    async with making(url) as ledger:
        cursor = "0-0"
        for first in range(0, len(ids), 50):
            some, following = ids[first : first + 50], f"{first + 1}-0"
            asked = tuple(
                Asked(name, "triage", f"SUBJ-{name}", f"SALT-{name}",
                      f"PROMPT-{name}" + "x" * chance.choice([10, 100, 300, 900, 2000, 6000]), 1, NOON * 2)
                for name in some
            )  # fmt: skip
            answered = tuple(
                Answered(name, "triage", f"ANSWER-{name}" + "y" * chance.choice([10, 300, 3000]), 1, NOON * 2)
                for name in chance.sample(ids[: first + 50], 30)
            )
            drafts = tuple(draft_of(final(name), NOON) for name in some)
            batch = Batch(source="s", after=cursor, until=following, entries=drafts, asked=asked, answered=answered)
            await ledger.append(batch)
            cursor = following
        gone = chance.sample(ids, 1500)
        assert set((await erase(ledger, gone, ORDER)).values()) == {
            Erased(Fate.ERASED, seq) for seq in range(3001, 4501)
        }
        assert await scrub(ledger) is None
        left = names_in_files(url)
        assert left & set(gone) == set()
        assert left == set(ids) - set(gone)
        assert (await examine(ledger, [], [])).ok


async def test_table_is_as_it_was_made(tmp_path: Any) -> None:
    """Writing SQLite's content table anew leaves its form, its indexes and the other jobs' rows as they were."""
    path = tmp_path / "ledger.db"
    form = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"
    async with making(f"sqlite:///{path}") as ledger:
        asked = [Asked(name, "triage", None, "s", "{}", 1, NOON) for name in ("a", "b", "c")]
        drafts = tuple(draft_of(final(one.job_id), NOON) for one in asked)
        await ledger.append(Batch(source="s", after="0-0", until="1-0", entries=drafts, asked=tuple(asked)))
        with closing(sqlite3.connect(path)) as reader:
            before = reader.execute(form).fetchall(), reader.execute("SELECT * FROM content ORDER BY job_id").fetchall()
            await erase(ledger, ["b"], ORDER)
            after = reader.execute(form).fetchall(), reader.execute("SELECT * FROM content ORDER BY job_id").fetchall()
            assert reader.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert after == (before[0], [before[1][0], before[1][2]])


async def test_reader_holds_deleted_pages(tmp_path: Any) -> None:
    """While somebody reads SQLite's ledger as it was, the file beside it keeps deleted pages; that is said."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    patience = timedelta(milliseconds=50)
    async with Ledger.open(url, make=True, busy_timeout=patience) as ledger, making(url) as other:
        asked = Asked("a", "triage", SUBJECT, "s", PROMPT, 1, NOON)
        await ledger.append(
            Batch(source="s", after="0-0", until="1-0", entries=(draft_of(final("a"), NOON),), asked=(asked,))
        )
        async with other.reading() as reader:
            await reader.exec_driver_sql("SELECT count(*) FROM content")
            await erase(ledger, ["a"], ORDER)
            left = await scrub(ledger)
            assert left is not None
            assert left.again
            assert "run this again" in left.text
            assert found_in_files(url, PROMPT) == {PROMPT}
        assert await scrub(ledger) is None
        assert found_in_files(url, *TEXTS) == set()


async def test_operator_erases(postgres_server: servers.PostgresServer, postgres_url: str, redis: ArqRedis) -> None:
    """A role that may not read content erases it; that it may not vacuum is said, with what its owner runs."""
    role = f"operator_{uuid.uuid4().hex[:8]}"
    (job_id,) = await accept(redis, make_job("a", PROMPT, SUBJECT))
    await finish(redis, job_id, ANSWER)
    postgres_server.command(postgres_url, f"CREATE ROLE {role} LOGIN")
    async with making(postgres_url) as ledger:
        await record(redis, ledger)
        await ledger.migrate(roles=Roles(operator=role))
        async with Ledger.open(postgres_url.replace("postgres@", f"{role}@")) as operating:
            assert await jobs_about(operating, SUBJECT) == [job_id]
            assert (await erase(operating, [job_id], ORDER))[job_id].fate is Fate.ERASED
            left = await scrub(operating)
            assert left is not None
            assert not left.again
            assert "VACUUM content" in left.text
            assert (await examine(operating, [], [])).ok
        assert await found_in_tables(ledger, *TEXTS) == set()
    postgres_server.command(postgres_url, f"DROP OWNED BY {role}", f"DROP ROLE {role}")
