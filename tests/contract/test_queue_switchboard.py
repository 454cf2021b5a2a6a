"""Switches: tiers and providers off and on, gates as they are seen, jobs called off in every state."""

from typing import Any, cast

import pytest
from arq import ArqRedis
from queue_cases import BACKUP, DEADLINE_MS, MAIN, SIDE, SPILL_MS, Line, make_profile, make_table, new_job, settlement

from pointsman_queue import BreakerState, Claim
from pointsman_routes import JobState, SwitchRecord

TABLE = make_table()


async def test_disable(redis: ArqRedis) -> None:
    """No call starts at a disabled tier; its queued jobs are handed over; who did it and why is recorded."""
    line = await Line.of(redis)
    await line.enqueue(new_job("a"))
    await line.switchboard.disable(TABLE, MAIN, reason="bad answers", by="ann")
    claim = await line.claim()
    assert (claim.leases, [lease.reason for lease in claim.handed]) == ((), ["disabled"])
    gate = (await line.switchboard.gates([MAIN]))[MAIN]
    assert (gate.open, gate.disabled, gate.disabled_by) == (False, "bad answers", "ann")
    (record,) = await line.records("switch")
    assert record.pop("at") == line.clock.now_ms * 1000
    assert SwitchRecord.model_validate(record) == SwitchRecord(
        scope=MAIN, action="disable", reason="bad answers", by="ann", policy_digest=TABLE.policy_digest
    )


async def test_running_calls_go_on(redis: ArqRedis) -> None:
    """A call under way when its tier is disabled may end and be settled."""
    line = await Line.of(redis)
    lease = await line.lease("a")
    await line.switchboard.disable(TABLE, MAIN, reason="r", by="ann")
    assert (await line.worker().renew([lease], "{}", believed_s=9)).lost == frozenset()
    assert await line.settle(settlement(lease, "finish")) == [True]


async def test_disabled_provider(redis: ArqRedis) -> None:
    """A disabled provider shuts all its tiers and no other's; enabling it opens them."""
    line = await Line.of(redis)
    await line.switchboard.disable(TABLE, "alpha", reason="r", by="ann")
    openings = await line.switchboard.openings(TABLE, [MAIN, SIDE, BACKUP])
    assert openings.open == {BACKUP}
    assert openings.served == {MAIN, SIDE, BACKUP}
    await line.enqueue(new_job("a", tier=SIDE))
    claim = await line.claim(profile=make_profile(SIDE))
    assert [lease.reason for lease in claim.handed] == ["disabled"]
    await line.switchboard.enable(TABLE, "alpha", reason="r", by="ann")
    assert (await line.switchboard.openings(TABLE, [MAIN, SIDE, "alpha/gone"])).open == {MAIN, SIDE}
    assert [(record["scope"], record["action"]) for record in await line.records("switch")] == [
        ("alpha", "disable"),
        ("alpha", "enable"),
    ]


async def test_wakes_the_tiers(redis: ArqRedis) -> None:
    """A switch wakes the tiers it concerns: those of the provider, or the one."""
    line = await Line.of(redis)
    async with redis.pubsub() as heard:
        await heard.psubscribe("pointsman:wake:*")
        await heard.get_message(timeout=5)
        await line.switchboard.disable(TABLE, "alpha", reason="r", by="ann")
        await line.switchboard.enable(TABLE, BACKUP, reason="r", by="ann")
        messages = [await heard.get_message(timeout=5) for _ in range(5)]
        assert await heard.get_message(timeout=0.05) is None
    heard_of = [
        (message["channel"].decode().removeprefix("pointsman:wake:"), message["data"])
        for message in messages
        if message
    ]
    assert sorted(heard_of) == sorted([("alpha", b"off"), (MAIN, b"1"), (SIDE, b"1"), (BACKUP, b"on"), (BACKUP, b"1")])


async def test_abort(redis: ArqRedis) -> None:
    """Calls in flight at an aborted tier or provider are named by the next heartbeat, until it is enabled again.

    Their leases are kept: their worker settles them.
    """
    line = await Line.of(redis)
    await line.enqueue(new_job("a"), new_job("b", tier=BACKUP))
    leases = [*(await line.claim()).leases, *(await line.claim(profile=make_profile(BACKUP))).leases]
    mine = {lease.tier: lease.fence for lease in leases}

    async def cut() -> frozenset[str]:
        found = await line.worker().renew(leases, "{}", believed_s=60)
        assert found.lost == frozenset()
        return found.cut

    await line.switchboard.disable(TABLE, MAIN, reason="r", by="ann")
    assert await cut() == frozenset()
    await line.switchboard.disable(TABLE, MAIN, reason="r", by="ann", abort=True)
    assert await cut() == {mine[MAIN]}
    await line.switchboard.disable(TABLE, "beta", reason="r", by="ann", abort=True)
    assert await cut() == {mine[MAIN], mine[BACKUP]}
    await line.switchboard.enable(TABLE, MAIN, reason="r", by="ann")
    await line.switchboard.disable(TABLE, "beta", reason="r", by="ann")
    assert await cut() == frozenset()
    assert [record["abort"] for record in await line.records("switch")] == [False, True, True, False, False]


async def test_unknown_scope(redis: ArqRedis) -> None:
    """There is no switch for what is not in the route table."""
    line = await Line.of(redis)
    with pytest.raises(KeyError):
        await line.switchboard.disable(TABLE, "alpha/gone", reason="r", by="ann")
    assert await line.records() == []


async def test_enable_undoes_everything(redis: ArqRedis) -> None:
    """Enabling a tier undoes its switch, a closing for the operator and a vendor's wait."""
    line = await Line.of(redis)
    lease = await line.lease("a")
    await line.settle(settlement(lease, "hold", tiers=(MAIN,), close_reason="unauthorized", throttle_ms=10**9))
    await line.switchboard.disable(TABLE, MAIN, reason="r", by="ann")
    assert (await line.claim()).leases == ()
    await line.switchboard.enable(TABLE, MAIN, reason="new key", by="ann")
    assert len((await line.claim()).leases) == 1


async def test_gates(redis: ArqRedis) -> None:
    """A gate is seen as claims see it; one nobody has touched is open."""
    line = await Line.of(redis)
    now_s, _ = await redis.time()
    untouched = (await line.switchboard.gates([MAIN]))[MAIN]
    assert (untouched.open, untouched.breaker, untouched.closed, untouched.levels) == (
        True,
        BreakerState.CLOSED,
        None,
        {},
    )
    later, before = (now_s + 1000) * 1000, (now_s - 1000) * 1000
    await _mark(
        redis, {"open_until": later, "throttled_until": later, "throttles": 3, "rpm": 1.5, "tpm": -2, "factor": 1.2}
    )
    seen = (await line.switchboard.gates([MAIN]))[MAIN]
    assert (seen.open, seen.breaker, seen.throttles, seen.token_factor) == (False, BreakerState.OPEN, 3, 1.2)
    assert seen.levels == {"rpm": 1.5, "tpm": -2}
    assert 900 < seen.throttled_for_s <= 1000
    await _mark(redis, {"open_until": before, "closed_until": later, "closed_reason": "exhausted"})
    seen = (await line.switchboard.gates([MAIN]))[MAIN]
    assert (seen.open, seen.breaker, seen.closed) == (False, BreakerState.HALF_OPEN, "exhausted")
    assert seen.closed_for_s is not None
    assert 900 < seen.closed_for_s <= 1000
    await _mark(redis, {"closed_until": -1})
    seen = (await line.switchboard.gates([MAIN]))[MAIN]
    assert (seen.closed, seen.closed_for_s) == ("exhausted", None)
    await _mark(redis, {"closed_until": before})
    assert (await line.switchboard.gates([MAIN]))[MAIN].open


async def test_cancel_queued(redis: ArqRedis) -> None:
    """A queued job that is called off goes to the front and is handed over next, whatever the limits."""
    line, full = await Line.of(redis), make_profile(table=make_table(main={"rpm": 1}))
    await line.enqueue(*(new_job(f"{number}", spill_ms=0) for number in range(30)))
    await line.claim(1, profile=full)
    assert await line.switchboard.cancel("29", by="ann") is JobState.QUEUED
    _cancelled(await line.claim(profile=full), "29")


async def test_cancel_delayed(redis: ArqRedis) -> None:
    """A delayed job that is called off does not wait for its moment."""
    line = await Line.of(redis)
    await line.settle(settlement(await line.lease("a"), "delay", wait_ms=50_000))
    assert await line.switchboard.cancel("a", by="ann") is JobState.QUEUED
    _cancelled(await line.claim(), "a")
    assert await line.members(f"pointsman:delayed:{MAIN}") == []


async def test_cancel_held(redis: ArqRedis) -> None:
    """A held job that is called off is handed over by the next claim, also of a tier that is shut."""
    line = await Line.of(redis)
    await line.settle(settlement(await line.lease("a"), "hold", tiers=(MAIN, SIDE)))
    await line.switchboard.disable(TABLE, BACKUP, reason="r", by="ann")
    assert await line.switchboard.cancel("a", by="ann") is JobState.HELD
    claim = await line.claim(profile=make_profile(BACKUP))
    _cancelled(claim, "a")
    assert claim.handed[0].held
    assert [key for key in await line.everything() if "held" in key] == []


async def test_cancel_leased(redis: ArqRedis) -> None:
    """A call that is called off loses its lease; its answer is refused; the next claim closes it as unknown."""
    line = await Line.of(redis)
    await line.enqueue(*(new_job(f"{number}", deadline_ms=1_000_000 - number) for number in range(30)))
    (lease,) = (await line.claim(1)).leases
    assert await line.switchboard.cancel(lease.job_id, by="ann") is JobState.LEASED
    assert (await line.worker().renew([lease], "{}", believed_s=9)).lost == {lease.fence}
    before = await line.everything()
    assert await line.settle(settlement(lease, "finish")) == [False]
    assert await line.everything() == before
    _cancelled(await line.claim(0), lease.job_id)
    (record,) = await line.records("attempt_finished")
    assert (record["job_id"], record["outcome"], record["fence"]) == (lease.job_id, "unknown", int(lease.fence))


@pytest.mark.parametrize("step", ["move", "release", "delay", "hold"])
async def test_cancel_while_it_is_relocated(redis: ArqRedis, step: str) -> None:
    """A job called off between being handed over and settled is at the front wherever it goes."""
    line = await Line.of(redis, served=(BACKUP, SIDE))
    slow = make_profile(table=make_table(main={"rpm": 1}))
    await line.lease("first")
    for tier in (MAIN, BACKUP):
        ahead = {"tier": tier, "deadline_ms": DEADLINE_MS - 1, "spill_ms": 0}
        await line.enqueue(*(new_job(f"{tier}-{number}", **ahead) for number in range(30)))
    await line.enqueue(new_job("a"))
    await line.clock.advance(SPILL_MS)
    (lease,) = [lease for lease in (await line.claim(0, profile=slow)).handed if lease.job_id == "a"]
    assert await line.switchboard.cancel(lease.job_id, by="ann") is JobState.LEASED
    await line.settle(settlement(lease, step, to=BACKUP, tiers=(BACKUP,), wait_ms=50_000))
    profile = make_profile(BACKUP) if step == "move" else slow
    handed = (await line.claim(0, profile=profile)).handed
    assert (lease.job_id, "cancelled") in [(entry.job_id, entry.reason) for entry in handed]


async def test_cancel_final_or_unknown(redis: ArqRedis) -> None:
    """A job that has ended stays as it ended; an unknown one is unknown; nothing is written."""
    line = await Line.of(redis)
    await line.settle(settlement(await line.lease("a"), "finish", state=JobState.FAILED))
    before = await line.everything()
    assert await line.switchboard.cancel("a", by="ann") is JobState.FAILED
    assert await line.switchboard.cancel("b", by="ann") is None
    assert await line.everything() == before


async def test_cancel_wakes_the_tier(redis: ArqRedis) -> None:
    """The tier of a job that is called off is woken, so that the job ends soon."""
    line = await Line.of(redis)
    await line.enqueue(new_job("a"))
    async with redis.pubsub() as heard:
        await heard.subscribe(f"pointsman:wake:{MAIN}")
        await heard.get_message(timeout=5)
        await line.switchboard.cancel("a", by="ann")
        assert await heard.get_message(timeout=5) is not None


def _cancelled(claim: Claim, job_id: str) -> None:
    assert [(lease.job_id, lease.reason) for lease in claim.handed] == [(job_id, "cancelled")]


async def _mark(redis: ArqRedis, fields: dict[str, float | str]) -> None:
    await cast("Any", redis.hset(f"pointsman:gate:{MAIN}", mapping=cast("Any", fields)))
