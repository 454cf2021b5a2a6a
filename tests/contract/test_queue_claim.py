"""Claiming: which jobs, in which order, with what written before anybody knows of it."""

from collections.abc import Iterable
from typing import Any

from arq import ArqRedis
from queue_cases import (
    DEADLINE_MS,
    MAIN,
    POISON,
    SALT,
    SPILL_MS,
    Line,
    make_profile,
    make_table,
    new_job,
    settlement,
)

from pointsman_queue import LEASE_S, JobView, Lease, TierProfile
from pointsman_routes import AttemptFinished, AttemptStarted, JobState, Price, Rate

LEASE_MS = int(LEASE_S * 1000)


async def test_lease_says_where_the_job_stands(redis: ArqRedis) -> None:
    """A lease carries the job itself and everything a decision about it needs."""
    line = await Line.of(redis)
    await line.enqueue(new_job("a"))
    await line.clock.advance(2000)
    (lease,) = (await line.claim()).leases
    assert lease.job is not None
    assert (lease.job.custom_id, lease.salt) == ("a", SALT)
    assert (lease.job_id, lease.tier, lease.reason, lease.held) == ("a", MAIN, None, False)
    assert (lease.attempt, lease.failures, lease.tries_here, lease.recoveries, lease.skipped) == (1, 0, 0, 0, 0)
    assert (lease.path, lease.barred, lease.cost_microusd) == ("", frozenset(), 0)
    assert (lease.task_class, lease.batch_id) == ("triage", "batch")
    assert (lease.estimate_in, lease.estimate_out) == (10, 10)
    assert lease.accepted_at == (line.clock.now_ms - 2000) * 1000
    assert lease.started_at == line.clock.now_ms * 1000
    assert lease.seconds_left == (DEADLINE_MS - 2000) / 1000
    assert await line.observer.job("a") == JobView(
        job_id="a",
        state=JobState.LEASED,
        tier=MAIN,
        task_class="triage",
        batch_id="batch",
        accepted_at=lease.accepted_at,
        deadline_ms=lease.deadline_ms,
        attempts=1,
        failures=0,
        path="",
        job=lease.job,
    )


async def test_earliest_deadline_first_across_classes(redis: ArqRedis) -> None:
    """Jobs are leased by their deadline, whatever their class, their batch and the order in which they came."""
    line = await Line.of(redis)
    await line.enqueue(new_job("late", deadline_ms=9_000), new_job("soon", deadline_ms=3_000, task_class="solo"))
    await line.enqueue(new_job("middle", deadline_ms=6_000), batch="other")
    claims = [await line.claim(1) for _ in range(3)]
    assert [lease.job_id for claim in claims for lease in claim.leases] == ["soon", "middle", "late"]


async def test_limit_is_kept(redis: ArqRedis) -> None:
    """No more jobs are leased than the worker has room for; a claim of none only tidies up."""
    line = await Line.of(redis)
    await line.enqueue(*(new_job(f"{number}") for number in range(5)))
    assert len((await line.claim(3)).leases) == 3
    assert (await line.claim(0)).leases == ()
    assert len((await line.claim(9)).leases) == 2


async def test_attempt_is_recorded_before_it_is_known(redis: ArqRedis) -> None:
    """When a claim has leased jobs, each one's `attempt_started` record is in the outbox already, and complete."""
    line, table = await Line.of(redis), make_table()
    await line.enqueue(new_job("a"), new_job("b", task_class="solo"))
    claim = await line.claim(profile=make_profile(table=table))
    records = [AttemptStarted.model_validate(_untimed(entry)) for entry in await line.records("attempt_started")]
    assert [(record.job_id, record.attempt, str(record.fence)) for record in records] == [
        (lease.job_id, lease.attempt, lease.fence) for lease in claim.leases
    ]
    first = records[0]
    assert (first.tier, first.provider, first.owner) == (MAIN, "alpha", "team@example.com")
    assert (first.model, first.region) == ("a-large", "eu")
    assert (first.hop, first.worker, first.task_class, first.batch_id) == (0, "w-1", "triage", "batch")
    assert first.policy_digest == table.policy_digest


async def test_handing_over_makes_no_attempt(redis: ArqRedis) -> None:
    """A job handed over without a call has no attempt record and its number of calls stays as it was."""
    line = await Line.of(redis)
    await line.enqueue(new_job("a", deadline_ms=1000))
    await line.clock.advance(1000)
    claim = await line.claim()
    (lease,) = claim.handed
    assert (claim.leases, lease.reason, lease.attempt) == ((), "expired", 0)
    assert await line.records("attempt_started") == []


async def test_fences_only_grow(redis: ArqRedis) -> None:
    """Every lease has a greater fence than all before it, whoever claims, also of jobs handed over."""
    line = await Line.of(redis)
    await line.enqueue(*(new_job(f"{number}", deadline_ms=100) for number in range(4)))
    await line.enqueue(*(new_job(f"late-{number}") for number in range(4)))
    claims = [await line.claim(2, worker="w-1"), await line.claim(1, worker="w-2")]
    await line.clock.advance(100)
    claims += [await line.claim(2, worker="w-1"), await line.claim(9, worker="w-2")]
    fences = [int(lease.fence) for claim in claims for lease in sorted((*claim.leases, *claim.handed), key=_fence)]
    assert len(fences) == 8
    assert fences == sorted(set(fences))


async def test_expired_in_the_queue(redis: ArqRedis) -> None:
    """A queued job whose deadline has passed is handed over as expired, not called for."""
    line = await Line.of(redis)
    await line.enqueue(new_job("a", deadline_ms=1000), new_job("b"))
    await line.clock.advance(999)
    assert (await line.claim(0)).handed == ()
    await line.clock.advance(1)
    claim = await line.claim()
    assert _reasons(claim.handed) == {"a": "expired"}
    assert _names(claim.leases) == ["b"]


async def test_expired_while_delayed(redis: ArqRedis) -> None:
    """A delayed job is promoted when due, not before; no delay outlasts the deadline, when it is handed as expired."""
    line = await Line.of(redis)
    await line.settle(settlement(await line.lease("a"), "delay", wait_ms=5000))
    early = await line.claim()
    assert (early.leases, early.wait_ms) == ((), 5000)
    await line.clock.advance(5000)
    (lease,) = (await line.claim()).leases
    await line.settle(settlement(lease, "delay", wait_ms=DEADLINE_MS * 2))
    assert (await line.claim()).wait_ms == DEADLINE_MS - 5000
    await line.clock.advance(DEADLINE_MS - 5000)
    assert _reasons((await line.claim()).handed) == {"a": "expired"}


async def test_a_delayed_job_still_spills(redis: ArqRedis) -> None:
    """How long a job has waited for its tier counts from when it came to it, through delays and lost leases."""
    line = await Line.of(redis)
    await line.settle(settlement(await line.lease("a"), "delay", wait_ms=5000))
    await line.clock.advance(5000)
    await line.claim(1)
    await line.clock.advance(LEASE_MS)
    await line.claim(0)
    assert await redis.zscore(f"pointsman:spill:{MAIN}", "a") == line.clock.now_ms - 5000 - LEASE_MS + SPILL_MS


async def test_lost_lease_is_returned(redis: ArqRedis) -> None:
    """A lease that is not renewed ends; its call is closed as unknown at the full estimate, and the job leased anew."""
    line = await Line.of(redis)
    lost = await line.lease("a")
    await line.clock.advance(LEASE_MS - 1)
    waiting = await line.claim(worker="w-2")
    assert (waiting.leases, waiting.wait_ms) == ((), 1)
    await line.clock.advance(1)
    (lease,) = (await line.claim(worker="w-2")).leases
    assert (lease.attempt, lease.recoveries, lease.cost_microusd) == (2, 1, 10 * 2 + 10 * 8)
    assert int(lease.fence) > int(lost.fence)
    (entry,) = await line.records("attempt_finished")
    record = AttemptFinished.model_validate(_untimed(entry))
    assert (record.attempt, record.worker, str(record.fence), record.hop) == (1, "w-1", lost.fence, 0)
    assert (record.owner, record.task_class, record.batch_id) == ("team@example.com", "triage", "batch")
    assert record.duration_us is None
    assert (record.outcome, record.usage_source, record.counted) == ("unknown", "estimate", False)
    assert (record.input_tokens, record.output_tokens, record.cost_microusd) == (10, 10, 100)
    assert record.started_at == lost.started_at


async def test_cost_of_a_lost_call_is_not_rounded_up_twice(redis: ArqRedis) -> None:
    """A cost that is a whole number of micro-USD stays that number, though its factors are no binary fractions."""
    line = await Line.of(redis)
    await line.enqueue(new_job("a", characters=400, max_tokens=0))
    cheap = TierProfile.of(make_table(), MAIN, _rate("0.07"))
    await line.claim(profile=cheap)
    await line.clock.advance(LEASE_MS)
    await line.claim(0, profile=cheap)
    assert [record["cost_microusd"] for record in await line.records("attempt_finished")] == [7]


async def test_renewed_lease_stays(redis: ArqRedis) -> None:
    """A lease that is renewed in time does not end, and the worker is listed with its health."""
    line = await Line.of(redis)
    lease = await line.lease("a")
    for _ in range(4):
        await line.clock.advance(LEASE_MS - 1)
        assert (await line.worker().renew([lease], '{"busy": 1}', believed_s=60)).lost == frozenset()
        assert (await line.claim(worker="w-2")).leases == ()
    assert (await line.observer.overview([MAIN])).workers == {"w-1": {"busy": 1}}
    await line.worker().retire()
    assert (await line.observer.overview([MAIN])).workers == {}


async def test_lost_leases_are_told_by_fence(redis: ArqRedis) -> None:
    """A worker that holds a job a second time is told that the first lease is lost, and keeps the second."""
    line = await Line.of(redis)
    old = await line.lease("a")
    await line.clock.advance(LEASE_MS)
    (new,) = (await line.claim()).leases
    assert (await line.worker().renew([old, new], "{}", believed_s=60)).lost == {old.fence}
    assert await redis.zscore(f"pointsman:leases:{MAIN}", "a") == line.clock.now_ms + LEASE_MS


async def test_poison(redis: ArqRedis) -> None:
    """A job whose lease was lost three times during a call is handed over as poison, and not called for again."""
    line = await Line.of(redis)
    await line.enqueue(new_job("a"))
    for recoveries in range(POISON):
        (lease,) = (await line.claim()).leases
        assert lease.recoveries == recoveries
        await line.clock.advance(LEASE_MS)
    claim = await line.claim()
    assert (claim.leases, _reasons(claim.handed)) == ((), {"a": "poison"})


async def test_lost_handing_over_is_no_recovery(redis: ArqRedis) -> None:
    """A worker that dies with a job it was handed without a call costs the job nothing, and leaves no attempt."""
    line = await Line.of(redis)
    await line.enqueue(new_job("a"))
    await line.switchboard.disable(make_table(), MAIN, reason="r", by="me")
    for _ in range(POISON + 1):
        claim = await line.claim()
        assert _reasons(claim.handed) == {"a": "disabled"}
        await line.clock.advance(LEASE_MS)
    assert await line.records("attempt_finished") == []


async def test_lost_call_is_closed_once(redis: ArqRedis) -> None:
    """A call that was lost and closed is not closed again when the job is handed over and that is lost too."""
    line = await Line.of(redis)
    await line.lease("a")
    await line.switchboard.disable(make_table(), MAIN, reason="r", by="me")
    for _ in range(2):
        await line.clock.advance(LEASE_MS)
        (lease,) = (await line.claim()).handed
        assert lease.recoveries == 1
    assert len(await line.records("attempt_finished")) == 1


async def test_spill(redis: ArqRedis) -> None:
    """A job that waited longer than its class allows is handed over, but only when it cannot be called for now."""
    line, slow = await Line.of(redis), make_profile(table=make_table(main={"rpm": 1}))
    await line.enqueue(new_job("a"), new_job("b"), new_job("c", spill_ms=0))
    assert _names((await line.claim(profile=slow)).leases) == ["a"]
    first = await line.claim(profile=slow)
    assert (first.leases, first.handed, first.wait_ms) == ((), (), LEASE_MS)
    await line.clock.advance(SPILL_MS)
    claim = await line.claim(profile=slow)
    assert _names(claim.leases) == ["a"]  # its lease was lost, its deadline is the earliest, and there is a token
    assert _reasons(claim.handed) == {"b": "rate_limited"}
    assert await line.members(f"arq:queue:{MAIN}") == ["c"]


async def test_spilled_with_nowhere_to_go(redis: ArqRedis) -> None:
    """A job handed over for waiting too long and given back waits as long once more before it is handed over again."""
    line, slow = await Line.of(redis), make_profile(table=make_table(main={"rpm": 1}))
    await line.enqueue(new_job("a"), new_job("b"))
    await line.claim(profile=slow)
    await line.clock.advance(SPILL_MS)
    (lease,) = (await line.claim(0, profile=slow)).handed[-1:]
    await line.settle(settlement(lease, "release"))
    assert lease.job_id not in _reasons((await line.claim(0, profile=slow)).handed)
    assert await redis.zscore(f"pointsman:spill:{MAIN}", lease.job_id) == line.clock.now_ms + SPILL_MS


async def test_sleeps_until_woken(redis: ArqRedis) -> None:
    """An empty tier has no time at which to ask again; one with more work than was looked at has: at once."""
    line = await Line.of(redis)
    assert (await line.claim()).wait_ms is None
    await line.enqueue(*(new_job(f"{number:02d}", deadline_ms=10) for number in range(17)), new_job("live"))
    await line.clock.advance(11)
    claim = await line.claim(1)
    assert (len(claim.handed), claim.leases, claim.wait_ms) == (17, (), 1)
    assert _names((await line.claim(1)).leases) == ["live"]


async def test_hands_over_in_portions(redis: ArqRedis) -> None:
    """A closed tier with many jobs hands them over a hundred at a time, and says that there are more."""
    line = await Line.of(redis)
    await line.enqueue(*(new_job(f"{number:03d}") for number in range(230)))
    await line.switchboard.disable(make_table(), MAIN, reason="r", by="me")
    claims = [await line.claim() for _ in range(4)]
    assert [len(claim.handed) for claim in claims] == [100, 100, 30, 0]
    assert [claim.wait_ms for claim in claims] == [1, 1, LEASE_MS, LEASE_MS]


def _fence(lease: Lease) -> int:
    return int(lease.fence)


def _names(leases: Iterable[Lease]) -> list[str]:
    return [lease.job_id for lease in leases]


def _reasons(leases: Iterable[Lease]) -> dict[str, str | None]:
    return {lease.job_id: lease.reason for lease in leases}


def _rate(price: str) -> Rate:
    return Rate(price=Price.model_validate({"input": price, "output": 0}), source="config")


def _untimed(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != "at"}
