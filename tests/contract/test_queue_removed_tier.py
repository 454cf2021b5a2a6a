"""A tier that is no longer configured: nothing queued for it is forgotten."""

from arq import ArqRedis
from queue_cases import MAIN, RATE, SIDE, Line, make_profile, make_table, new_job, settlement
from simulated_clock import START_MS

from pointsman_queue import LEASE_S, TierProfile
from pointsman_routes import AttemptFinished

GONE = "alpha/gone"


async def test_jobs_of_a_removed_tier_are_handed_over(redis: ArqRedis) -> None:
    """Jobs queued for a tier the configuration has no more are found, and handed over to move on; none is called."""
    line = await Line.of(redis)
    await line.enqueue(new_job("job-1", tier=GONE), new_job("job-2", tier=GONE))
    assert GONE in await line.worker().tiers_ever()
    profile = TierProfile.of_removed(make_table(), GONE, RATE)
    claim = await line.claim(5, profile=profile)
    assert claim.leases == ()
    assert [(lease.job_id, lease.reason) for lease in claim.handed] == [("job-1", "off_route"), ("job-2", "off_route")]


async def test_a_class_the_tier_may_not_serve(redis: ArqRedis) -> None:
    """The claim itself leases no job for a call whose class may not be served by the tier; it is handed over.

    Such a job is there when a configuration with other routes, regions or floors has queued it.
    """
    line = await Line.of(redis)
    await line.enqueue(new_job("mine"), new_job("foreign", task_class="solo"), new_job("unheard", task_class="gone"))
    claim = await line.claim(5, profile=make_profile(SIDE), worker="w-2")
    assert claim.leases == ()
    await line.enqueue(*(new_job(f"{name}-2", task_class=name, tier=SIDE) for name in ("triage", "solo", "gone")))
    claim = await line.claim(5, profile=make_profile(SIDE), worker="w-2")
    assert [lease.job_id for lease in claim.leases] == ["triage-2"]
    assert {lease.job_id: lease.reason for lease in claim.handed} == {"solo-2": "off_route", "gone-2": "off_route"}
    assert [record["job_id"] for record in await line.records("attempt_started")] == ["triage-2"]


async def test_a_tier_that_others_serve(redis: ArqRedis) -> None:
    """A tier that a living worker serves is not removed: another configuration has it, and its jobs are left alone.

    Else the workers of the old configuration would take them away, or fail them for a class they do not know. Once no
    worker serves it any more they are handed over.
    """
    line = await Line.of(redis, served=())
    newer = TierProfile.of(make_table(), SIDE, RATE)
    await line.claim(1, profile=newer, worker="new")
    await line.enqueue(*(new_job(f"job-{number}", tier=SIDE) for number in range(3)))
    (lease,) = (await line.claim(1, profile=newer, worker="new")).leases
    older = TierProfile.of_removed(make_table(), SIDE, RATE)
    before = await line.everything()
    claim = await line.claim(0, profile=older, worker="old")
    assert (claim.leases, claim.handed) == ((), ())
    assert await line.everything() == before
    await line.clock.advance(int(LEASE_S * 1000))
    claim = await line.claim(0, profile=older, worker="old")
    assert sorted(entry.job_id for entry in claim.handed) == ["job-0", "job-1", "job-2"]
    assert lease.job_id == "job-0"


async def test_a_call_at_a_removed_tier(redis: ArqRedis) -> None:
    """A call that was lost at a tier that has been removed since is closed; who answered for it is unknown by then."""
    line = await Line.of(redis)
    await line.lease("a", tier=SIDE)
    await line.clock.advance(START_MS * 2)  # until nobody is believed to serve it
    await line.claim(0, profile=TierProfile.of_removed(make_table(), SIDE, RATE))
    (started,), (ended,) = await line.records("attempt_started"), await line.records("attempt_finished")
    assert (started["owner"], started["batch_id"]) == ("team@example.com", "batch")
    record = AttemptFinished.model_validate({name: value for name, value in ended.items() if name != "at"})
    assert (record.tier, record.model, record.owner, record.batch_id) == (SIDE, "unknown", None, "batch")


async def test_a_removed_tier_says_nothing_of_limits(redis: ArqRedis) -> None:
    """Looking after a removed tier leaves the limits of its provider as they are: what was used too much is a debt."""
    line = await Line.of(redis)
    profile = make_profile(MAIN, make_table(account={"tpm": 6000}))
    await line.enqueue(new_job("a"))
    (lease,) = (await line.claim(1, profile=profile)).leases
    conf = (await line.gate("alpha"))["conf"]
    await line.claim(0, profile=TierProfile.of_removed(make_table(), GONE, RATE), worker="w-2")
    assert (await line.gate("alpha"))["conf"] == conf
    await line.settle(settlement(lease, "finish", used_in=1000, used_out=2000))
    assert float((await line.gate("alpha"))["tpm"]) == 100 - 3000
