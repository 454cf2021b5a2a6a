"""Held jobs: they come back once a tier they wait for is open, visibly, or end where they are."""

import pytest
from arq import ArqRedis
from queue_cases import BACKUP, DEADLINE_MS, MAIN, SIDE, SPILL_MS, Line, make_profile, make_table, new_job, settlement

from pointsman_queue.tier_queue import HAND_LIMIT
from pointsman_routes import JobState, ReleasedRecord


async def test_expired_while_held(redis: ArqRedis) -> None:
    """A held job whose deadline passes is handed over by the next claim of any tier, as one that is at no tier."""
    line = await Line.of(redis)
    await line.settle(settlement(await line.lease("a"), "hold", tiers=(MAIN, SIDE)))
    waiting = await line.claim(0, profile=make_profile(BACKUP))
    assert waiting.wait_ms == DEADLINE_MS
    await line.clock.advance(DEADLINE_MS + 1)
    claim = await line.claim(0, profile=make_profile(BACKUP))
    (lease,) = claim.handed
    assert (lease.reason, lease.held, lease.tier) == ("expired", True, BACKUP)
    assert await line.settle(settlement(lease, "finish", state=JobState.EXPIRED)) == [True]
    assert [key for key in await line.everything() if "held" in key or "leases" in key] == []


async def test_held_jobs_come_back(redis: ArqRedis) -> None:
    """Held jobs return to the first open tier that asks, earliest deadline first, no more than it has room for."""
    line = await Line.of(redis)
    await line.enqueue(*(new_job(name, deadline_ms=ms) for name, ms in (("c", 9000), ("a", 7000), ("b", 8000))))
    claim = await line.claim()
    await line.settle(*(settlement(lease, "hold", tiers=(MAIN, BACKUP)) for lease in claim.leases))
    load = (await line.observer.overview([BACKUP])).tiers[0]
    assert (load.queued, load.held) == (0, 3)
    claim = await line.claim(2, profile=make_profile(BACKUP))
    assert [(lease.job_id, lease.tier) for lease in claim.leases] == [("a", BACKUP), ("b", BACKUP)]
    assert await line.members("pointsman:held") == ["c"]
    assert await line.members(f"pointsman:held:{MAIN}") == ["c"]
    assert (await line.fields("a"))["tier"] == BACKUP
    assert "waits" not in await line.fields("a")


async def test_release_is_recorded(redis: ArqRedis) -> None:
    """A held job that comes back has a record of that: which job, of which batch, at which tier, under which policy.

    It is written before that of the call that follows.
    """
    line, table = await Line.of(redis), make_table()
    await line.enqueue(new_job("a"), batch="nightly")
    (lease,) = (await line.claim()).leases
    await line.settle(settlement(lease, "hold", tiers=(SIDE, BACKUP)))
    await line.claim(1, profile=make_profile(BACKUP, table))
    (entry,) = await line.records("released")
    assert ReleasedRecord.model_validate({name: value for name, value in entry.items() if name != "at"}) == (
        ReleasedRecord(
            job_id="a", batch_id="nightly", task_class="triage", tier=BACKUP, policy_digest=table.policy_digest
        )
    )
    assert [entry["kind"] for entry in await line.records()][-2:] == ["released", "attempt_started"]


async def test_release_without_a_call(redis: ArqRedis) -> None:
    """A job that comes back and must wait for the limits of its tier has been let go all the same, once."""
    line, slow = await Line.of(redis), make_profile(table=make_table(main={"concurrency": 1}))
    await line.enqueue(new_job("a"), new_job("b"))
    leases = (await line.claim()).leases
    await line.settle(*(settlement(lease, "hold", tiers=(MAIN,)) for lease in leases))
    for _ in range(2):
        await line.claim(2, profile=slow, worker="w-2")
    assert [entry["job_id"] for entry in await line.records("released")] == ["a", "b"]
    assert [entry["job_id"] for entry in await line.records("attempt_started")] == ["a", "b", "a"]


@pytest.mark.parametrize("ending", ["expired", "cancelled"])
async def test_ending_is_no_release(redis: ArqRedis, ending: str) -> None:
    """Held jobs that expire or are called off are only handed over, however many they are; none of them is let go.

    One that lives waits until all of those have been handed over.
    """
    line, wide = await Line.of(redis), make_profile(table=make_table(main={"concurrency": 999}))
    await line.enqueue(*(new_job(f"{number:03d}", deadline_ms=60_000) for number in range(HAND_LIMIT + 20)))
    await line.enqueue(new_job("lives"))
    leases = (await line.claim(HAND_LIMIT + 21, profile=wide)).leases
    await line.settle(*(settlement(lease, "hold", tiers=(MAIN,)) for lease in leases))
    for lease in leases[:-1] if ending == "cancelled" else ():
        await line.switchboard.cancel(lease.job_id, by="me")
    await line.clock.advance(60_001 if ending == "expired" else 0)
    claims = [await line.claim(profile=wide) for _ in range(2)]
    assert [len(claim.handed) for claim in claims] == [HAND_LIMIT, 20]
    assert {lease.reason for claim in claims for lease in claim.handed} == {ending}
    assert claims[0].wait_ms == 1
    assert [lease.job_id for claim in claims for lease in claim.leases] == ["lives"]
    assert [entry["job_id"] for entry in await line.records("released")] == ["lives"]


async def test_held_jobs_that_returned_spill_again(redis: ArqRedis) -> None:
    """A job that came back from being held and waits at the tier has its time there counted from then."""
    line = await Line.of(redis)
    await line.settle(settlement(await line.lease("b", tier=BACKUP), "finish", throttle_ms=61_000))
    await line.settle(settlement(await line.lease("a"), "hold", tiers=(BACKUP,)))
    await line.clock.advance(60_000)
    claim = await line.claim(profile=make_profile(BACKUP))
    assert claim.leases == ()
    assert await redis.zscore(f"pointsman:spill:{BACKUP}", "a") == line.clock.now_ms + SPILL_MS


async def test_held_jobs_stay_while_the_tier_is_shut(redis: ArqRedis) -> None:
    """A tier that is shut takes no held job back."""
    line = await Line.of(redis)
    await line.settle(settlement(await line.lease("a"), "hold", tiers=(MAIN,)))
    await line.switchboard.disable(make_table(), MAIN, reason="r", by="me")
    claim = await line.claim()
    assert (claim.leases, claim.handed) == ((), ())
    assert await line.members("pointsman:held") == ["a"]
