"""What limits learn from answers and refusals, for every worker at once."""

from typing import Any

import pytest
from arq import ArqRedis
from queue_cases import MAIN, SIDE, Line, make_profile, make_table, new_job, settlement

from pointsman_queue import Heard, Lease, TierProfile

MINUTE_MS = 60_000


def _profile(provider: dict[str, Any] | None = None, **limits: int) -> TierProfile:
    return make_profile(table=make_table(main=limits, provider=provider))


def _says(left: int, *, limit: int | None = 600, reset_ms: int | None = None, name: str = "rpm") -> tuple[Heard, ...]:
    """An answer's headers; those of a bucket if nothing else is said."""
    if reset_ms is None and limit:
        reset_ms = (limit - left) * MINUTE_MS // limit
    return (Heard(scope=MAIN, name=name, limit=limit, left=left, reset_ms=reset_ms),)


async def _line(redis: ArqRedis, jobs: int = 900) -> Line:
    line = await Line.of(redis)
    await line.enqueue(*(new_job(f"{number:03d}", spill_ms=0) for number in range(jobs)))
    return line


async def _count(line: Line, profile: TierProfile, worker: str = "w-1") -> int:
    """Calls that go at this moment."""
    total = 0
    while leases := (await line.claim(50, profile=profile, worker=worker)).leases:
        total += len(leases)
    return total


async def _first(line: Line, profile: TierProfile) -> Lease:
    return (await line.claim(1, profile=profile)).leases[0]


async def test_before_any_answer(redis: ArqRedis) -> None:
    """Before any answer only `burst` is spent, and where no limit is known a few calls."""
    assert await _count(await _line(redis), _profile(rpm=600)) == 10
    await redis.flushall()
    assert await _count(await _line(redis), _profile()) == 16


async def test_up_at_once(redis: ArqRedis) -> None:
    """A vendor that grants a minute at once is used so: what is left less what is in flight, by every worker."""
    line, profile = await _line(redis), _profile(rpm=600)
    lease, *running = (await line.claim(profile=profile)).leases
    await line.settle(settlement(lease, "finish", heard=_says(599)))
    assert len(running) == 9
    assert await _count(line, profile, worker="w-2") == 590


@pytest.mark.parametrize(("configured", "learn", "calls"), [(0, "both", 599), (300, "both", 599), (300, "down", 5)])
async def test_beyond_what_is_configured(redis: ArqRedis, configured: int, learn: str, calls: int) -> None:
    """What the vendor says holds, also above the configured limit, unless the configuration lets it only fall."""
    line, profile = await _line(redis), _profile({"learn_limits": learn}, rpm=configured)
    await line.settle(settlement(await _first(line, profile), "finish", heard=_says(599)))
    assert await _count(line, profile) == calls - (learn == "down")


async def test_down(redis: ArqRedis) -> None:
    """A vendor that allows less than is configured is believed, whatever may be raised."""
    for learn in ("both", "down"):
        line, profile = await _line(redis), _profile({"learn_limits": learn}, rpm=6000)
        await redis.delete(f"pointsman:gate:{MAIN}")
        await line.settle(settlement(await _first(line, profile), "finish", heard=_says(3, limit=60)))
        assert await _count(line, profile) <= 3
        await redis.flushall()


async def test_bucket_refills(redis: ArqRedis) -> None:
    """Where the reset is the time to refill what is missing, the level rises with the clock."""
    line, profile = await _line(redis), _profile()
    await line.settle(settlement(await _first(line, profile), "finish", heard=_says(0)))
    assert await _count(line, profile) == 0
    await line.clock.advance(1000)
    assert await _count(line, profile) == 10


async def test_window_does_not_refill(redis: ArqRedis) -> None:
    """Where it is not, nothing comes back but what was used a minute ago, once, or when the vendor's time is up."""
    line, profile = await _line(redis), _profile(rpm=600)
    leases = (await line.claim(profile=profile)).leases
    await line.settle(settlement(leases[0], "finish", heard=_says(599, reset_ms=MINUTE_MS)))
    await line.settle(*(settlement(lease, "finish", heard=_says(0, reset_ms=MINUTE_MS)) for lease in leases[1:]))
    await line.clock.advance(59_000)
    assert await _count(line, profile) == 0
    await line.clock.advance(3000)
    assert await _count(line, profile) == 10
    await line.clock.advance(20_000)
    assert await _count(line, profile) == 0


async def test_window_that_begins_anew(redis: ArqRedis) -> None:
    """At the vendor's reset one call goes out to see, long before a minute is over; its answer opens the rest."""
    line, profile = await _line(redis), _profile(rpm=600)
    lease = await _first(line, profile)
    await line.settle(settlement(lease, "finish", heard=_says(0, reset_ms=20_000)))
    claim = await line.claim(profile=profile)
    assert (claim.leases, claim.wait_ms) == ((), 20_500)
    await line.clock.advance(20_500)
    (lease,) = (await line.claim(profile=profile)).leases
    await line.settle(settlement(lease, "finish", heard=_says(599, reset_ms=MINUTE_MS)))
    assert await _count(line, profile) == 599


async def test_newest_answer_counts(redis: ArqRedis) -> None:
    """An answer that says more is only believed if its call began after the one that said less was answered."""
    line, profile = await _line(redis), _profile(rpm=600)
    older, newer = (await line.claim(2, profile=profile)).leases
    await line.settle(settlement(newer, "finish", heard=_says(5)))
    await line.settle(settlement(older, "finish", heard=_says(500)))
    lease, *more = (await line.claim(50, profile=profile)).leases
    assert len(more) == 4
    await line.clock.advance(1)
    await line.settle(*(settlement(entry, "finish", heard=_says(0)) for entry in more))
    await line.clock.advance(1)
    await line.settle(settlement(lease, "finish", heard=_says(300)))
    assert await _count(line, profile) == 0


async def test_no_limit_is_lost_to_garbage(redis: ArqRedis) -> None:
    """Figures without a limit nobody knows teach nothing; a reset without the rest neither."""
    line, profile = await _line(redis, 50), _profile()
    heard = (Heard(scope=MAIN, name="rpm", limit=None, left=0, reset_ms=None),)
    await line.settle(settlement(await _first(line, profile), "finish", heard=heard))
    assert await _count(line, profile) == 16


async def test_refusals_lower_the_rate_once(redis: ArqRedis) -> None:
    """Without headers a refusal takes the limit to 0.7 of what it was, once for all calls that were under way."""
    line, profile = await _line(redis), _profile(rpm=600)
    leases = (await line.claim(profile=profile)).leases
    for lease in leases:
        await line.settle(settlement(lease, "release", throttle_ms=1000, used_in=0, used_out=0))
    gate = await line.gate()
    assert (gate["rpm:limit"], gate["rpm:from"]) == ("420", "refusals")
    await line.clock.advance(2000)
    (lease, *_) = (await line.claim(profile=profile)).leases
    await line.settle(settlement(lease, "release", throttle_ms=1000, used_in=0, used_out=0))
    assert (await line.gate())["rpm:limit"] == "294"


async def test_limit_grows_again(redis: ArqRedis) -> None:
    """Answers let a lowered limit creep up while it is used, until it is the configured one; it never passes it."""
    line, profile = await _line(redis), _profile(rpm=600)
    lease = await _first(line, profile)
    await line.settle(settlement(lease, "release", throttle_ms=0, used_in=0, used_out=0))
    limits = []
    for _ in range(80):
        await line.clock.advance(1000)
        leases = (await line.claim(50, profile=profile)).leases
        await line.settle(*(settlement(lease, "finish", healthy=True) for lease in leases))
        limits.append(float((await line.gate()).get("rpm:limit", 600)))
    assert limits == sorted(limits)
    assert limits[20] < 600
    assert limits[-1] == 600


async def test_refusal_where_nothing_is_known(redis: ArqRedis) -> None:
    """Where no limit is known, what went through in the last minute is a guess at it."""
    line, profile = await _line(redis), _profile()
    leases = (await line.claim(16, profile=profile)).leases
    await line.settle(*(settlement(lease, "finish", healthy=True) for lease in leases[1:]))
    await line.settle(settlement(leases[0], "release", throttle_ms=0, used_in=0, used_out=0))
    assert float((await line.gate())["rpm:limit"]) == pytest.approx(16 * 60 * 0.7)


async def test_account_learns(redis: ArqRedis) -> None:
    """What an answer says of the account holds for all its tiers."""
    line = await _line(redis)
    table = make_table(account={"rpm": 600})
    await line.enqueue(*(new_job(f"side-{number}", tier=SIDE, spill_ms=0) for number in range(50)))
    lease = await _first(line, make_profile(table=table))
    heard = (Heard(scope="alpha", name="rpm", limit=600, left=7, reset_ms=59_300),)
    await line.settle(settlement(lease, "finish", heard=heard))
    assert await _count(line, make_profile(SIDE, table)) == 7
    assert await _count(line, make_profile(table=table)) == 0


async def test_days_are_the_vendors(redis: ArqRedis) -> None:
    """What is left of the day is the vendor's word, and the day ends at its own midnight."""
    line, profile = await _line(redis), _profile({"timezone": "America/Los_Angeles"}, rpd=1000)
    await line.settle(settlement(await _first(line, profile), "finish", heard=_says(3, limit=1000, name="rpd")))
    assert await _count(line, profile) == 3
    wait_ms = (await line.claim(profile=profile)).wait_ms or 0
    assert (line.clock.now_ms + wait_ms) // 3_600_000 % 24 in (7, 8)


async def test_lengths_are_learnt(redis: ArqRedis) -> None:
    """After ten answers of a class a job reserves what most of them stay below; a longer one is a debt, not a loss."""
    line, profile = await _line(redis), _profile()
    estimates = []
    for number in range(40):
        await line.enqueue(new_job(f"long-{number}", max_tokens=1000, deadline_ms=1000, spill_ms=0))
        lease = await _first(line, profile)
        estimates.append(lease.estimate_out)
        await line.settle(settlement(lease, "finish", used_in=10, used_out=50 if number % 10 else 90))
    assert estimates[:10] == [1000] * 10
    assert all(50 <= estimate <= 95 for estimate in estimates[10:])


async def test_vendor_that_counts_max_tokens(redis: ArqRedis) -> None:
    """Where the vendor counts max_tokens, that is reserved and stays used."""
    line, profile = await Line.of(redis), _profile({"counted_tokens": "max_tokens"}, tpm=60_000)
    await line.enqueue(*(new_job(f"{number}", max_tokens=490, spill_ms=0) for number in range(30)))
    for _ in range(2):
        lease = await _first(line, profile)
        assert lease.estimate_out == 490
        await line.settle(settlement(lease, "finish", used_in=10, used_out=1))
    assert (await line.claim(profile=profile)).leases == ()


async def test_window_of_a_minute(redis: ArqRedis) -> None:
    """Until a vendor shows that it refills, no minute has more than the limit, the burst included."""
    line, profile = await _line(redis), _profile(rpm=120)
    moments: list[int] = []
    for _ in range(1300):
        for lease in (await line.claim(profile=profile)).leases:
            moments.append(line.clock.now_ms)
            await line.settle(settlement(lease, "finish"))
        await line.clock.advance(100)
    assert len(moments) > 230
    assert all(later - first >= MINUTE_MS for first, later in zip(moments, moments[120:], strict=False))


async def test_smaller_jobs_pass_with_what_is_to_spare(redis: ArqRedis) -> None:
    """A job that waits keeps its moment: a smaller one passes it only with tokens that come back too soon to matter."""
    line, profile = await Line.of(redis), _profile(tpm=6000)
    window = _says(2000, limit=6000, reset_ms=None, name="tpm")
    await line.enqueue(new_job("first", max_tokens=90, spill_ms=0))
    lease = await _first(line, profile)
    heard = (window[0]._replace(reset_ms=MINUTE_MS, left=2000),)
    await line.settle(settlement(lease, "finish", heard=heard, used_in=10, used_out=90))
    await line.enqueue(
        new_job("large", max_tokens=2050, spill_ms=0),
        new_job("small", max_tokens=20, spill_ms=0),
        new_job("medium", max_tokens=500, spill_ms=0),
    )
    given = [lease.job_id for lease in (await line.claim(profile=profile)).leases]
    assert given == ["small"]
    await line.clock.advance(62_000)
    assert [lease.job_id for lease in (await line.claim(profile=profile)).leases][:1] == ["large"]


async def test_answers_out_of_order(redis: ArqRedis) -> None:
    """However the answers of a burst come in, once all are there everything the vendor has left can be used."""
    line, profile = await _line(redis), _profile(rpm=3000)
    leases = (await line.claim(50, profile=profile)).leases
    assert len(leases) == 50
    for number in [49, *range(24, 49), *range(24)]:
        heard = _says(2999 - number, limit=3000)
        await line.settle(settlement(leases[number], "finish", heard=heard))
    gate = await line.gate()
    assert float(gate["rpm"]) == pytest.approx(2950)
