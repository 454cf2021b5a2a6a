"""Rates: how calls ended, by tier and class, for about an hour."""

from arq import ArqRedis
from queue_cases import BACKUP, MAIN, Line, make_profile, new_job, settlement

from pointsman_queue import OutcomeRates
from pointsman_queue.outcome_rates import SLOT_S
from pointsman_routes import OutcomeKind


async def _end(line: Line, outcome: OutcomeKind | None, count: int, *, tier: str = MAIN, **changes: object) -> None:
    ids = [f"{tier}-{outcome}-{line.clock.now_ms}-{number}" for number in range(count)]
    await line.enqueue(*(new_job(job_id, tier=tier, **changes) for job_id in ids))
    leases = (await line.claim(count, profile=make_profile(tier))).leases
    assert len(leases) == count
    await line.settle(*(settlement(lease, "finish", outcome=outcome and outcome.value) for lease in leases))


async def _rates(line: Line, *tiers: str) -> dict[tuple[str, str], dict[OutcomeKind, int]]:
    found: tuple[OutcomeRates, ...] = await line.observer.rates(tiers, now_ms=line.clock.now_ms)
    return {(rates.tier, rates.task_class): dict(rates.counts) for rates in found}


async def test_by_tier_class_and_outcome(redis: ArqRedis) -> None:
    """Each call counts once, for its tier and its job's class; one that was not made does not count."""
    line = await Line.of(redis)
    await _end(line, OutcomeKind.OK, 5)
    await _end(line, OutcomeKind.EMPTY, 3)
    await _end(line, OutcomeKind.REFUSED, 1, task_class="solo")
    await _end(line, OutcomeKind.TRUNCATED, 2, tier=BACKUP)
    await _end(line, None, 4)
    assert await _rates(line, MAIN, BACKUP) == {
        (MAIN, "solo"): {OutcomeKind.REFUSED: 1},
        (MAIN, "triage"): {OutcomeKind.OK: 5, OutcomeKind.EMPTY: 3},
        (BACKUP, "triage"): {OutcomeKind.TRUNCATED: 2},
    }


async def test_the_last_hour(redis: ArqRedis) -> None:
    """Counts of ten minutes add up to an hour; what is older is not shown, and gone from Redis an hour later."""
    line = await Line.of(redis)
    await _end(line, OutcomeKind.OK, 1)
    await line.clock.advance(SLOT_S * 1000)
    await _end(line, OutcomeKind.OK, 2)
    assert await _rates(line, MAIN) == {(MAIN, "triage"): {OutcomeKind.OK: 3}}
    await line.clock.advance(6 * SLOT_S * 1000)
    assert await _rates(line, MAIN) == {(MAIN, "triage"): {OutcomeKind.OK: 2}}
    await line.clock.advance(SLOT_S * 1000)
    assert await _rates(line, MAIN) == {}
    (key, *_) = await redis.keys("pointsman:rates:*")
    assert 0 < await redis.pttl(key) <= 7_200_000


def test_shares() -> None:
    """A share is of all calls."""
    rates = OutcomeRates(tier=MAIN, task_class="triage", counts={OutcomeKind.OK: 3, OutcomeKind.EMPTY: 1})
    assert (rates.calls, rates.share(OutcomeKind.EMPTY), rates.share(OutcomeKind.REFUSED)) == (4, 0.25, 0)
