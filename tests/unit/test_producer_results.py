import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from producer_cases import AT_ONCE, QueueInMemory, make_jobs, make_routes

from pointsman_producer import Backoff, Producer, Receipt, ResultGone, WaitTimeout
from pointsman_producer.batch_follower import JOBS_A_READ
from pointsman_producer.result_stream import READS_AT_ONCE
from pointsman_routes import PointsmanError, Result, ServiceUnavailable


async def _submitted(queue: QueueInMemory, count: int, batch_id: str = "b-1") -> tuple[Producer, list[Receipt]]:
    producer = Producer(queue, make_routes(), backoff=AT_ONCE)
    return producer, await producer.submit(make_jobs(count), batch_id=batch_id)


def _finish_all(queue: QueueInMemory, receipts: list[Receipt]) -> None:
    for receipt in receipts:
        queue.finish(receipt.batch_id, receipt.job_id)


async def _ids(results: AsyncIterator[Result]) -> list[str]:
    return [result.id async for result in results]


async def _drain(results: AsyncIterator[Result], into: list[str]) -> None:
    """What comes before an error counts too."""
    async for result in results:
        into.append(result.id)  # noqa: PERF401 -- a comprehension would lose it


async def test_results_as_jobs_finish() -> None:
    """Results come in the order jobs finish, each as soon as it is there."""
    queue = QueueInMemory()
    producer, (first, second, third) = await _submitted(queue, 3)
    stream = producer.results([first, second, third])
    queue.finish("b-1", second.job_id)
    assert (await anext(stream)).id == second.job_id
    waiting = asyncio.ensure_future(anext(stream))
    await queue.waited_for.wait()
    queue.finish("b-1", first.job_id)
    assert (await waiting).id == first.job_id
    queue.finish("b-1", third.job_id)
    assert await _ids(stream) == [third.job_id]


async def test_only_what_was_asked_for() -> None:
    """Of a batch only the jobs with a receipt are answered, and the wait ends with the last of them."""
    queue = QueueInMemory()
    producer, receipts = await _submitted(queue, 3)
    queue.finish("b-1", receipts[0].job_id)
    queue.finish("b-1", receipts[1].job_id)
    assert await _ids(producer.results([receipts[1]])) == [receipts[1].job_id]


async def test_no_receipts() -> None:
    """Nothing to wait for is the end at once."""
    producer, _ = await _submitted(QueueInMemory(), 1)
    assert await _ids(producer.results([])) == []


async def test_known_jobs_are_answered_again() -> None:
    """Receipts of a resubmission get the results that are there already."""
    queue = QueueInMemory()
    producer, receipts = await _submitted(queue, 3)
    _finish_all(queue, receipts)
    again = await producer.submit(make_jobs(3), batch_id="b-1")
    assert all(receipt.known for receipt in again)
    assert await _ids(producer.results(again)) == [receipt.job_id for receipt in receipts]


async def test_whole_batch() -> None:
    """A batch id stands for every job of the batch; more of them than one read gives are no matter."""
    queue = QueueInMemory()
    producer, receipts = await _submitted(queue, 2 * JOBS_A_READ + 1)
    _finish_all(queue, receipts)
    assert await _ids(producer.results("b-1")) == [receipt.job_id for receipt in receipts]
    assert not any(queue.waits), "a batch that is done is never waited for"


async def test_end_of_a_batch_is_seen_at_once() -> None:
    """When the last job of a batch finishes the stream ends, without waiting for another."""
    queue = QueueInMemory()
    producer, receipts = await _submitted(queue, 2)
    waiting = asyncio.ensure_future(_ids(producer.results("b-1")))
    await queue.waited_for.wait()
    _finish_all(queue, receipts)
    assert await waiting == [receipt.job_id for receipt in receipts]
    assert len([wait for wait in queue.waits if wait]) == 1


async def test_batch_that_grows() -> None:
    """Jobs added to a batch while it is waited for are answered too."""
    queue = QueueInMemory()
    producer, receipts = await _submitted(queue, 1)
    stream = producer.results("b-1")
    waiting = asyncio.ensure_future(anext(stream))
    await queue.waited_for.wait()
    more = await producer.submit(make_jobs(2), batch_id="b-1")
    _finish_all(queue, receipts)
    assert (await waiting).id == receipts[0].job_id
    queue.finish("b-1", more[1].job_id)
    assert await _ids(stream) == [more[1].job_id]


async def test_finished_twice_is_answered_once() -> None:
    """A job that was tried anew after its end stands in the list twice and is handed out once."""
    queue = QueueInMemory()
    producer, receipts = await _submitted(queue, 2)
    queue.finish("b-1", receipts[0].job_id)
    _finish_all(queue, receipts)
    assert await _ids(producer.results("b-1")) == [receipt.job_id for receipt in receipts]


@pytest.mark.parametrize("batches", [2, READS_AT_ONCE + 3])
async def test_several_batches(batches: int) -> None:
    """Batches are followed side by side, however many: none keeps the results of another back."""
    queue = QueueInMemory()
    receipts: list[Receipt] = []
    for number in range(batches):
        producer, more = await _submitted(queue, 1, f"b-{number}")
        receipts += more
    stream = producer.results(receipts, timeout=3)
    waiting = asyncio.ensure_future(anext(stream))
    await queue.waited_for.wait()
    _finish_all(queue, receipts[-1:])
    assert (await waiting).id == receipts[-1].job_id
    _finish_all(queue, receipts[:-1])
    assert set(await _ids(stream)) == {receipt.job_id for receipt in receipts[:-1]}


async def test_result_gone() -> None:
    """A result that is not kept any more is an error that names it, after all others have been handed out."""
    queue = QueueInMemory()
    producer, (first, second) = await _submitted(queue, 2)
    queue.finish("b-1", first.job_id, keep=False)
    queue.finish("b-1", second.job_id)
    for asked in ([first, second], "b-1"):
        found: list[str] = []
        with pytest.raises(ResultGone, match=first.job_id) as caught:
            await _drain(producer.results(asked), found)
        assert found == [second.job_id]
        assert caught.value.job_ids == (first.job_id,)


@pytest.mark.parametrize("by_receipt", [True, False])
async def test_batch_gone(by_receipt: bool) -> None:
    """A batch nothing is known of is an error, not a wait without an end."""
    queue = QueueInMemory()
    producer, receipts = await _submitted(queue, 1)
    del queue.batches["b-1"]
    with pytest.raises(ResultGone, match="b-1"):
        await _ids(producer.results(receipts if by_receipt else "b-1"))


@pytest.mark.parametrize("limit", [0.02, timedelta(milliseconds=20)])
async def test_timeout(limit: float | timedelta) -> None:
    """A wait that ends too early says how many jobs are left, and takes no result back."""
    queue = QueueInMemory()
    producer, receipts = await _submitted(queue, 3)
    queue.finish("b-1", receipts[0].job_id)
    for asked in (receipts, "b-1"):
        found: list[str] = []
        with pytest.raises(WaitTimeout, match=r"0\.02 s: 2") as caught:
            await _drain(producer.results(asked, timeout=limit), found)
        assert found == [receipts[0].job_id]
        assert caught.value.outstanding == 2
        assert isinstance(caught.value, PointsmanError)
        assert isinstance(caught.value, TimeoutError)


async def test_redis_away_while_waiting() -> None:
    """A wait outlives an absence of Redis, wherever in a read it comes, and loses no result."""
    for calm in range(5):
        queue = QueueInMemory()
        producer, receipts = await _submitted(queue, 2)
        _finish_all(queue, receipts)
        queue.troubles.extend([*[None] * calm, *[ServiceUnavailable("Redis does not answer")] * 3])
        assert await _ids(producer.results("b-1")) == [receipt.job_id for receipt in receipts]


async def test_redis_away_for_good() -> None:
    """While Redis is away the time limit still holds."""
    queue = QueueInMemory()
    producer = Producer(queue, make_routes(), backoff=Backoff(first_s=0.001, most_s=0.001))
    receipts = await producer.submit(make_jobs(1))
    queue.troubles.extend([ServiceUnavailable("Redis does not answer")] * 10_000)
    with pytest.raises(WaitTimeout, match=": 1"):
        await _ids(producer.results(receipts, timeout=0.05))


async def test_leaving_early() -> None:
    """Closing the stream ends its reads."""
    queue = QueueInMemory()
    producer, receipts = await _submitted(queue, 2)
    queue.finish("b-1", receipts[0].job_id)
    stream = producer.results(receipts)
    await anext(stream)
    await stream.aclose()
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def test_progress() -> None:
    """A producer tells how far a batch is."""
    queue = QueueInMemory()
    producer, receipts = await _submitted(queue, 2)
    queue.finish("b-1", receipts[0].job_id)
    progress = await producer.progress("b-1")
    assert progress is not None
    assert (progress.total, progress.outstanding) == (2, 1)
    assert await producer.progress("b-2") is None


def test_backoff() -> None:
    """Delays double up to the limit, and are shortened by half at most."""
    backoff = Backoff(first_s=1, most_s=5)
    for attempt, full in [(0, 1), (1, 2), (2, 4), (3, 5), (10_000, 5)]:
        delays = [backoff.delay(attempt) for _ in range(50)]
        assert full / 2 <= min(delays) <= max(delays) <= full
        assert len(set(delays)) > 1
