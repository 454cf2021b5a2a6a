"""A worker whose tier is switched off: claimed calls do not begin, and an abort cuts those in flight."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from signal import SIGTERM
from typing import Any

import pytest
from arq import ArqRedis
from queue_cases import BACKUP, KEEP, MAIN, SIDE, Line, make_profile, make_table, new_job
from simulated_clock import SimulatedClock
from worker_cases import SteppedClock, make_rates, make_report

from pointsman_queue import Claim, JobQueue, Lease, Observer, Openings, Renewal, Switchboard, TierProfile, TierQueue
from pointsman_routes import Job, RouteTable, ServiceUnavailable, Transient
from pointsman_worker import Dispatcher, Office, Report, Settler, TierWorker, WorkerPlan

TABLE = make_table(main={"concurrency": 8})


class _SlowDesk:
    """Answers when it is told to, or never."""

    def __init__(self, report: Report | None = None) -> None:
        self._report = report or make_report()
        self.begun: list[str] = []
        self.cut: list[str] = []
        self.answers = asyncio.Event()

    async def ask(self, tier: str, job: Job, max_tokens: int) -> Report:
        """One call."""
        self.begun.append(job.custom_id)
        try:
            await self.answers.wait()
        except asyncio.CancelledError:
            self.cut.append(job.custom_id)
            raise
        return self._report


class _SeenQueue(TierQueue):
    """Tells what a worker has asked of it, and lets something happen between a claim and its calls."""

    def __init__(self, redis: ArqRedis, *, troubles: int = 0) -> None:
        super().__init__(redis, worker="w-1", keep_results=KEEP)
        self.claimed: list[str] = []
        self.cut: set[str] = set()
        self.served: list[tuple[str, ...]] = []
        self.after_claim: Callable[[], Awaitable[object]] | None = None
        self._troubles = troubles

    async def claim(self, profile: TierProfile, limit: int, *, poison: int) -> Claim:
        """Claim; fails as often as it was told to."""
        self.claimed.append(profile.tier)
        if self._troubles:
            self._troubles -= 1
            raise ServiceUnavailable("away")
        claim = await super().claim(profile, limit, poison=poison)
        if claim.leases and self.after_claim is not None:
            await self.after_claim()
        return claim

    async def renew(
        self, leases: Sequence[Lease], health: str, *, believed_s: float, tiers: Sequence[str] = ()
    ) -> Renewal:
        """One heartbeat."""
        self.served.append(tuple(tiers))
        found = await super().renew(leases, health, believed_s=believed_s, tiers=tiers)
        self.cut |= found.cut
        return found


class _SlowBoard(Switchboard):
    """Says which tiers are open when it is told to."""

    def __init__(self, redis: ArqRedis) -> None:
        super().__init__(redis)
        self.asked = 0
        self.answers = asyncio.Event()

    async def openings(self, table: RouteTable, tiers: Sequence[str]) -> Openings:
        """Those of the tiers that are open."""
        self.asked += 1
        await self.answers.wait()
        return await super().openings(table, tiers)


@asynccontextmanager
async def _working(
    redis: ArqRedis,
    desk: _SlowDesk,
    *,
    queue: TierQueue | None = None,
    board: Switchboard | None = None,
    others: tuple[str, ...] = (),
    clock: Callable[[], int] = time.perf_counter_ns,
) -> AsyncIterator[TierWorker]:
    queue = queue or TierQueue(redis, worker="w-1", keep_results=KEEP)
    settler = Settler(queue)
    office = Office(worker="w-1", table=TABLE, rates=make_rates(TABLE))
    plan = WorkerPlan(
        profiles={MAIN: make_profile(MAIN, TABLE)},
        slots={MAIN: 8},
        others=tuple(make_profile(tier, TABLE) for tier in others),
        grace=timedelta(seconds=1),
    )
    worker = TierWorker(
        plan,
        redis=redis,
        queue=queue,
        dispatcher=Dispatcher(office, desk, settler, board or Switchboard(redis)),
        settler=settler,
        worker_id="w-1",
        handle_signals=False,
        clock=clock,
    )
    running = asyncio.create_task(worker.async_run())
    try:
        async with asyncio.timeout(20):
            await worker.listening()
            yield worker
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await worker.close()


async def _until(condition: Callable[[], Any]) -> None:
    while not condition():  # noqa: ASYNC110 -- what is waited for sets no event
        await asyncio.sleep(0.005)


async def _line(redis: ArqRedis) -> Line:
    """Only the parts the worker does not bring. It lives in real time: the clock is not used."""
    clock = SimulatedClock(redis)
    jobs, switchboard = JobQueue(redis, keep_results=KEEP), Switchboard(redis)
    return Line(redis=redis, clock=clock, jobs=jobs, switchboard=switchboard, observer=Observer(redis), workers={})


async def test_abort_cuts_calls_in_flight(redis: ArqRedis) -> None:
    """An abort cuts every call of the tier within a moment; their jobs move on, and each has its record as unknown.

    It says how long the call had taken by then.
    """
    line, desk, clock = await _line(redis), _SlowDesk(), SteppedClock()
    async with _working(redis, desk, clock=clock) as worker:
        await line.enqueue(*(new_job(f"{number}") for number in range(5)))
        await _until(lambda: len(desk.begun) == 5)
        clock.pass_us(7_000)
        await line.switchboard.disable(TABLE, "alpha", reason="r", by="ann", abort=True)
        await _until(lambda: not worker.tasks)
    assert sorted(desk.cut) == sorted(desk.begun)
    assert sorted(await line.members(f"arq:queue:{BACKUP}")) == [f"{number}" for number in range(5)]
    ended = await line.records("attempt_finished")
    assert [
        (record["outcome"], record["usage_source"], record["counted"], record["duration_us"]) for record in ended
    ] == [("unknown", "estimate", False, 7_000)] * 5
    assert {record["reason"] for record in await line.records("moved")} == {"disabled"}


async def test_without_abort_calls_end(redis: ArqRedis) -> None:
    """Disabling alone lets calls in flight end, and their answers are delivered."""
    line, desk = await _line(redis), _SlowDesk()
    async with _working(redis, desk) as worker:
        await line.enqueue(*(new_job(f"{number}") for number in range(3)))
        await _until(lambda: len(desk.begun) == 3)
        await line.switchboard.disable(TABLE, MAIN, reason="r", by="ann")
        desk.answers.set()
        await _until(lambda: not worker.tasks)
    assert desk.cut == []
    assert {record["outcome"] for record in await line.records("attempt_finished")} == {"ok"}


@pytest.mark.parametrize("scope", [MAIN, "alpha"])
async def test_a_claimed_call_does_not_begin(redis: ArqRedis, scope: str) -> None:
    """A job that was claimed when the switch was heard is not called for: it moves on and its attempt costs nothing."""
    line, desk, queue = await _line(redis), _SlowDesk(), _SeenQueue(redis)
    async with _working(redis, desk, queue=queue) as worker:

        async def switch_off() -> None:
            await line.switchboard.disable(TABLE, scope, reason="r", by="ann")
            await _until(lambda: worker.times_off(MAIN))

        queue.after_claim = switch_off
        await line.enqueue(new_job("late"))
        await _until(lambda: worker.jobs_withdrawn)
    assert desk.begun == []
    assert await line.members(f"arq:queue:{BACKUP}") == ["late"]
    (ended,) = await line.records("attempt_finished")
    assert (ended["outcome"], ended["usage_source"], ended["cost_microusd"]) == ("unknown", "none", 0)
    assert ended["duration_us"] is None


async def test_a_switch_of_before_the_claim(redis: ArqRedis) -> None:
    """A claim that gave jobs has seen the tier open: whatever was heard before it, and never taken back, is outdated.

    Else a worker that missed one word would claim, withdraw and claim again for ever.
    """
    line, desk = await _line(redis), _SlowDesk()
    async with _working(redis, desk) as worker:
        await redis.publish(f"pointsman:wake:{MAIN}", "off")
        await _until(lambda: worker.times_off(MAIN))
        await line.enqueue(new_job("a"))
        await _until(lambda: desk.begun or worker.jobs_withdrawn > 3)
    assert (desk.begun, worker.jobs_withdrawn) == (["a"], 0)


async def test_a_cut_call_that_never_began(redis: ArqRedis) -> None:
    """An abort that comes while a job is taken back whose call has not begun: it costs nothing all the same."""
    line, desk, queue, board = await _line(redis), _SlowDesk(), _SeenQueue(redis), _SlowBoard(redis)
    async with _working(redis, desk, queue=queue, board=board) as worker:

        async def switch_off() -> None:
            await line.switchboard.disable(TABLE, MAIN, reason="r", by="ann")
            await _until(lambda: worker.times_off(MAIN))

        queue.after_claim = switch_off
        await line.enqueue(new_job("a"))
        await _until(lambda: board.asked)
        await line.switchboard.disable(TABLE, MAIN, reason="r", by="ann", abort=True)
        await _until(lambda: queue.cut)
        await asyncio.sleep(0.02)
        board.answers.set()
        await _until(lambda: not worker.tasks)
    assert desk.begun == []
    (ended,) = await line.records("attempt_finished")
    assert (ended["usage_source"], ended["cost_microusd"]) == ("none", 0)
    assert worker.jobs_withdrawn == 1


async def test_an_abort_after_the_call(redis: ArqRedis) -> None:
    """A call that has ended is not cut: what came of it is what is recorded, not that nobody knows."""
    line, queue, board = await _line(redis), _SeenQueue(redis), _SlowBoard(redis)
    desk = _SlowDesk(make_report(Transient(detail="500", may_be_billed=False)))
    async with _working(redis, desk, queue=queue, board=board) as worker:
        desk.answers.set()
        await line.enqueue(new_job("a"))
        await _until(lambda: board.asked)
        await line.switchboard.disable(TABLE, MAIN, reason="r", by="ann", abort=True)
        await _until(lambda: queue.cut)
        await asyncio.sleep(0.02)
        board.answers.set()
        await _until(lambda: not worker.tasks)
    (ended,) = await line.records("attempt_finished")
    assert (ended["outcome"], ended["usage_source"], ended["cost_microusd"]) == ("transient", "none", 0)


async def test_a_worker_that_ends_while_it_takes_back(redis: ArqRedis) -> None:
    """A worker told to end while it takes back calls that were cut takes them back all the same: no lease is left."""
    line, desk, queue, board = await _line(redis), _SlowDesk(), _SeenQueue(redis), _SlowBoard(redis)
    async with _working(redis, desk, queue=queue, board=board) as worker:
        await line.enqueue(new_job("a"), new_job("b"))
        await _until(lambda: len(desk.begun) == 2)
        await line.switchboard.disable(TABLE, MAIN, reason="r", by="ann", abort=True)
        await _until(lambda: board.asked == 2)
        for task in tuple(worker.tasks.values()):
            task.cancel()  # as arq does when the grace time is over
        await asyncio.sleep(0.02)
        board.answers.set()
    assert await line.members(f"pointsman:leases:{MAIN}") == []
    assert sorted(await line.members(f"arq:queue:{BACKUP}")) == ["a", "b"]


async def test_a_worker_that_ends_during_a_call(redis: ArqRedis) -> None:
    """A call that outlasts the grace time is cut: its record is unknown, and says how long the call had taken."""
    line, desk, clock = await _line(redis), _SlowDesk(), SteppedClock()
    async with _working(redis, desk, clock=clock) as worker:
        await line.enqueue(new_job("a"))
        await _until(lambda: desk.begun)
        clock.pass_us(31_000_000)
        for task in tuple(worker.tasks.values()):
            task.cancel()  # as arq does when the grace time is over
        await _until(lambda: worker.jobs_retried)
    record = (await line.records("attempt_finished"))[0]
    assert (record["outcome"], record["duration_us"]) == ("unknown", 31_000_000)


async def test_a_worker_that_ends_serves_nothing(redis: ArqRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the signal on a worker's heartbeats keep its leases, but do not say that it serves its tiers."""
    monkeypatch.setattr("pointsman_worker.tier_worker.HEARTBEAT_S", 0.02)
    line, desk, queue = await _line(redis), _SlowDesk(), _SeenQueue(redis)
    async with _working(redis, desk, queue=queue) as worker:
        await line.enqueue(new_job("a"))
        await _until(lambda: desk.begun)
        assert set(queue.served) == {(MAIN,)}
        worker.handle_sig_wait_for_completion(SIGTERM)
        beats = len(queue.served)
        await _until(lambda: len(queue.served) > beats + 1)
        assert not queue.served[-1]
        desk.answers.set()
        await _until(lambda: not worker.tasks)


@pytest.mark.parametrize("troubles", [0, 3])
async def test_others_have_a_moment_to_come(redis: ArqRedis, monkeypatch: pytest.MonkeyPatch, troubles: int) -> None:
    """A worker that starts, or has Redis back, does not at once take away late jobs of tiers whose workers come too."""
    monkeypatch.setattr("pointsman_worker.tier_worker.SWEEP_S", 1.0)
    line, queue = await _line(redis), _SeenQueue(redis, troubles=troubles)
    await line.enqueue(new_job("late", tier=BACKUP, spill_ms=1))
    async with _working(redis, _SlowDesk(), queue=queue, others=(BACKUP,)):
        await _until(lambda: len(queue.claimed) > troubles)
        begin = asyncio.get_running_loop().time()
        while BACKUP not in queue.claimed:
            await redis.publish(f"pointsman:wake:{MAIN}", "1")
            await asyncio.sleep(0.01)
        waited = asyncio.get_running_loop().time() - begin
    assert waited > 0.4


async def test_serves_while_it_lives(redis: ArqRedis) -> None:
    """A worker's heartbeat says which tiers it serves."""
    line = await _line(redis)
    async with _working(redis, _SlowDesk()):
        served: dict[str, bool] = {}
        while not served.get(MAIN):
            gates = await line.switchboard.gates([MAIN, SIDE, BACKUP])
            served = {scope: gate.served for scope, gate in gates.items()}
            await asyncio.sleep(0.005)
    assert served == {MAIN: True, SIDE: False, BACKUP: False}
