import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from producer_cases import AT_ONCE, QueueInMemory, make_job, make_jobs, make_routes

from pointsman_producer import Job, JobEncoder, Producer
from pointsman_producer.submission import CHUNK_BYTES, CHUNK_JOBS, CHUNKS_IN_FLIGHT, JOBS_A_TURN
from pointsman_queue import decode_envelope
from pointsman_routes import (
    AcceptedRecord,
    JobConflict,
    JobInvalid,
    QueueFull,
    ServiceUnavailable,
    job_id_for,
    salted_digest,
)


def _make_producer(queue: QueueInMemory) -> Producer:
    return Producer(queue, make_routes(), backoff=AT_ONCE)


async def test_receipts_follow_the_jobs() -> None:
    """Each job has its receipt, in the order given; ids follow from the batch and the custom_id."""
    queue = QueueInMemory()
    receipts = await _make_producer(queue).submit(make_jobs(3), batch_id="b-1")
    assert [(receipt.custom_id, receipt.batch_id, receipt.known) for receipt in receipts] == [
        ("j-0", "b-1", False),
        ("j-1", "b-1", False),
        ("j-2", "b-1", False),
    ]
    assert [receipt.job_id for receipt in receipts] == [job_id_for("b-1", f"j-{number}") for number in range(3)]
    assert list(queue.jobs) == [receipt.job_id for receipt in receipts]


async def test_batches_have_names_of_their_own() -> None:
    """Without a batch id every submission is a batch of its own."""
    producer = _make_producer(QueueInMemory())
    first = await producer.submit(make_jobs(1))
    second = await producer.submit(make_jobs(1))
    assert first[0].batch_id != second[0].batch_id
    assert not second[0].known


async def test_resubmission_is_known() -> None:
    """The same jobs under the same batch id are told apart as known, and nothing is queued again."""
    queue = QueueInMemory()
    producer = _make_producer(queue)
    await producer.submit(make_jobs(2), batch_id="b-1")
    receipts = await producer.submit(make_jobs(3), batch_id="b-1")
    assert [receipt.known for receipt in receipts] == [True, True, False]
    assert len(queue.batches["b-1"]) == 3


async def test_asynchronous_jobs() -> None:
    """Jobs may come from an asynchronous iterator."""

    async def jobs() -> AsyncIterator[Job]:
        for job in make_jobs(3):
            yield job

    assert [receipt.custom_id for receipt in await _make_producer(QueueInMemory()).submit(jobs())] == [
        "j-0",
        "j-1",
        "j-2",
    ]


async def test_no_jobs() -> None:
    """Nothing submitted is nothing asked of the queue."""
    queue = QueueInMemory()
    assert await _make_producer(queue).submit([]) == []
    assert queue.calls == []


async def test_chunks_by_count() -> None:
    """Many jobs travel in chunks, and progress is told after each."""
    queue = QueueInMemory()
    told: list[int] = []
    await _make_producer(queue).submit(make_jobs(2 * CHUNK_JOBS + 1), on_progress=told.append)
    assert queue.calls == [CHUNK_JOBS, CHUNK_JOBS, 1]
    assert told == [CHUNK_JOBS, 2 * CHUNK_JOBS, 2 * CHUNK_JOBS + 1]


async def test_chunks_by_size() -> None:
    """Large jobs travel in smaller chunks."""
    queue = QueueInMemory()
    text = "x" * (CHUNK_BYTES // 2)
    await _make_producer(queue).submit([make_job(f"j-{number}", text) for number in range(3)])
    assert queue.calls == [2, 1]


async def test_chunks_overlap() -> None:
    """The next chunk is encoded and sent while one is being answered, but no more than a few are under way."""
    queue = QueueInMemory()
    await _make_producer(queue).submit(make_jobs(CHUNK_JOBS * (CHUNKS_IN_FLIGHT + 2)))
    assert queue.most_in_flight == CHUNKS_IN_FLIGHT


async def test_streaming_reads_no_further_than_needed() -> None:
    """Receipts come while jobs are still being read: no more than the chunks in flight are held."""
    read = 0

    def jobs() -> Iterator[Job]:
        nonlocal read
        for job in make_jobs(10 * CHUNK_JOBS):
            read += 1
            yield job

    stream = _make_producer(QueueInMemory()).submit_each(jobs())
    first = await anext(stream)
    await stream.aclose()
    assert first.custom_id == "j-0"
    assert read == CHUNKS_IN_FLIGHT * CHUNK_JOBS


async def test_streaming_to_the_end() -> None:
    """A stream of receipts has one for each job, in their order."""
    stream = _make_producer(QueueInMemory()).submit_each(make_jobs(CHUNK_JOBS + 2), batch_id="b-1")
    assert [receipt.custom_id async for receipt in stream] == [f"j-{number}" for number in range(CHUNK_JOBS + 2)]


async def test_other_work_goes_on() -> None:
    """Encoding leaves the event loop its turns: no chunk is encoded in one go."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counter = asyncio.create_task(count())
    queue = QueueInMemory()
    chunks = _make_producer(queue)._submission("b-1", None)._chunks(make_jobs(CHUNK_JOBS))
    async for _ in chunks:
        break
    counter.cancel()
    await chunks.aclose()
    assert turns >= CHUNK_JOBS // JOBS_A_TURN - 1 > 0


async def test_lost_connection_sends_the_chunk_again() -> None:
    """A chunk whose answer was lost is sent again; each of its jobs is in once."""
    queue = QueueInMemory()
    queue.answers_lost = 2
    receipts = await _make_producer(queue).submit(make_jobs(2), batch_id="b-1")
    assert queue.calls == [2, 2, 2]
    assert len(receipts) == len(queue.batches["b-1"]) == 2


async def test_away_for_too_long() -> None:
    """When Redis stays away the error says which batch to go on with, and how far it is."""
    queue = QueueInMemory()
    queue.troubles.extend([None, *[ServiceUnavailable("Redis does not answer")] * AT_ONCE.tries * 2])
    with pytest.raises(ServiceUnavailable, match=rf"{CHUNK_JOBS} jobs of batch b-9 are in.*under this batch id"):
        await _make_producer(queue).submit(make_jobs(2 * CHUNK_JOBS), batch_id="b-9")
    assert queue.calls == [CHUNK_JOBS] * (1 + AT_ONCE.tries)
    assert queue.in_flight == 0


async def test_full_queue_is_not_pressed() -> None:
    """A full queue is said at once, as what it is."""
    queue = QueueInMemory()
    queue.troubles.append(QueueFull("Redis is full"))
    with pytest.raises(QueueFull, match="Redis is full; 0 jobs of batch b-1"):
        await _make_producer(queue).submit(make_jobs(1), batch_id="b-1")
    assert queue.calls == [1]


@pytest.mark.parametrize("between", [0, CHUNK_JOBS])
async def test_one_name_for_two_questions(between: int) -> None:
    """One custom_id for two questions is a conflict, whether or not both travel in one chunk."""
    jobs = [make_job("same", "one"), *make_jobs(between), make_job("same", "two")]
    with pytest.raises(JobConflict):
        await _make_producer(QueueInMemory()).submit(jobs)


async def test_one_job_twice() -> None:
    """A job that is handed in twice is in once."""
    queue = QueueInMemory()
    receipts = await _make_producer(queue).submit([make_job("same"), make_job("same")])
    assert [receipt.known for receipt in receipts] == [False, True]
    assert len(queue.jobs) == 1


async def test_unknown_class() -> None:
    """A job of an unknown class is refused, naming the known ones; what was sent before is not left hanging."""
    queue = QueueInMemory()
    jobs = [*make_jobs(CHUNK_JOBS), make_job("odd", task_class="poetry")]
    with pytest.raises(JobInvalid, match=r"'odd'.*'poetry'.*reasoning, strict, triage"):
        await _make_producer(queue).submit(jobs)
    assert queue.in_flight == 0


@pytest.mark.parametrize("batch_id", ["", "a b", "a\nb", "x" * 129, "-x"])
async def test_unusable_batch_id(batch_id: str) -> None:
    """A batch id that could be mistaken for another, or is not printable, is refused."""
    with pytest.raises(JobInvalid, match="batch_id"):
        await _make_producer(QueueInMemory()).submit(make_jobs(1), batch_id=batch_id)


def test_what_the_queue_gets() -> None:
    """A job's class decides tier, deadline, spill and the answer's limit; the envelope carries the job."""
    encoder = JobEncoder(make_routes())
    job = make_job("j", "four")
    new = encoder.encode("b-1", job, 1_700_000_000_000)
    assert (new.task_class, new.tier, new.deadline_ms, new.spill_ms) == ("triage", "here/small", 3_600_000, 1_500)
    assert (new.characters, new.max_tokens) == (4, 77)
    opened = decode_envelope(new.envelope)
    assert opened is not None
    assert opened.job == job
    assert json.loads(new.envelope)["et"] == 1_700_000_000_000
    assert encoder.encode("b-1", job.model_copy(update={"max_tokens": 5}), 0).max_tokens == 5


def test_no_other_tier() -> None:
    """A class of one tier does not spill."""
    assert JobEncoder(make_routes()).encode("b-1", make_job("j", task_class="reasoning"), 0).spill_ms == 0


def test_metadata_changed_behind_the_model() -> None:
    """Metadata that is no JSON any more is refused without being shown."""
    job = make_job("j")
    job.metadata["secret"] = object()
    with pytest.raises(JobInvalid, match="'j' cannot be written as JSON") as caught:
        JobEncoder(make_routes()).encode("b-1", job, 0)
    assert "object at" not in str(caught.value)


@given(
    custom_id=st.text(min_size=1, max_size=256),
    task_class=st.sampled_from(["triage", "reasoning"]),
    redriven=st.booleans(),
)
def test_record_is_an_accepted_record(custom_id: str, task_class: str, redriven: bool) -> None:
    """The record is what `AcceptedRecord` would have written without its absent fields, whatever the custom_id is."""
    table = make_routes()
    job = make_job(custom_id, task_class=task_class)
    tier = table.classes[task_class].primary
    new = JobEncoder(table).encode("b-1", job, 0, salt="salt", redriven=redriven)
    expected = AcceptedRecord(
        job_id=job_id_for("b-1", custom_id),
        custom_id=custom_id,
        batch_id="b-1",
        task_class=task_class,
        requested_tier=tier,
        prompt_digest=salted_digest("salt", job.asked()),
        policy_digest=table.policy_digest,
        redriven=True if redriven else None,
    )
    assert AcceptedRecord.model_validate_json(new.record) == expected
    assert json.loads(new.record) == expected.model_dump(mode="json", exclude_none=True)


def test_every_job_has_a_salt_of_its_own() -> None:
    """One question asked twice has two digests in the records; what Redis compares resubmissions by stays one."""
    encoder, job = JobEncoder(make_routes()), make_job("j")
    first, second = encoder.encode("b-1", job, 0), encoder.encode("b-1", job, 0)
    salts = []
    for new in (first, second):
        opened = decode_envelope(new.envelope)
        assert opened is not None
        assert opened.salt is not None
        assert len(opened.salt) >= 22
        assert json.loads(new.record)["prompt_digest"] == salted_digest(opened.salt, job.asked())
        salts.append(opened.salt)
    assert salts[0] != salts[1]
    assert first.prompt_digest == second.prompt_digest == job.prompt_digest()


def test_a_redriven_job_keeps_salt_and_deadline() -> None:
    """Taken in once more, a job has the salt it had, and no more time than is left to it."""
    new = JobEncoder(make_routes()).encode("b-1", make_job("j"), 0, salt="kept", redriven=True, deadline_ms=77)
    opened = decode_envelope(new.envelope)
    assert opened is not None
    assert (opened.salt, new.deadline_ms) == ("kept", 77)
    assert json.loads(new.record)["redriven"] is True
