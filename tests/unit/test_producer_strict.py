"""Jobs that are accepted once the ledger has them."""

import asyncio
from collections.abc import Callable

import pytest
from producer_cases import AT_ONCE, QueueInMemory, make_job, make_jobs, make_routes

from pointsman_producer import JobEncoder, LedgerBehind, Producer
from pointsman_producer.ledger_watch import LedgerWatch, reached
from pointsman_producer.submission import CHUNK_JOBS, CHUNKS_IN_FLIGHT, Means, Submission
from pointsman_queue import Standing
from pointsman_routes import QueueFull, ServiceUnavailable

_LONG_S = 60.0


def _submission(
    queue: QueueInMemory, *, timeout_s: float = _LONG_S, on_wait: Callable[[int], object] | None = None
) -> Submission:
    """A submission to batch b-1 that looks without a pause."""
    return Submission(_means(queue, timeout_s), "b-1", on_wait)


def _means(queue: QueueInMemory, timeout_s: float = _LONG_S) -> Means:
    async def announce() -> None:
        """Nobody listens."""

    return Means(
        intake=queue,
        encoder=JobEncoder(make_routes()),
        watch=LedgerWatch(queue, timeout_s=timeout_s, look_s=0),
        backoff=AT_ONCE,
        announce=announce,
    )


def _after(looks: int, act: Callable[[], object], queue: QueueInMemory) -> Callable[[], None]:
    """Do something once at the so-manieth look of those that come with a job in the queue."""
    left = looks

    def look() -> None:
        nonlocal left
        if queue.written:
            left -= 1
            if left == 0:
                act()

    return look


async def _turns_until(reached: Callable[[], bool]) -> int:
    """Let the event loop turn until a condition holds; answers how often it did."""
    turns = 0
    async with asyncio.timeout(_LONG_S):
        while not reached():
            turns += 1
            await asyncio.sleep(0)
    return turns


def _catch_up(queue: QueueInMemory) -> None:
    queue.recorded = queue.written


async def test_no_receipt_before_the_ledger() -> None:
    """Jobs of a strict class are in the queue at once, and have a receipt once the ledger has all of them."""
    queue = QueueInMemory()
    told: list[int] = []
    stream = _submission(queue, on_wait=told.append).receipts(make_jobs(3, task_class="strict"))
    waiting = asyncio.ensure_future(anext(stream))
    for recorded in (0, 1, 2):
        queue.recorded = recorded
        seen = queue.looks + 3
        await _turns_until(lambda: queue.looks >= seen)  # noqa: B023 -- it is over before `seen` is another
        assert queue.written == 3
        assert not waiting.done()
    assert told == [3]
    queue.recorded = 3
    assert [receipt.known for receipt in await waiting] == [False] * 3
    assert told == [3, 0]
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_others_do_not_wait() -> None:
    """Jobs of other classes are acknowledged as ever, and nobody looks how far the ledger is."""
    queue = QueueInMemory()
    producer = Producer(queue, make_routes(), backoff=AT_ONCE)
    assert len(await producer.submit(make_jobs(2 * CHUNK_JOBS))) == 2 * CHUNK_JOBS
    assert queue.looks == 0


async def test_only_chunks_with_a_strict_job_wait() -> None:
    """Of a mixed batch the chunk before the first strict job is acknowledged while the one with it waits."""
    queue = QueueInMemory()
    stream = _submission(queue).receipts([*make_jobs(CHUNK_JOBS + 1), make_job("s", task_class="strict")])
    first = await anext(stream)
    assert len(first) == CHUNK_JOBS
    assert queue.recorded == 0
    waiting = asyncio.ensure_future(anext(stream))
    queue.on_look = _after(3, lambda: _catch_up(queue), queue)
    assert [receipt.custom_id for receipt in await waiting] == ["j-200", "s"]


@pytest.mark.parametrize("classes", [("strict", "triage"), ("triage", "strict")])
async def test_one_strict_job_is_enough(classes: tuple[str, str]) -> None:
    """A chunk waits for the ledger wherever in it the strict job stands."""
    jobs = [make_job(task_class, task_class=task_class) for task_class in classes]
    with pytest.raises(LedgerBehind):
        await anext(_submission(QueueInMemory(), timeout_s=0).receipts(jobs))


async def test_known_jobs_wait_too() -> None:
    """A submission made again after a lost answer waits as well: that a job was known does not say who has it."""
    queue = QueueInMemory()
    jobs = make_jobs(2, task_class="strict")
    with pytest.raises(LedgerBehind):
        await anext(_submission(queue, timeout_s=0).receipts(jobs))
    waiting = asyncio.ensure_future(anext(_submission(queue).receipts(jobs)))
    looks = queue.looks
    await _turns_until(lambda: queue.looks >= looks + 4)
    assert not waiting.done()
    queue.recorded = 2
    assert [receipt.known for receipt in await waiting] == [True, True]
    assert [receipt.known for receipt in await anext(_submission(queue).receipts(jobs))] == [True, True]


async def test_what_comes_later_is_not_waited_for() -> None:
    """A chunk is accepted when the ledger has come to its own end, however much others have written since."""
    queue = QueueInMemory()

    def others() -> None:
        queue.recorded = queue.written
        queue.written += 1000

    queue.on_look = _after(3, others, queue)
    assert len(await anext(_submission(queue).receipts(make_jobs(1, task_class="strict")))) == 1


async def test_chunks_overlap_while_they_wait() -> None:
    """Further chunks are sent while the first waits for the ledger, but no more than a few."""
    queue = QueueInMemory()
    most = 0

    def told(waiting: int) -> None:
        nonlocal most
        most = max(most, waiting)
        if waiting == CHUNKS_IN_FLIGHT * CHUNK_JOBS:
            queue.on_look = lambda: _catch_up(queue)

    jobs = make_jobs((CHUNKS_IN_FLIGHT + 2) * CHUNK_JOBS, task_class="strict")
    receipts = [receipt async for chunk in _submission(queue, on_wait=told).receipts(jobs) for receipt in chunk]
    assert [receipt.custom_id for receipt in receipts] == [job.custom_id for job in jobs]
    assert most == CHUNKS_IN_FLIGHT * CHUNK_JOBS


async def test_those_who_wait_share_their_looks() -> None:
    """However many chunks wait, a producer looks at the ledger's progress once at a time."""
    queue = QueueInMemory()
    watch = LedgerWatch(queue, timeout_s=_LONG_S, look_s=0)
    queue.written = 1
    until = asyncio.get_running_loop().time() + _LONG_S
    waiters = [asyncio.create_task(watch.committed("first", until)) for _ in range(50)]
    await _turns_until(lambda: queue.looks >= 60)
    assert await _turns_until(lambda: queue.looks >= 70) >= 10
    queue.recorded = 1
    assert await asyncio.gather(*waiters) == [True] * 50


async def test_who_gives_up_leaves_others_waiting() -> None:
    """When a waiter is cancelled, one that shares a look or the one that makes it, the others go on."""
    queue = QueueInMemory()
    watch = LedgerWatch(queue, timeout_s=_LONG_S, look_s=_LONG_S)
    queue.written = 1
    until = asyncio.get_running_loop().time() + _LONG_S
    looking, sharing, last = (asyncio.create_task(watch.committed("first", until)) for _ in range(3))
    await _turns_until(lambda: queue.looks == 3)
    for _ in range(5):
        await asyncio.sleep(0)
    watch._look_s = 0
    queue.recorded = 1
    for victim in (sharing, looking):
        victim.cancel()
        (end,) = await asyncio.gather(victim, return_exceptions=True)
        assert isinstance(end, asyncio.CancelledError)
        assert not last.done()
    assert await asyncio.wait_for(last, _LONG_S)


async def test_a_look_that_began_too_early() -> None:
    """A look begun before the last entry was written says nothing of it to who joins in."""
    queue = QueueInMemory()
    answer = queue.standing
    seen: list[Standing] = []
    passes = asyncio.Event()

    async def standing() -> Standing:
        seen.append(await answer())
        queue.recorded = max(queue.recorded, 1)
        if len(seen) == 2:
            await passes.wait()
            return seen[1]
        return seen[-1]

    queue.standing = standing  # type: ignore[method-assign]
    watch = LedgerWatch(queue, timeout_s=_LONG_S, look_s=0)
    until = asyncio.get_running_loop().time() + _LONG_S
    queue.written = 1
    early = asyncio.create_task(watch.committed("first", until))
    await _turns_until(lambda: len(seen) == 2)
    queue.written = 2
    late = asyncio.create_task(watch.committed("first", until))
    for _ in range(5):
        await asyncio.sleep(0)
    passes.set()
    assert await early
    await _turns_until(lambda: len(seen) >= 6)
    assert not late.done()
    queue.recorded = 2
    assert await late


@pytest.mark.parametrize("looks", [1, 2, 5])
async def test_lost_jobs_are_submitted_again(looks: int) -> None:
    """Redis that loses its data mid-wait gets the jobs again; what the ledger has of later ones confirms nothing."""
    queue = QueueInMemory()

    def lose() -> None:
        queue.lose_everything()
        # Another producer's records are written and committed behind those that were lost.
        queue.written = queue.recorded = 10_000
        queue.on_look = lambda: None

    queue.on_look = _after(looks, lose, queue)
    waiting = asyncio.ensure_future(anext(_submission(queue).receipts(make_jobs(2, task_class="strict"))))
    await _turns_until(lambda: queue.written >= 10_002)
    assert len(queue.jobs) == 2
    assert not waiting.done()
    queue.recorded = queue.written
    assert [receipt.known for receipt in await waiting] == [False, False]


async def test_jobs_kept_in_another_life_are_not_called_known() -> None:
    """Jobs that were new when they came, and had survived when they were sent again, have new receipts."""
    queue = QueueInMemory()

    def begin_anew() -> None:
        queue.life = "second"
        queue.recorded = queue.written

    queue.on_look = _after(2, begin_anew, queue)
    receipts = await anext(_submission(queue).receipts(make_jobs(2, task_class="strict")))
    assert [receipt.known for receipt in receipts] == [False, False]
    assert queue.calls == [2, 2]


async def test_a_life_that_ends_before_the_jobs_come() -> None:
    """Redis that loses its data between the look before and the jobs gets them twice, not none."""
    queue = QueueInMemory()
    queue.life = "second"
    lives = iter(["first"])
    real = queue.standing

    async def standing() -> Standing:
        seen = await real()
        return Standing(life=next(lives, seen.life), written=seen.written, recorded=seen.recorded)

    queue.standing = standing  # type: ignore[method-assign]
    queue.on_look = lambda: _catch_up(queue)
    await anext(_submission(queue).receipts(make_jobs(1, task_class="strict")))
    assert queue.calls == [1, 1]


async def test_no_ledger() -> None:
    """Without a recorder nothing is acknowledged; the error names batch and remedy in one line."""
    queue = QueueInMemory()
    producer = Producer(queue, make_routes(), backoff=AT_ONCE, ledger_timeout=0)
    with pytest.raises(LedgerBehind, match=r"batch b-7 within 0 s.*in the queue.*pointsman recorder.*submit") as caught:
        await producer.submit(make_jobs(3, task_class="strict"), batch_id="b-7")
    assert isinstance(caught.value, ServiceUnavailable)
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)
    assert len(queue.batches["b-7"]) == 3


async def test_lives_without_an_end() -> None:
    """A Redis that loses its data again and again ends the wait at its time too."""
    queue = QueueInMemory()
    submission = _submission(queue, timeout_s=0.05)
    queue.on_look = queue.lose_everything
    with pytest.raises(LedgerBehind):
        await anext(submission.receipts(make_jobs(1, task_class="strict")))


async def test_redis_away_while_waiting() -> None:
    """A Redis that does not answer for some looks is waited for, and the ledger's progress is then believed."""
    queue = QueueInMemory()
    answers = iter([None, *[ServiceUnavailable("Redis does not answer")] * 5])

    def look() -> None:
        trouble = next(answers, None)
        if trouble is not None:
            raise trouble
        _catch_up(queue)

    queue.on_look = look
    assert len(await anext(_submission(queue).receipts(make_jobs(1, task_class="strict")))) == 1
    assert queue.looks == 7


async def test_redis_was_away_for_a_moment() -> None:
    """A Redis that was away and is back is no excuse: the error is about the ledger."""
    queue = QueueInMemory()
    answers = iter([None, ServiceUnavailable("Redis does not answer")])

    def look() -> None:
        trouble = next(answers, None)
        if trouble is not None:
            raise trouble

    queue.on_look = look
    with pytest.raises(LedgerBehind):
        await anext(_submission(queue, timeout_s=0.05).receipts(make_jobs(1, task_class="strict")))


async def test_redis_stays_away() -> None:
    """Where Redis is away at the end of the wait, the error is about Redis and not about the ledger."""
    queue = QueueInMemory()

    def look() -> None:
        if queue.written:
            raise ServiceUnavailable("Redis does not answer")

    queue.on_look = look
    with pytest.raises(ServiceUnavailable, match=r"Redis does not answer.*0 jobs of batch b-1") as caught:
        await anext(_submission(queue, timeout_s=0).receipts(make_jobs(1, task_class="strict")))
    assert not isinstance(caught.value, LedgerBehind)


@pytest.mark.parametrize(
    ("recorded", "entry_id", "is_reached"),
    [
        ("9-0", "10-0", False),
        ("10-0", "9-0", True),
        ("10-0", "10-0", True),
        ("10-9", "10-10", False),
        ("0-0", "0-0", False),
        ("9-0", "0-0", False),
    ],
)
def test_reached(recorded: str, entry_id: str, is_reached: bool) -> None:
    """Ids compare as numbers; where nothing was ever written nothing has been committed."""
    assert reached(Standing(life="", written="99-0", recorded=recorded), entry_id) is is_reached


async def test_the_policy_is_told_once_and_first() -> None:
    """A producer tells its policy before its first job, once; waiting for results tells nothing."""
    queue = QueueInMemory()
    producer = Producer(queue, make_routes(), backoff=AT_ONCE)
    await producer.progress("b-1")
    assert queue.announced == []
    for _ in range(2):
        await producer.submit(make_jobs(1))
    ((digest, by),) = queue.announced
    assert digest == make_routes().policy_digest
    assert by.startswith("producer ")


async def test_a_policy_that_cannot_be_told() -> None:
    """Nothing is accepted under a policy the ledger was not told; one that is told after all is."""
    queue = QueueInMemory()
    troubles: list[Exception] = [QueueFull("Redis has no room"), ServiceUnavailable("Redis does not answer")]
    told = queue.announce

    async def announce(table: object, by: str) -> None:
        if troubles:
            raise troubles.pop(0)
        await told(make_routes(), by)

    queue.announce = announce  # type: ignore[method-assign]
    producer = Producer(queue, make_routes(), backoff=AT_ONCE)
    with pytest.raises(QueueFull, match="no room; 0 jobs of batch b-1"):
        await producer.submit(make_jobs(1), batch_id="b-1")
    assert queue.jobs == {}
    await producer.submit(make_jobs(1))
    assert len(queue.announced) == 1
