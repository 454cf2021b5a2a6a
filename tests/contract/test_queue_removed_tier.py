"""A tier that is no longer configured: nothing queued for it is forgotten."""

from arq import ArqRedis
from queue_cases import RATE, Line, make_table, new_job

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
