"""Strict acceptance on a real Redis with a real recorder and ledger: a receipt means that the ledger has the job."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import servers
from arq import ArqRedis
from audit_records import accepted, put
from producer_cases import make_job, make_jobs, make_routes
from recorder_parts import FatalLedger, FatalPoint, Killed

from pointsman_audit import Ledger, ListedKind, Recorder, RecordFilter
from pointsman_producer import Backoff, LedgerBehind, Producer, Receipt
from pointsman_producer.submission import CHUNK_JOBS
from pointsman_queue import JobQueue, Outbox, connect
from pointsman_routes import job_id_for

_KEEP = timedelta(minutes=5)
_PATIENT = Backoff(first_s=0.01, most_s=0.05, tries=1000)
_SOON_S = 0.2


def _producer(redis: ArqRedis, timeout_s: float = 60.0) -> Producer:
    return Producer(JobQueue(redis, keep_results=_KEEP), make_routes(), backoff=_PATIENT, ledger_timeout=timeout_s)


@asynccontextmanager
async def _recording(redis: ArqRedis, ledger: Ledger) -> AsyncIterator[None]:
    """A recorder at work, which must not have failed at the end."""
    recorder = Recorder(Outbox(redis), ledger)
    task = asyncio.create_task(recorder.run())
    try:
        yield
    finally:
        recorder.stop()
        async with asyncio.timeout(60):
            await task


async def _held(ledger: Ledger) -> set[str]:
    """The jobs whose acceptance is in the ledger."""
    return {record["job_id"] async for record in ledger.list(RecordFilter(kind=ListedKind.ACCEPTED))}


async def _waiting(redis: ArqRedis, jobs: int) -> None:
    """Until so many jobs are in the queue."""
    async with asyncio.timeout(60):
        while await redis.zcard("arq:queue:here/large") < jobs:  # noqa: ASYNC110 -- a queue tells nobody of its length
            await asyncio.sleep(0.005)


def _ids(receipts: list[Receipt]) -> set[str]:
    return {receipt.job_id for receipt in receipts}


async def test_a_receipt_means_the_ledger_has_it(redis: ArqRedis, ledger_url: str) -> None:
    """Whenever receipts come, the accepted records of their jobs are committed; all come, in the jobs' order."""
    jobs = make_jobs(3 * CHUNK_JOBS + 7, task_class="strict")
    seen: list[Receipt] = []
    async with Ledger.open(ledger_url, make=True) as ledger, _recording(redis, ledger):
        async for receipt in _producer(redis).submit_each(jobs, batch_id="b-1"):
            seen.append(receipt)
            if len(seen) % CHUNK_JOBS == 1:
                assert _ids(seen) <= await _held(ledger)
        assert _ids(seen) == await _held(ledger)
    assert [receipt.custom_id for receipt in seen] == [job.custom_id for job in jobs]


async def test_without_a_recorder_nothing_is_acknowledged(redis: ArqRedis, ledger_url: str) -> None:
    """The jobs are in the queue and the error says what to do; that done, the same submission is acknowledged."""
    jobs = make_jobs(5, task_class="strict")
    for _ in range(2):
        with pytest.raises(LedgerBehind, match=r"batch b-1 .*pointsman recorder"):
            await _producer(redis, _SOON_S).submit(jobs, batch_id="b-1")
    assert await redis.zcard("arq:queue:here/large") == 5
    async with Ledger.open(ledger_url, make=True) as ledger, _recording(redis, ledger):
        receipts = await _producer(redis).submit(jobs, batch_id="b-1")
        assert [receipt.known for receipt in receipts] == [True] * 5
        assert _ids(receipts) <= await _held(ledger)
        # With nothing left in the outbox it is known at once.
        assert await Outbox(redis).first_id() is None
        assert len(await _producer(redis, 0).submit(jobs, batch_id="b-1")) == 5


async def test_two_recorders(redis: ArqRedis, ledger_url: str) -> None:
    """With several recorders a receipt means what it means with one."""
    async with (
        Ledger.open(ledger_url, make=True) as one,
        Ledger.open(ledger_url) as other,
        _recording(redis, one),
        _recording(redis, other),
    ):
        for number in range(4):
            receipts = await _producer(redis).submit(make_jobs(30, task_class="strict"), batch_id=f"b-{number}")
            assert _ids(receipts) <= await _held(one)


@pytest.mark.parametrize("step", ["after_commit", "before_commit"])
async def test_a_recorder_that_dies_at_the_commit(redis: ArqRedis, ledger_url: str, step: str) -> None:
    """Whether or not the dead recorder had committed, the next one's start or work brings the receipts."""
    submitting = asyncio.create_task(_producer(redis).submit(make_jobs(3, task_class="strict"), batch_id="b-1"))
    await _waiting(redis, 3)
    async with Ledger.open(ledger_url, make=True):
        pass
    dying = FatalLedger(ledger_url, FatalPoint(step))
    with pytest.raises(Killed):
        await Recorder(Outbox(redis), dying).drain()
    await dying.close()
    assert not submitting.done()
    async with Ledger.open(ledger_url) as ledger, _recording(redis, ledger):
        assert _ids(await submitting) <= await _held(ledger)


async def test_an_emptied_redis(redis: ArqRedis, ledger_url: str) -> None:
    """Redis emptied mid-wait: the jobs are submitted again, and acknowledged once the ledger has them, not before.

    What others write and the ledger commits after the loss, behind the lost entries, acknowledges nothing.
    """
    submitting = asyncio.create_task(_producer(redis).submit(make_jobs(3, task_class="strict"), batch_id="b-1"))
    await _waiting(redis, 3)
    async with Ledger.open(ledger_url, make=True) as ledger:
        async with redis.pipeline(transaction=True) as pipe:
            pipe.flushall()
            # In the same moment another recorder is at work on other entries.
            pipe.set("pointsman:outbox:source", "another")
            pipe.xadd("pointsman:outbox", {"at": "1", "record": accepted("other").model_dump_json()})
            await pipe.execute()
        await Recorder(Outbox(redis), ledger).drain()
        await _waiting(redis, 3)
        async with _recording(redis, ledger):
            receipts = await submitting
            assert [receipt.known for receipt in receipts] == [False] * 3
            assert _ids(receipts) <= await _held(ledger)
            assert await redis.zcard("arq:queue:here/large") == 3


@pytest.mark.parametrize("whole", [True, False])
async def test_an_outbox_that_nobody_recorded(redis: ArqRedis, whole: bool) -> None:
    """Entries that are gone without a recorder's mark, with the stream or without, are no committed ones."""
    jobs = make_jobs(2, task_class="strict")
    submitting = asyncio.create_task(_producer(redis, 1.0).submit(jobs, batch_id="b-1"))
    await _waiting(redis, 2)
    if whole:
        await redis.delete("pointsman:outbox")
    else:
        await redis.xtrim("pointsman:outbox", maxlen=0, approximate=False)
    with pytest.raises(LedgerBehind):
        await submitting


@pytest.fixture
def forgetful_server() -> Iterator[servers.RedisServer]:
    """A Redis of the test's own that keeps nothing on disk."""
    binary = next(iter(servers.redis_binaries().values()), Path())
    if not binary.is_file():
        servers.missing("redis-server")
    server = servers.RedisServer.start(binary)
    yield server
    server.stop()


async def test_a_redis_that_dies(forgetful_server: servers.RedisServer, ledger_url: str) -> None:
    """Redis dies mid-wait with all it had and comes back: the jobs are in the queue and the ledger before a receipt."""
    redis = await connect(forgetful_server.url)
    submitting = asyncio.create_task(_producer(redis).submit(make_jobs(3, task_class="strict"), batch_id="b-1"))
    await _waiting(redis, 3)
    forgetful_server.kill()
    await asyncio.to_thread(forgetful_server.restart)
    async with Ledger.open(ledger_url, make=True) as ledger:
        other = await connect(forgetful_server.url)
        await put(other, [accepted("other")])
        async with _recording(other, ledger):
            receipts = await submitting
            assert _ids(receipts) <= await _held(ledger)
            assert await redis.zcard("arq:queue:here/large") == 3
        await other.aclose(close_connection_pool=True)
    await redis.aclose(close_connection_pool=True)


async def test_few_looks(redis: ArqRedis) -> None:
    """A producer that waits looks at most some 20 times a second, however many submissions wait in it."""
    producer = _producer(redis, 1.0)
    await producer.submit(make_jobs(1))
    await redis.config_resetstat()
    ends = await asyncio.gather(
        *(producer.submit([make_job("a", task_class="strict")], batch_id=f"b-{number}") for number in range(20)),
        return_exceptions=True,
    )
    assert [type(end) for end in ends] == [LedgerBehind] * 20
    counted = await redis.info("commandstats")
    # Redis 7 counts by subcommand.
    calls = (counted.get("cmdstat_xinfo|stream") or counted["cmdstat_xinfo"])["calls"]
    # Each looks twice on its own, before and after its job went in; from then on they look together.
    assert 2 * 20 < calls <= 2 * 20 + 22


async def test_mixed_batches(redis: ArqRedis) -> None:
    """Jobs of other classes are acknowledged without a ledger; the strict job of the batch is not."""
    producer = _producer(redis, _SOON_S)
    stream = producer.submit_each([*make_jobs(CHUNK_JOBS), make_job("s", task_class="strict")], batch_id="b-1")
    seen = [await anext(stream) for _ in range(CHUNK_JOBS)]
    assert job_id_for("b-1", "j-0") == seen[0].job_id
    with pytest.raises(LedgerBehind):
        await anext(stream)
