import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from arq import ArqRedis
from producer_cases import make_job, make_jobs, make_result, make_routes
from redis import Redis

from pointsman_producer import BatchFile, Job, Producer, ResultGone, WaitTimeout
from pointsman_producer.submission import CHUNK_JOBS
from pointsman_queue import JobQueue, Lease, Outbox, Settings, Settlement, TierProfile, TierQueue, decode_envelope
from pointsman_routes import (
    AcceptedRecord,
    ConfigError,
    JobConflict,
    JobState,
    PolicyRecord,
    Price,
    QueueFull,
    Rate,
    ServiceUnavailable,
    job_id_for,
    salted_digest,
)

_KEEP = timedelta(minutes=5)
_CONFIG = """
[providers.here]
kind = "openai-compatible"
owner = "team@example.com"
base_url = "http://localhost:8000/v1"
tiers.small = { model = "small" }

[classes.triage]
route = ["here/small"]
"""


@pytest.fixture
def producer(redis: ArqRedis) -> Producer:
    """A producer on an empty queue."""
    return Producer(JobQueue(redis, keep_results=_KEEP), make_routes())


async def _work(redis: ArqRedis, count: int) -> list[str]:
    """Claim jobs of the small tier and end them; answers their ids in the order of their end."""
    rate = Rate(price=Price.model_validate({"input": 0, "output": 0}), source="config")
    profile = TierProfile.of(make_routes(), "here/small", rate)
    worker = TierQueue(redis, worker="w", keep_results=_KEEP)
    claim = await worker.claim(profile, count, poison=3)
    for lease in claim.leases:
        assert lease.job is not None
        line = make_result(lease.job_id, lease.job.custom_id).to_line().encode()
        await worker.settle([_finish(lease, line)])
    return [lease.job_id for lease in claim.leases]


def _finish(lease: Lease, line: bytes) -> Settlement:
    return Settlement(lease=lease, step="finish", state=JobState.FAILED, result=line)


async def test_submitted_and_answered(producer: Producer, redis: ArqRedis) -> None:
    """Jobs go in, a worker ends them, results come out, by receipt and by batch."""
    receipts = await producer.submit(make_jobs(3), batch_id="b-1")
    stream = producer.results(receipts, timeout=30)
    waiting = asyncio.ensure_future(anext(stream))
    ended = await _work(redis, 2)
    assert [(await waiting).id, (await anext(stream)).id] == ended
    ended += await _work(redis, 1)
    assert (await anext(stream)).id == ended[2]
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    assert [result.id async for result in producer.results("b-1", timeout=30)] == ended
    assert set(ended) == {receipt.job_id for receipt in receipts}


async def test_every_job_is_in_once(producer: Producer, redis: ArqRedis) -> None:
    """Two submissions of one batch at the same time take each job in once, with one accepted record each."""
    jobs = make_jobs(2 * CHUNK_JOBS + 10)
    one, other = await asyncio.gather(
        producer.submit(jobs, batch_id="b-1"), producer.submit(reversed(jobs), batch_id="b-1")
    )
    assert sum(not receipt.known for receipt in (*one, *other)) == len(jobs)
    progress = await producer.progress("b-1")
    assert progress is not None
    assert progress.total == len(jobs)
    outbox = Outbox(redis)
    policy, *entries = await outbox.read("0-0", count=10 * CHUNK_JOBS, block_ms=1)
    assert PolicyRecord.model_validate_json(policy.record).policy_digest == make_routes().policy_digest
    records = [AcceptedRecord.model_validate_json(entry.record) for entry in entries]
    assert sorted(record.job_id for record in records) == sorted(receipt.job_id for receipt in one)
    salts = {
        job_id: opened.salt
        for job_id, envelope in (await outbox.envelopes([record.job_id for record in records])).items()
        if (opened := decode_envelope(envelope)) is not None
    }
    digests = {job.custom_id: salted_digest(salts[job_id_for("b-1", job.custom_id)] or "", job.asked()) for job in jobs}
    assert {record.custom_id: record.prompt_digest for record in records} == digests


async def test_each_policy_is_told_before_its_jobs(redis: ArqRedis) -> None:
    """The ledger knows a policy before a job is accepted under it; a producer of the same policy adds nothing."""
    queue = JobQueue(redis, keep_results=_KEEP)
    for _ in range(2):
        producer = Producer(queue, make_routes())
        await producer.submit(make_jobs(1))
        await producer.submit(make_jobs(1))
    entries = await Outbox(redis).read("0-0", count=99, block_ms=1)
    kinds = [json.loads(entry.record)["kind"] for entry in entries]
    assert kinds == ["policy_change"] + ["accepted"] * 4


async def test_conflict_takes_nothing_in(producer: Producer) -> None:
    """A chunk with a job whose id asks something else already is refused as a whole."""
    await producer.submit([make_job("a", "one")], batch_id="b-1")
    with pytest.raises(JobConflict, match="custom_id"):
        await producer.submit([make_job("b"), make_job("a", "two")], batch_id="b-1")
    progress = await producer.progress("b-1")
    assert progress is not None
    assert progress.total == 1


async def test_full(producer: Producer, redis: ArqRedis) -> None:
    """Above its memory mark Redis takes nothing, and the producer says so."""
    await redis.config_set("maxmemory", 1_000_000)
    with pytest.raises(QueueFull, match="batch b-1"):
        await producer.submit(make_jobs(1), batch_id="b-1")


async def test_connections_cut_while_submitting(producer: Producer, redis_url: str) -> None:
    """Cut connections cost no job: every chunk arrives, and each job is in once."""

    def jobs() -> Iterator[Job]:
        with Redis.from_url(redis_url) as knife:
            for number, job in enumerate(make_jobs(4 * CHUNK_JOBS)):
                if number % CHUNK_JOBS == 10:
                    knife.client_kill_filter(_type="normal", skipme=True)
                yield job

    receipts = await producer.submit(jobs(), batch_id="b-1")
    progress = await producer.progress("b-1")
    assert progress is not None
    assert progress.total == len(receipts) == len({receipt.job_id for receipt in receipts}) == 4 * CHUNK_JOBS


async def test_connections_cut_while_waiting(producer: Producer, redis: ArqRedis, redis_url: str) -> None:
    """A wait whose connection is cut goes on."""
    receipts = await producer.submit(make_jobs(1))
    stream = producer.results(receipts, timeout=30)
    waiting = asyncio.ensure_future(anext(stream))
    with Redis.from_url(redis_url) as knife:
        # Until the read is really waiting in the server.
        while not any(  # noqa: ASYNC110 -- a server tells nobody that a client waits
            client["cmd"].startswith("xread") and "b" in client["flags"] for client in knife.client_list()
        ):
            await asyncio.sleep(0.001)
        knife.client_kill_filter(_type="normal", skipme=True)
    (ended,) = await _work(redis, 1)
    assert (await waiting).id == ended
    await stream.aclose()


async def test_nothing_known(producer: Producer) -> None:
    """A batch that was never submitted is an error at once."""
    with pytest.raises(ResultGone, match="b-0"):
        await anext(producer.results("b-0", timeout=30))


async def test_not_finished_in_time(producer: Producer) -> None:
    """A wait for jobs nobody works on ends with its time limit."""
    receipts = await producer.submit(make_jobs(2))
    with pytest.raises(WaitTimeout, match=r": 2"):
        await anext(producer.results(receipts, timeout=0.05))


async def test_connect(redis_url: str, tmp_path: Path) -> None:
    """A producer can be made of settings alone, and submits a file."""
    config = tmp_path / "pointsman.toml"
    config.write_text(_CONFIG)
    path = tmp_path / "jobs.jsonl"
    path.write_text("\n".join(job.to_wire() for job in make_jobs(5)))
    async with Producer.connect(Settings(config=config, redis_url=redis_url)) as producer:
        with BatchFile.open(path, ["triage"]) as file:
            report = file.check()
            receipts = await producer.submit(file.jobs(report), batch_id=report.batch_id)
        assert [receipt.known for receipt in receipts] == [False] * 5
        progress = await producer.progress(report.batch_id)
        assert progress is not None
        assert progress.total == 5


async def test_connect_without_a_configuration(tmp_path: Path) -> None:
    """A configuration that is not there is named, with what to do."""
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: .*POINTSMAN_CONFIG"):
        await _connect(Settings(config=tmp_path / "none.toml", redis_url="redis://localhost:1"))


async def test_connect_without_redis(tmp_path: Path) -> None:
    """A Redis that does not answer is said in one line."""
    config = tmp_path / "pointsman.toml"
    config.write_text(_CONFIG)
    with pytest.raises(ServiceUnavailable, match="does not answer") as caught:
        await _connect(Settings(config=config, redis_url=f"unix://{tmp_path}/none.sock"))
    assert "\n" not in str(caught.value)


async def _connect(settings: Settings) -> None:
    async with Producer.connect(settings):
        pass
