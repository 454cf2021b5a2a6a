"""Content: what was asked and answered is in the ledger for as long as its class says, and nowhere else in it."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from arq import ArqRedis
from audit_records import NOON, accepted, final, put
from recorder_parts import until
from route_cases import make_table
from sqlalchemy import select
from structlog.testing import capture_logs

from pointsman_audit import Batch, Head, Ledger, Recorder, content_intake, draft_of
from pointsman_audit.schema import content
from pointsman_queue import Outbox, encode_envelope, keys
from pointsman_routes import ErasureRecord, Job, JobState, PolicyRecord, RouteTable, Wire

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
"""`NOON` of the records."""
DAY = timedelta(days=1)
_CANARY = "the patient's secret"


class Clock:
    """A clock the test sets."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


def policy(**task_class: Any) -> RouteTable:
    """A configuration whose class `triage` keeps content as told."""
    return make_table(task_class=task_class)


def announced(table: RouteTable) -> PolicyRecord:
    """What tells the ledger of a configuration."""
    return PolicyRecord(role="producer", policy_digest=table.policy_digest, by="p1", policy=table.policy)


def under(table: RouteTable, *records: Wire) -> Sequence[Wire]:
    """Records of jobs accepted and ended under a configuration."""
    return [record.model_copy(update={"policy_digest": table.policy_digest}) for record in records]


async def ask(redis: ArqRedis, job_id: str, **fields: Any) -> Job:
    """Put a job's envelope and its result into Redis."""
    job = Job.model_validate(
        {"custom_id": job_id, "class": "triage", "messages": [{"role": "user", "content": _CANARY}], **fields}
    )
    await redis.set(keys.ENVELOPE + job_id, encode_envelope(job, 0, salt=f"salt-{job_id}"))
    await redis.set(keys.RESULT + job_id, f'{{"id":"{job_id}","text":"h\N{LATIN SMALL LETTER E WITH ACUTE}"}}')
    return job


@asynccontextmanager
async def recording(url: str, redis: ArqRedis) -> AsyncIterator[tuple[Recorder, Ledger, Clock]]:
    """A recorder, its ledger, and the clock of both."""
    clock = Clock()
    async with Ledger.open(url, make=True, clock=clock) as ledger:
        yield Recorder(Outbox(redis), ledger, clock=clock), ledger, clock


async def rows(ledger: Ledger) -> dict[str, Any]:
    """Everything in the content table, by job."""
    async with ledger.reading() as connection:
        return {row.job_id: row for row in (await connection.execute(select(content))).all()}


async def test_kept_from_acceptance_to_the_end_of_its_time(ledger_url: str, redis: ArqRedis) -> None:
    """Line, salt and subject are kept from acceptance on, the answer from the end on, all until the time is over."""
    table = policy(keep_content="1d")
    job = await ask(redis, "j1", metadata={"subject": "person-7"})
    async with recording(ledger_url, redis) as (recorder, ledger, clock):
        await put(redis, [announced(table), *under(table, accepted("j1"))])
        await recorder.drain()
        kept = (await rows(ledger))["j1"]
        assert (kept.task_class, kept.salt, kept.subject, kept.answer) == ("triage", "salt-j1", "person-7", None)
        assert Job.model_validate_json(kept.job) == job
        await put(redis, under(table, final("j1")))
        await recorder.drain()
        answer = '{"id":"j1","text":"h\N{LATIN SMALL LETTER E WITH ACUTE}"}'
        assert await ledger.answer("j1") == answer
        assert (await rows(ledger))["j1"].salt == "salt-j1"
        clock.now = START + DAY - timedelta(microseconds=1)
        assert await ledger.answer("j1") == answer
        assert await ledger.forget_content() == 0
        clock.now = START + DAY
        assert await ledger.answer("j1") is None
        assert await ledger.forget_content() == 1
        assert await rows(ledger) == {}


async def test_both_in_one_batch(ledger_url: str, redis: ArqRedis) -> None:
    """A job that ended before its acceptance was recorded has all of its content kept, and Redis drops its prompt."""
    table = policy(keep_content="1d")
    for job_id in ("good", "bad"):
        await ask(redis, job_id)
    ends = (final("good"), final("bad", state=JobState.FAILED))
    await put(redis, [announced(table), *under(table, accepted("good"), accepted("bad"), *ends)])
    async with recording(ledger_url, redis) as (recorder, ledger, _):
        await recorder.drain()
        kept = await rows(ledger)
        assert {job_id: (row.salt, row.answer is not None) for job_id, row in kept.items()} == {
            "good": ("salt-good", True),
            "bad": ("salt-bad", False),
        }
        assert {row.expires_at for row in kept.values()} >= {NOON + 3 + 24 * 3600 * 1_000_000}
    # What failed may be asked again by hand.
    assert [await redis.exists(keys.ENVELOPE + job_id) for job_id in ("good", "bad")] == [0, 1]


async def test_prompt_of_a_job_taken_in_anew_stays(ledger_url: str, redis: ArqRedis) -> None:
    """A prompt is not dropped if its job has meanwhile been taken in once more."""
    table = policy(keep_content="1d")
    await ask(redis, "j1")
    await redis.hset(keys.JOB + "j1", "state", "queued")  # type: ignore[misc]  # typed for both clients
    await put(redis, [announced(table), *under(table, accepted("j1"), final("j1"))])
    async with recording(ledger_url, redis) as (recorder, _, _clock):
        await recorder.drain()
    assert await redis.exists(keys.ENVELOPE + "j1") == 1


@pytest.mark.parametrize("acceptance", ["redis", "ledger"])
async def test_nothing_is_kept(ledger_url: str, redis: ArqRedis, acceptance: str) -> None:
    """A class that keeps nothing has nothing in the ledger; a strict one has its job there until it ends."""
    table = policy(keep_content="0", acceptance=acceptance)
    await ask(redis, "j1")
    async with recording(ledger_url, redis) as (recorder, ledger, _):
        await put(redis, [announced(table), *under(table, accepted("j1"))])
        await recorder.drain()
        assert set(await rows(ledger)) == ({"j1"} if acceptance == "ledger" else set())
        await put(redis, under(table, final("j1")))
        await recorder.drain()
        assert await rows(ledger) == {}
        assert await redis.exists(keys.ENVELOPE + "j1") == 0


async def test_unknown_policy_keeps_nothing(ledger_url: str, redis: ArqRedis) -> None:
    """Without the policy nobody knows how long content may be kept: none is, and that is said once."""
    for job_id in ("j1", "j2"):
        await ask(redis, job_id)
    await put(redis, [accepted("j1"), final("j1"), accepted("j2")])
    async with recording(ledger_url, redis) as (recorder, ledger, _):
        with capture_logs() as logs:
            await recorder.drain()
        assert await rows(ledger) == {}
        assert await ledger.head() == 3
    assert [log["event"] for log in logs].count("recorder.policy_unknown") == 1


async def test_what_redis_has_lost(ledger_url: str, redis: ArqRedis) -> None:
    """Content that is not there any more, or never was a job, costs no record and is counted in the log."""
    table = policy(keep_content="1d")
    for number, garbage in enumerate((b"\x80\x04", b"[]", b'{"f":"dispatch","a":[7]}', b'{"f":"other","a":[{}]}')):
        await redis.set(keys.ENVELOPE + f"j{number}", garbage)
    await redis.set(keys.RESULT + "j0", b"\xff\0{}")
    jobs = [f"j{number}" for number in range(5)]
    await put(redis, [announced(table), *under(table, *map(accepted, jobs), final("j0"), final("j4"))])
    async with recording(ledger_url, redis) as (recorder, ledger, _):
        with capture_logs() as logs:
            assert await recorder.drain() == 8
        assert {job_id: row.answer for job_id, row in (await rows(ledger)).items()} == {"j0": "\\xff\\x00{}"}
    counts = {log["event"]: log["count"] for log in logs if str(log["event"]).endswith("_missing")}
    assert counts == {"recorder.prompts_missing": 5, "recorder.answers_missing": 1}


async def test_later_answer_wins(ledger_url: str, redis: ArqRedis) -> None:
    """A job that was finished twice, after Redis lost a moment, keeps the later answer, and what it asked first."""
    table = policy(keep_content="1d")
    await ask(redis, "job")
    async with recording(ledger_url, redis) as (recorder, ledger, _):
        await put(redis, [announced(table), *under(table, accepted("job"))])
        for text in ("first", "second"):
            await redis.set(keys.RESULT + "job", text)
            await put(redis, under(table, final("job"), final("job")))
            await recorder.drain()
        assert await ledger.answer("job") == "second"
        await ask(redis, "job", max_tokens=9)
        await put(redis, under(table, accepted("job", redriven=True)))
        await recorder.drain()
        assert json.loads((await rows(ledger))["job"].job).get("max_tokens") is None


async def test_erased_stays_erased(ledger_url: str, redis: ArqRedis) -> None:
    """Of a job that was erased nothing is kept again, whatever comes after."""
    table = policy(keep_content="1d")
    for job_id in ("gone", "here"):
        await ask(redis, job_id)
    act = ErasureRecord(job_id="gone", scope="job", erased=True, reason="asked for", by="ann")
    await put(redis, [announced(table)])
    async with recording(ledger_url, redis) as (recorder, ledger, _):
        await recorder.drain()
        async with ledger.writing() as connection:
            await ledger.append_acts(connection, [draft_of(act, NOON)])
        await put(redis, under(table, accepted("gone"), accepted("here"), final("gone"), final("here")))
        await recorder.drain()
        assert set(await rows(ledger)) == {"here"}


async def test_running_recorder_deletes_what_is_over(ledger_url: str, redis: ArqRedis) -> None:
    """Content whose time is over goes without anybody asking."""
    table = policy(keep_content="1h")
    await ask(redis, "good")
    await put(redis, [announced(table), *under(table, accepted("good"), final("good"))])
    async with recording(ledger_url, redis) as (recorder, ledger, clock):
        await recorder.drain()
        clock.now += timedelta(hours=2)
        with capture_logs() as logs:
            running = asyncio.create_task(recorder.run())
            await until(lambda: any(log["event"] == "recorder.content_forgotten" for log in logs))
            recorder.stop()
            await running
        assert await rows(ledger) == {}


async def test_no_record_has_content(ledger_url: str, redis: ArqRedis) -> None:
    """What was asked and answered stands in the content table and in no record."""
    table = policy(keep_content="1d")
    await ask(redis, "j1", metadata={"subject": "person-7"})
    await put(redis, [announced(table), *under(table, accepted("j1"), final("j1"))])
    async with recording(ledger_url, redis) as (recorder, ledger, _):
        await recorder.drain()
        told = json.dumps([*await ledger.story("j1")])
    assert _CANARY not in told
    assert "person-7" not in told
    assert "salt-j1" not in told


async def test_however_many_policies(ledger_url: str, redis: ArqRedis) -> None:
    """A process that has met many policies keeps content under each of them, those of one batch included."""
    tables = [policy(keep_content=f"{days}d") for days in range(1, 131)]
    for number in range(130):
        await ask(redis, f"j{number}")
    async with recording(ledger_url, redis) as (recorder, ledger, _):
        await put(redis, [record for table in tables[:99] for record in (announced(table), *under(table, final("x")))])
        await recorder.drain()
        await put(redis, map(announced, tables[99:]))
        told = [under(table, accepted(f"j{number}"), final(f"j{number}")) for number, table in enumerate(tables)]
        await put(redis, [record for records in told for record in records])
        await recorder.drain()
        assert {name for name in await rows(ledger) if name != "x"} == {f"j{number}" for number in range(130)}


async def test_content_goes_although_the_clock_went_back(ledger_url: str, redis: ArqRedis) -> None:
    """A recorder whose clock was far ahead when it began still deletes what is over by the right time."""
    table = policy(keep_content="1h")
    async with recording(ledger_url, redis) as (recorder, ledger, clock):
        clock.now = START + 4000 * DAY
        running = asyncio.create_task(recorder.run())
        for count in (1, 2):
            # The second one is recorded in a later round than the first, which has looked for what is over.
            await put(redis, [accepted(f"x{count}")])
            await until(lambda expected=count: recorder.recorded >= expected)  # type: ignore[misc]
        await ask(redis, "good")
        await put(redis, [announced(table), *under(table, accepted("good"), final("good"))])
        await until(lambda: recorder.recorded >= 5)
        with capture_logs() as logs:
            clock.now = START + timedelta(hours=2)
            await until(lambda: any(log["event"] == "recorder.content_forgotten" for log in logs))
        recorder.stop()
        await running
        assert await rows(ledger) == {}


async def test_no_more_in_memory_than_is_said(
    ledger_url: str, redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch ends where its content would be too much; every job is recorded once, with its content, all the same."""
    monkeypatch.setattr(content_intake, "MOST_BYTES", 3_000)
    table = policy(keep_content="1d")
    for number in range(12):
        await ask(redis, f"j{number}", metadata={"more": "x" * (5_000 if number == 5 else 800)})
    together: list[int] = []

    class Watching(Ledger):
        async def append(self, batch: Batch) -> Head | None:
            together.append(sum(len(asked.job) for asked in batch.asked))
            return await super().append(batch)

    jobs = [under(table, accepted(f"j{number}"), final(f"j{number}")) for number in range(12)]
    await put(redis, [announced(table), *(record for job in jobs for record in job)])
    ledger = Watching(ledger_url, clock=Clock())
    await ledger.make()
    assert await Recorder(Outbox(redis), ledger, clock=Clock()).drain() == 25
    assert await ledger.head() == 25
    assert set(await rows(ledger)) == {f"j{number}" for number in range(12)}
    assert sorted(together)[-1] > 5_000 > 3_000 > sorted(together)[-2]
    assert len(together) >= 5
    await ledger.close()
