"""Limits: what a tier and its account let through, whatever the number of workers."""

import random

import pytest
from arq import ArqRedis
from queue_cases import MAIN, SIDE, Line, finished, make_profile, make_table, new_job, settlement
from simulated_clock import START_MS

from pointsman_queue import Lease, Settlement, TierProfile

DAY_MS = 86_400_000
ONE_AT_420 = 143
"""Milliseconds for one request at 420 a minute, which is what a refusal makes of 600."""


def _profile(**limits: int) -> TierProfile:
    return make_profile(MAIN, make_table(main=limits))


async def test_requests(redis: ArqRedis) -> None:
    """A bucket of one second's rate starts full, refills at the rate, and says when the next request can go."""
    line, profile = await Line.of(redis), _profile(rpm=120)
    await line.enqueue(*(new_job(f"{number}") for number in range(9)))
    claim = await line.claim(profile=profile)
    assert (len(claim.leases), claim.wait_ms) == (2, 500)
    await line.clock.advance(499)
    assert (await line.claim(profile=profile)).leases == ()
    await line.clock.advance(1)
    assert len((await line.claim(profile=profile)).leases) == 1
    await line.clock.advance(10_000)
    assert len((await line.claim(profile=profile)).leases) == 2


async def test_slow_rate_starts_with_one(redis: ArqRedis) -> None:
    """A tier of less than one request a second still lets one through at a time."""
    line, profile = await Line.of(redis), _profile(rpm=6)
    await line.enqueue(*(new_job(f"{number}") for number in range(3)))
    claim = await line.claim(profile=profile)
    assert (len(claim.leases), claim.wait_ms) == (1, 10_000)


@pytest.mark.parametrize(("limit", "each"), [("tpm", 20), ("itpm", 10), ("otpm", 10)])
async def test_tokens(redis: ArqRedis, limit: str, each: int) -> None:
    """Estimated tokens are taken from the bucket: of prompt and answer, or of one of them."""
    line, profile = await Line.of(redis), _profile(**{limit: each * 3 * 60})
    await line.enqueue(*(new_job(f"{number}") for number in range(9)))
    claim = await line.claim(profile=profile)
    assert len(claim.leases) == 3
    await line.clock.advance(334)
    assert len((await line.claim(profile=profile)).leases) == 1


async def test_job_larger_than_the_bucket(redis: ArqRedis) -> None:
    """A job larger than the bucket goes when the bucket is full, and its debt is waited out before the next."""
    line, profile = await Line.of(redis), _profile(tpm=60 * 100)
    await line.enqueue(new_job("small"), new_job("large", max_tokens=490), new_job("next"))
    assert [lease.job_id for lease in (await line.claim(profile=profile)).leases] == ["small"]
    await line.clock.advance(200)
    assert [lease.job_id for lease in (await line.claim(profile=profile)).leases] == ["large"]
    claim = await line.claim(profile=profile)
    assert (claim.leases, claim.wait_ms) == ((), 4200)


async def test_real_usage_corrects_the_bucket(redis: ArqRedis) -> None:
    """Tokens that were not used are free at once; more than was estimated is a debt."""
    line, profile = await Line.of(redis), _profile(tpm=60 * 100)
    await line.enqueue(*(new_job(f"{number}", max_tokens=40) for number in range(4)))
    first, second = (await line.claim(profile=profile)).leases
    await line.settle(settlement(first, "finish", used_in=10, used_out=0))
    assert await _level(line, "tpm") == 40
    await line.settle(settlement(second, "finish", used_in=10, used_out=140))
    assert await _level(line, "tpm") == -60
    assert (await line.claim(profile=profile)).wait_ms == 1100


async def test_refund_is_capped(redis: ArqRedis) -> None:
    """A refund into a full bucket gives nobody more than the bucket holds."""
    line, profile = await Line.of(redis), _profile(rpm=60)
    await line.enqueue(*(new_job(f"{number}") for number in range(4)))
    (lease,) = (await line.claim(profile=profile)).leases
    await line.clock.advance(5000)
    await line.settle(settlement(lease, "release", called=False))
    assert len((await line.claim(profile=profile)).leases) == 1


async def test_call_that_was_not_made(redis: ArqRedis) -> None:
    """An attempt that ended before the call gives back the request and all its tokens."""
    line, profile = await Line.of(redis), _profile(rpm=60, tpm=6000, itpm=6000, otpm=6000)
    await line.enqueue(new_job("a"))
    (lease,) = (await line.claim(profile=profile)).leases
    await line.settle(settlement(lease, "finish", called=False))
    levels = (await line.switchboard.gates([MAIN]))[MAIN].levels
    assert levels == {"rpm": 1, "tpm": 100, "itpm": 100, "otpm": 100}


async def test_account_is_corrected_too(redis: ArqRedis) -> None:
    """What a tier gives back or overdraws is given back to its account, or overdrawn there."""
    line = await Line.of(redis)
    profile = make_profile(table=make_table(account={"rpm": 60, "tpm": 6000}))
    await line.enqueue(new_job("a"), new_job("b"))
    (lease,) = (await line.claim(1, profile=profile)).leases
    await line.settle(settlement(lease, "finish", called=False))
    assert (await line.switchboard.gates(["alpha"]))["alpha"].levels == {"rpm": 1, "tpm": 100}
    (lease,) = (await line.claim(1, profile=profile)).leases
    await line.settle(settlement(lease, "finish", used_in=200, used_out=0))
    assert (await line.switchboard.gates(["alpha"]))["alpha"].levels == {"rpm": 0, "tpm": -100}


async def test_unknown_usage_stays_charged(redis: ArqRedis) -> None:
    """A call that may have been billed keeps its estimate charged."""
    line, profile = await Line.of(redis), _profile(tpm=6000)
    await line.enqueue(new_job("a"))
    (lease,) = (await line.claim(profile=profile)).leases
    await line.settle(settlement(lease, "finish"))
    assert await _level(line, "tpm") == 80


async def test_requests_of_a_day(redis: ArqRedis) -> None:
    """A daily limit lets no more through until the next UTC day, and says when that is."""
    line, profile = await Line.of(redis), _profile(rpd=2)
    await line.enqueue(*(new_job(f"{number}", deadline_ms=2 * DAY_MS, spill_ms=0) for number in range(5)))
    claim = await line.claim(1, profile=profile)
    await line.settle(*(settlement(lease, "finish") for lease in claim.leases))
    claim = await line.claim(profile=profile)
    assert len(claim.leases) == 1
    await line.settle(*(settlement(lease, "finish") for lease in claim.leases))
    claim = await line.claim(profile=profile)
    assert (claim.leases, claim.wait_ms) == ((), DAY_MS - START_MS % DAY_MS)
    await line.clock.advance(DAY_MS - START_MS % DAY_MS)
    assert len((await line.claim(profile=profile)).leases) == 2


async def test_concurrency(redis: ArqRedis) -> None:
    """No more calls are in flight than allowed, over all workers; an ended one makes room."""
    line, profile = await Line.of(redis), _profile(concurrency=3)
    await line.enqueue(*(new_job(f"{number}") for number in range(9)))
    first = await line.claim(2, profile=profile, worker="w-1")
    second = await line.claim(profile=profile, worker="w-2")
    assert (len(first.leases), len(second.leases), second.wait_ms) == (2, 1, 1000)
    await line.settle(settlement(first.leases[0], "finish"))
    assert len((await line.claim(profile=profile)).leases) == 1


async def test_account_is_shared(redis: ArqRedis) -> None:
    """What the account allows is shared by its tiers: requests and calls in flight."""
    line = await Line.of(redis)
    table = make_table(account={"rpm": 180, "concurrency": 2})
    main, side = make_profile(MAIN, table), make_profile(SIDE, table)
    await line.enqueue(*(new_job(f"{number}") for number in range(5)))
    await line.enqueue(*(new_job(f"side-{number}", tier=SIDE) for number in range(5)))
    (lease,) = (await line.claim(1, profile=main)).leases
    (other,) = (await line.claim(profile=side)).leases
    await line.settle(settlement(lease, "finish"), settlement(other, "finish"))
    assert len((await line.claim(profile=side)).leases) == 1
    assert (await line.claim(profile=main)).wait_ms == 334


async def test_estimate_learns(redis: ArqRedis) -> None:
    """The tokens a prompt is taken to have follow what the vendor counts, slowly, and never beyond ten times."""
    line, profile = await Line.of(redis), _profile()
    estimates = []
    for number in range(60):
        await line.enqueue(new_job(f"{number}", characters=400))
        (lease,) = (await line.claim(profile=profile)).leases
        estimates.append(lease.estimate_in)
        await line.settle(settlement(lease, "finish", used_in=200, used_out=1))
    assert estimates[0] == 100
    assert estimates == sorted(estimates)
    assert 190 < estimates[-1] <= 200


async def test_vendors_wait(redis: ArqRedis) -> None:
    """A wait the vendor names closes the tier for all until then, a shorter one does not, and no herd follows."""
    line, profile = await Line.of(redis), _profile(rpm=600)
    await line.enqueue(*(new_job(f"{number}") for number in range(9)))
    leases = (await line.claim(3, profile=profile)).leases
    await line.settle(settlement(leases[0], "release", throttle_ms=5000))
    await line.settle(settlement(leases[1], "release", throttle_ms=2000))
    claim = await line.claim(profile=profile, worker="w-2")
    assert (claim.leases, claim.wait_ms) == ((), 5000 + ONE_AT_420)
    await line.clock.advance(5000)
    assert (await line.claim(profile=profile)).leases == ()
    await line.clock.advance(ONE_AT_420)
    assert len((await line.claim(profile=profile)).leases) == 1


async def test_wait_without_a_time(redis: ArqRedis) -> None:
    """Without a time the wait doubles with each refusal in a row, up to a minute; an answer begins anew."""
    line, profile = await Line.of(redis), _profile(rpm=6000)
    await line.enqueue(new_job("a", deadline_ms=DAY_MS, spill_ms=0))

    async def refused() -> float:
        (lease,) = (await line.claim(profile=profile)).leases
        await line.settle(settlement(lease, "release", throttle_ms=0))
        closed_for = (await line.switchboard.gates([MAIN], now_ms=line.clock.now_ms))[MAIN].throttled_for_s
        await line.clock.advance((await line.claim(profile=profile)).wait_ms or 0)
        return closed_for

    assert [await refused() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    (lease,) = (await line.claim(profile=profile)).leases
    await line.settle(settlement(lease, "release", healthy=True))
    await line.clock.advance(10_000)
    assert await refused() == 1


async def test_burst_of_refusals_counts_once(redis: ArqRedis) -> None:
    """Calls in flight that are refused together are one refusal: the wait does not double with each."""
    line, profile = await Line.of(redis), _profile(rpm=1200)
    await line.enqueue(*(new_job(f"{number}") for number in range(20)))
    leases = (await line.claim(20, profile=profile)).leases
    assert len(leases) == 20
    await line.settle(*(settlement(lease, "release", throttle_ms=0) for lease in leases[:10]))
    await line.clock.advance(10)
    await line.settle(*(settlement(lease, "release", throttle_ms=0) for lease in leases[10:]))
    gate = (await line.switchboard.gates([MAIN], now_ms=line.clock.now_ms))[MAIN]
    assert (gate.throttled_for_s, gate.throttles) == (0.99, 20)


@pytest.mark.parametrize(("rpm", "account_rpm", "tpm"), [(6, 6, 600), (30, 20, 6000), (90, 1000, 1200)])
async def test_ten_hours(redis: ArqRedis, rpm: int, account_rpm: int, tpm: int) -> None:
    """Over any stretch of ten hours the calls of all workers stay within a full bucket and the rate times the time."""
    line, chance = await Line.of(redis), random.Random(rpm)
    table = make_table(main={"rpm": rpm, "tpm": tpm}, account={"rpm": account_rpm})
    profile = make_profile(table=table)
    await line.enqueue(*(new_job(f"{number}", deadline_ms=DAY_MS, spill_ms=0) for number in range(400)))
    calls: list[tuple[float, int]] = []
    while line.clock.now_ms < START_MS + 36_000_000:
        claim = await line.claim(chance.randint(0, _MOST), profile=profile, worker=chance.choice(_WORKERS))
        await line.clock.advance(chance.choice([0, 70, 900, 20_000, 200_000]))
        for lease in claim.leases:
            used = chance.choice([0, 20, _OVERSHOOT])
            calls.append((lease.started_at / 60e6, used))
            await line.settle(_answered(lease, used))
    assert calls
    _within([(moment, 1) for moment, _ in calls], rate=rpm, capacity=max(1, rpm / 60))
    _within([(moment, 1) for moment, _ in calls], rate=account_rpm, capacity=max(1, account_rpm / 60))
    # What a call really used is known when it has ended: the calls of one claim may leave a debt.
    _within(calls, rate=tpm, capacity=max(20, tpm / 60) + _MOST * _OVERSHOOT)


_WORKERS = ("w-1", "w-2", "w-3")
_MOST = 3
_OVERSHOOT = 100


def _answered(lease: Lease, used: int) -> Settlement:
    record = finished(lease, usage_source="vendor", output_tokens=used)
    return settlement(lease, "finish", records=(record,), used_in=0, used_out=used)


def _within(calls: list[tuple[float, int]], *, rate: float, capacity: float) -> None:
    """No window of any length holds more than the capacity and the rate times its length; times in minutes.

    A window is worst where it begins with a call: with what may have been used up to a moment less what had been
    used before the call, only the lowest such difference so far need be kept.
    """
    used, least = 0.0, float("inf")
    for moment, size in calls:
        least = min(least, used - rate * moment)
        used += size
        assert used - rate * moment - least <= capacity + 1e-3


async def _level(line: Line, name: str) -> float:
    return (await line.switchboard.gates([MAIN]))[MAIN].levels[name]
