"""A worker whose tier is switched off: claimed calls do not begin, and an abort cuts those in flight."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from arq import ArqRedis
from queue_cases import BACKUP, KEEP, MAIN, SIDE, Line, make_profile, make_table, new_job
from simulated_clock import SimulatedClock
from worker_cases import make_rates, make_report

from pointsman_queue import JobQueue, Observer, Switchboard, TierQueue
from pointsman_routes import Job
from pointsman_worker import Dispatcher, Office, Report, Settler, TierWorker, WorkerPlan

TABLE = make_table(main={"concurrency": 8})


class _SlowDesk:
    """Answers when it is told to, or never."""

    def __init__(self) -> None:
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
        return make_report()


@asynccontextmanager
async def _working(redis: ArqRedis, desk: _SlowDesk) -> AsyncIterator[TierWorker]:
    queue = TierQueue(redis, worker="w-1", keep_results=KEEP)
    settler = Settler(queue)
    office = Office(worker="w-1", table=TABLE, rates=make_rates(TABLE))
    plan = WorkerPlan(profiles={MAIN: make_profile(MAIN, TABLE)}, slots={MAIN: 8}, grace=timedelta(seconds=1))
    worker = TierWorker(
        plan,
        redis=redis,
        queue=queue,
        dispatcher=Dispatcher(office, desk, settler, Switchboard(redis)),
        settler=settler,
        worker_id="w-1",
        handle_signals=False,
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
    """An abort cuts every call of the tier within a moment; their jobs move on, and each has its record as unknown."""
    line, desk = await _line(redis), _SlowDesk()
    async with _working(redis, desk) as worker:
        await line.enqueue(*(new_job(f"{number}") for number in range(5)))
        await _until(lambda: len(desk.begun) == 5)
        await line.switchboard.disable(TABLE, "alpha", reason="r", by="ann", abort=True)
        await _until(lambda: not worker.tasks)
    assert sorted(desk.cut) == sorted(desk.begun)
    assert sorted(await line.members(f"arq:queue:{BACKUP}")) == [f"{number}" for number in range(5)]
    ended = await line.records("attempt_finished")
    assert [(record["outcome"], record["usage_source"], record["counted"]) for record in ended] == [
        ("unknown", "estimate", False)
    ] * 5
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
    line, desk = await _line(redis), _SlowDesk()
    async with _working(redis, desk) as worker:
        await line.switchboard.disable(TABLE, scope, reason="r", by="ann")
        await _until(lambda: worker.heard_off(MAIN))
        # As if the claim had been a moment earlier than the switch.
        await redis.hdel(f"pointsman:gate:{scope}", "disabled")  # type: ignore[misc]  # typed for both clients
        await line.enqueue(new_job("late"))
        await _until(lambda: worker.jobs_withdrawn)
        await redis.hset(f"pointsman:gate:{scope}", "disabled", "r")  # type: ignore[misc]
        await _until(lambda: not worker.tasks)
    assert desk.begun == []
    (first, *_) = await line.records("attempt_finished")
    assert (first["outcome"], first["usage_source"], first["cost_microusd"]) == ("unknown", "none", 0)


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
