"""What an operator is told of limits, and of the time until a queue is empty, by what claims and answers leave."""

import pytest
from arq import ArqRedis
from queue_cases import MAIN, Line, make_profile, make_table, new_job, settlement

from pointsman_queue import Gate, Heard, TierProfile

MINUTE_MS = 60_000


def _profile(**limits: int) -> TierProfile:
    return make_profile(table=make_table(main=limits))


async def _line(redis: ArqRedis, jobs: int) -> Line:
    line = await Line.of(redis)
    await line.enqueue(*(new_job(f"{number:03d}", spill_ms=0) for number in range(jobs)))
    return line


async def _seen(line: Line, scope: str = MAIN) -> Gate:
    return (await line.switchboard.gates([scope], now_ms=line.clock.now_ms))[scope]


async def test_nothing_known(redis: ArqRedis) -> None:
    """Of a tier nobody has called no limit is learned, and how long its jobs take is unknown."""
    seen = await _seen(await _line(redis, 3))
    assert (seen.learned, seen.next_free_s, seen.pace_ms, seen.gap_ms) == ({}, 0, 0, 0)
    assert (seen.drain_s(0), seen.drain_s(3)) == (0, None)


@pytest.mark.parametrize(("reset_ms", "refills"), [(MINUTE_MS // 10, True), (50_000, False)])
async def test_told(redis: ArqRedis, reset_ms: int, refills: bool) -> None:
    """A limit from headers is told as the vendor's, and as a bucket only if its reset is the time to refill."""
    line = await _line(redis, 1)
    (lease,) = (await line.claim(1, profile=_profile(rpm=60))).leases
    heard = (Heard(scope=MAIN, name="rpm", limit=600, left=540, reset_ms=reset_ms),)
    await line.settle(settlement(lease, "finish", heard=heard))
    learned = (await _seen(line)).learned
    assert set(learned) == {"rpm"}
    assert (learned["rpm"].limit, learned["rpm"].told, learned["rpm"].refills) == (600, True, refills)


async def test_account_told(redis: ArqRedis) -> None:
    """What a vendor says of the account is learned by the account's gate and not by the tier's."""
    line = await _line(redis, 1)
    (lease,) = (await line.claim(1)).leases
    heard = (Heard(scope="alpha", name="rpd", limit=10_000, left=9_000, reset_ms=None),)
    await line.settle(settlement(lease, "finish", heard=heard))
    learned = (await _seen(line, "alpha")).learned["rpd"]
    assert (learned.limit, learned.told, learned.refills) == (10_000, True, None)
    assert (await _seen(line)).learned == {}


async def test_taught(redis: ArqRedis) -> None:
    """A refusal without headers teaches 0.7 of the limit, said to be from refusals; enabling the tier forgets it."""
    line = await _line(redis, 1)
    (lease,) = (await line.claim(1, profile=_profile(rpm=600))).leases
    await line.clock.advance(1)
    await line.settle(settlement(lease, "delay", wait_ms=0, throttle_ms=7_000))
    seen = await _seen(line)
    assert (seen.learned["rpm"].limit, seen.learned["rpm"].told) == (420, False)
    assert seen.next_free_s == pytest.approx(7, abs=0.001)
    await line.switchboard.enable(make_table(), MAIN, reason="r", by="ann")
    seen = await _seen(line)
    assert (seen.learned, seen.next_free_s) == ({}, 0)


async def test_pace_of_the_limits(redis: ArqRedis) -> None:
    """Before any answer a queue takes its next slot and then a job's time at the limit's rate."""
    line = await _line(redis, 310)
    assert len((await line.claim(50, profile=_profile(rpm=600))).leases) == 10
    seen = await _seen(line)
    assert seen.pace_ms == pytest.approx(100)
    assert seen.next_free_s == pytest.approx(0.1, abs=0.002)
    assert seen.drain_s(300) == pytest.approx(30.1, abs=0.01)


async def test_slower_than_the_limits(redis: ArqRedis) -> None:
    """Answers slower than the limits allow set the time; a minute after the last one they no longer count."""
    line, profile = await _line(redis, 150), _profile(rpm=60_000)
    for _ in range(120):
        (lease,) = (await line.claim(1, profile=profile)).leases
        await line.clock.advance(1_000)
        await line.settle(settlement(lease, "finish"))
    seen = await _seen(line)
    assert 500 < seen.gap_ms < 1_500
    assert seen.drain_s(20) == pytest.approx(20 * seen.gap_ms / 1000, abs=0.01)
    await line.clock.advance(MINUTE_MS)
    assert (await _seen(line)).drain_s(20) == pytest.approx(20 * seen.pace_ms / 1000, abs=0.01)
