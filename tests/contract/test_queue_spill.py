"""Jobs that would wait too long for a tier: they go where they wait less, at once."""

from arq import ArqRedis
from queue_cases import BACKUP, MAIN, SIDE, Line, make_profile, make_table, new_job, settlement

from pointsman_queue import Claim, TierProfile

WEEK_MS = 7 * 86_400_000
TABLE = make_table(main={"rpm": 60})
"""One job a second; `triage` goes on to `beta/main`, then to `alpha/side`, after five minutes."""
LIMITED = make_profile(MAIN, TABLE)


async def _line(redis: ArqRedis, jobs: int) -> Line:
    """A line whose primary has learnt its pace, and has so many jobs waiting."""
    line = await Line.of(redis)
    await line.enqueue(new_job("first"))
    (lease,) = (await line.claim(1, profile=LIMITED)).leases
    await line.settle(settlement(lease, "finish"))
    await line.enqueue(*(new_job(f"{number:04d}") for number in range(jobs)))
    return line


async def _spilled(line: Line, profile: TierProfile = LIMITED) -> list[Claim]:
    """Claims until the whole queue has been looked at, a stretch in each, and nothing more is handed over."""
    claims: list[Claim] = []
    empty = 0
    while empty < 12:
        claim = await line.claim(profile=profile)
        empty = 0 if claim.handed else empty + 1
        claims += [claim] if claim.handed else []
        await line.settle(*(settlement(lease, "move", to=lease.better) for lease in claim.handed))
    return claims


async def test_those_too_far_behind_go_at_once(redis: ArqRedis) -> None:
    """Without a second passing, jobs that would wait longer than `spill_after` leave; the others stay."""
    line = await _line(redis, 1000)
    handed = [lease for claim in await _spilled(line) for lease in claim.handed]
    assert {(lease.reason, lease.better) for lease in handed} == {("rate_limited", BACKUP)}
    assert 295 <= len(await line.members(f"arq:queue:{MAIN}")) <= 302
    assert min(lease.job_id for lease in handed) >= "0295"


async def test_near_enough_stays(redis: ArqRedis) -> None:
    """Jobs whose turn comes in time stay."""
    assert await _spilled(await _line(redis, 290)) == []


async def test_nowhere_to_go(redis: ArqRedis) -> None:
    """Nobody is handed over for a tier that is turned off; a job goes past it to the next of its route."""
    line = await _line(redis, 400)
    await line.switchboard.disable(TABLE, "beta", reason="r", by="op")
    assert {lease.better for claim in await _spilled(line) for lease in claim.handed} == {SIDE}
    await redis.flushall()
    line = await _line(redis, 400)
    await line.switchboard.disable(TABLE, "beta", reason="r", by="op")
    await line.switchboard.disable(TABLE, SIDE, reason="r", by="op")
    assert await _spilled(line) == []


async def test_only_where_the_wait_is_shorter(redis: ArqRedis) -> None:
    """A backup as slow as the primary gets its share, not all of them."""
    line = await _line(redis, 1000)
    slow = make_table(main={"rpm": 60})
    await line.enqueue(*(new_job(f"b-{number:04d}", tier=BACKUP) for number in range(800)))
    backup = make_profile(BACKUP, slow)
    (lease,) = (await line.claim(1, profile=backup)).leases
    await line.settle(settlement(lease, "finish"))
    await redis.hset(f"pointsman:gate:{BACKUP}", "pace", "1000")  # type: ignore[misc]  # typed for both clients
    await line.switchboard.disable(TABLE, SIDE, reason="r", by="op")
    handed = [lease for claim in await _spilled(line) for lease in claim.handed]
    assert 50 <= len(handed) <= 250


async def test_closed_for_a_week(redis: ArqRedis) -> None:
    """A vendor that asks for a week of silence: whoever waits leaves at once, and nobody sleeps for a week."""
    line = await _line(redis, 20)
    await line.clock.advance(2000)
    (lease,) = (await line.claim(1, profile=LIMITED)).leases
    await line.settle(settlement(lease, "release", throttle_ms=WEEK_MS))
    assert sum(len(claim.handed) for claim in await _spilled(line)) == 20
    assert await line.members(f"arq:queue:{MAIN}") == []


async def test_late_and_nowhere_better(redis: ArqRedis) -> None:
    """A job that has waited its time and has nowhere better to go waits as long once more, in its place."""
    line = await _line(redis, 3)
    for scope in ("beta", SIDE):
        await line.switchboard.disable(TABLE, scope, reason="r", by="op")
    assert (await line.claim(0, profile=LIMITED)).handed == ()
    await line.clock.advance(301_000)
    assert (await line.claim(0, profile=LIMITED)).handed == ()
    assert await redis.zscore(f"pointsman:spill:{MAIN}", "0002") == line.clock.now_ms + 300_000


async def test_tidying_moves_nobody_to_a_slower_tier(redis: ArqRedis) -> None:
    """A worker that only tidies a tier whose own workers live moves late jobs as they would: where they wait less."""
    line = await _line(redis, 5)
    await line.enqueue(*(new_job(f"b-{number:04d}", tier=BACKUP) for number in range(800)))
    await redis.hset(f"pointsman:gate:{BACKUP}", "pace", "1000")  # type: ignore[misc]  # typed for both clients
    await line.switchboard.disable(TABLE, SIDE, reason="r", by="op")
    await line.clock.advance(301_000)
    assert (await line.claim(0, profile=LIMITED, worker="w-2")).handed == ()


async def test_without_a_living_worker(redis: ArqRedis) -> None:
    """Jobs of a tier nobody serves move on after `spill_after`, whatever the wait elsewhere; not before."""
    line = await Line.of(redis, served=(BACKUP,))
    await line.enqueue(*(new_job(f"{number:04d}") for number in range(20)))
    await line.enqueue(*(new_job(f"b-{number:04d}", tier=BACKUP) for number in range(800)))
    await redis.hset(f"pointsman:gate:{BACKUP}", "pace", "1000")  # type: ignore[misc]  # typed for both clients
    await line.clock.advance(299_000)
    assert (await line.claim(0, profile=LIMITED, worker="w-2")).handed == ()
    await line.clock.advance(2_000)
    handed = (await line.claim(0, profile=LIMITED, worker="w-2")).handed
    assert [(lease.reason, lease.better) for lease in handed] == [("unserved", BACKUP)] * 20


async def test_nobody_goes_where_no_worker_lives(redis: ArqRedis) -> None:
    """A tier without a living worker takes no late job, however empty its queue; a heartbeat of one changes that."""
    line = await Line.of(redis, served=(MAIN,))
    await line.enqueue(*(new_job(f"{number:04d}") for number in range(5)))
    await redis.hdel(f"pointsman:gate:{MAIN}", "served_until")  # type: ignore[misc]  # typed for both clients
    await line.clock.advance(301_000)
    assert (await line.claim(0, profile=LIMITED, worker="w-2")).handed == ()
    await line.worker("w-3").renew([], "{}", believed_s=15, tiers=(SIDE,))
    await line.clock.advance(301_000)
    await line.worker("w-3").renew([], "{}", believed_s=15, tiers=(SIDE,))
    assert {lease.better for lease in (await line.claim(0, profile=LIMITED, worker="w-2")).handed} == {SIDE}


async def test_barred(redis: ArqRedis) -> None:
    """A job does not go where it has been shown that it cannot be done."""
    line = await _line(redis, 400)
    await redis.hset("pointsman:job:0350", "barred", BACKUP)  # type: ignore[misc]  # typed for both clients
    better = {lease.job_id: lease.better for claim in await _spilled(line) for lease in claim.handed}
    assert (better["0350"], better["0349"]) == (SIDE, BACKUP)
