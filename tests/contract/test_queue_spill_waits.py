"""Jobs at a tier that is closed for a week and have nowhere else to go: they stay, and nobody sleeps for good."""

from arq import ArqRedis
from queue_cases import BACKUP, MAIN, SIDE, SPILL_MS, Line, make_profile, make_table, new_job, settlement

from pointsman_queue import Claim

_WEEK_MS = 7 * 86_400_000
_TABLE = make_table(main={"rpm": 60})
_LIMITED = make_profile(MAIN, _TABLE)


async def _closed_for_a_week(line: Line, *, task_class: str, spill_ms: int) -> Claim:
    """A claim at a tier whose vendor has just asked for a week, with five more jobs waiting."""
    about = {"task_class": task_class, "spill_ms": spill_ms, "deadline_ms": 30 * 86_400_000}
    await line.enqueue(*(new_job(f"{number}", **about) for number in range(6)))
    (lease,) = (await line.claim(1, profile=_LIMITED)).leases
    await line.settle(settlement(lease, "release", throttle_ms=_WEEK_MS))
    return await line.claim(profile=_LIMITED)


async def test_route_of_one_tier(redis: ArqRedis) -> None:
    """With no other tier on the route all stay queued, and the worker is told when the week is over."""
    line = await Line.of(redis)
    claim = await _closed_for_a_week(line, task_class="solo", spill_ms=0)
    assert (claim.leases, claim.handed) == ((), ())
    assert claim.wait_ms is not None
    assert _WEEK_MS <= claim.wait_ms <= _WEEK_MS + 60_000
    assert len(await line.members(f"arq:queue:{MAIN}")) == 6


async def test_others_are_off(redis: ArqRedis) -> None:
    """With the others turned off all stay queued, and the worker looks again when the first has waited its time."""
    line = await Line.of(redis)
    for scope in (BACKUP, SIDE):
        await line.switchboard.disable(_TABLE, scope, reason="r", by="op")
    claim = await _closed_for_a_week(line, task_class="triage", spill_ms=SPILL_MS)
    assert (claim.leases, claim.handed, claim.wait_ms) == ((), (), SPILL_MS)
    assert len(await line.members(f"arq:queue:{MAIN}")) == 6
    await line.clock.advance(SPILL_MS)
    again = await line.claim(profile=_LIMITED)
    assert (again.leases, again.handed, again.wait_ms) == ((), (), SPILL_MS)


async def test_impatient_jobs_make_nobody_restless(redis: ArqRedis) -> None:
    """Jobs that hardly wait for one tier, but have nowhere else to go, are looked at once a second, no oftener."""
    line = await Line.of(redis)
    for scope in (BACKUP, SIDE):
        await line.switchboard.disable(_TABLE, scope, reason="r", by="op")
    await _closed_for_a_week(line, task_class="triage", spill_ms=1)
    await line.clock.advance(5)
    claim = await line.claim(profile=_LIMITED)
    assert (claim.leases, claim.handed, claim.wait_ms) == ((), (), 1000)
