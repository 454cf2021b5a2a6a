"""A tier that is no longer configured: nothing queued for it is forgotten."""

from arq import ArqRedis
from queue_cases import RATE, SIDE, Line, make_profile, make_table, new_job

from pointsman_queue import TierProfile

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
