"""The breaker: a tier that fails too often is left alone, then tried with one call."""

import pytest
from arq import ArqRedis
from queue_cases import BACKUP, MAIN, SIDE, Line, make_profile, make_table, new_job, settlement

from pointsman_queue import LEASE_S, Lease

LEASE_MS = int(LEASE_S * 1000)
OPEN_MS = 10_000
WINDOW_MS = 60_000


async def _line(redis: ArqRedis, jobs: int) -> Line:
    line = await Line.of(redis)
    await line.enqueue(*(new_job(f"{number:03d}") for number in range(jobs)))
    return line


async def _fail(line: Line, count: int) -> None:
    leases = (await line.claim(count)).leases
    assert len(leases) == count
    await line.settle(*(settlement(lease, "release", healthy=False) for lease in leases))


async def _open(line: Line) -> tuple[Lease, ...]:
    """Open the breaker with ten failures; the answer is one more call, under way meanwhile."""
    (straggler,) = (await line.claim(1)).leases
    await _fail(line, 5)
    await _fail(line, 5)
    return (straggler,)


async def _probe(line: Line) -> Lease:
    (lease,) = (await line.claim()).leases
    return lease


async def test_few_calls_say_nothing(redis: ArqRedis) -> None:
    """Nine failures in a row leave the tier open; the tenth opens the breaker, and queued jobs are handed over."""
    line = await _line(redis, 9)
    await _fail(line, 9)
    assert (await line.claim(0)).handed == ()
    await _fail(line, 1)
    claim = await line.claim()
    assert (claim.leases, {lease.reason for lease in claim.handed}) == ((), {"breaker_open"})
    assert (len(claim.handed), claim.wait_ms) == (9, OPEN_MS)


@pytest.mark.parametrize(("good", "bad", "opens"), [(10, 9, False), (10, 10, True), (99, 98, False), (1, 9, True)])
async def test_opens_at_half(redis: ArqRedis, good: int, bad: int, *, opens: bool) -> None:
    """A tier of whose calls half have failed opens its breaker, whatever their order; with one fewer it does not."""
    line = await _line(redis, good + bad)
    wide = make_profile(MAIN, make_table(main={"concurrency": 500}))
    leases = (await line.claim(500, profile=wide)).leases
    assert len(leases) == good + bad
    for lease in leases[:good]:
        await line.settle(settlement(lease, "finish", healthy=True))
    await line.settle(*(settlement(lease, "release", healthy=False) for lease in leases[good:]))
    assert ("open_until" in await line.gate()) is opens


async def test_what_is_older_than_the_window_is_forgotten(redis: ArqRedis) -> None:
    """Failures count for a minute, in sixths of it; many calls that went well before do not hide that all fail now."""
    line = await _line(redis, 9)
    await _fail(line, 9)
    await line.clock.advance(WINDOW_MS)
    await _fail(line, 9)
    assert "open_until" not in await line.gate()
    await redis.flushall()
    line = await _line(redis, 100)
    await line.settle(*(settlement(lease, "finish", healthy=True) for lease in (await line.claim(90)).leases))
    await line.clock.advance(WINDOW_MS)
    await _fail(line, 10)
    assert "open_until" in await line.gate()


async def test_the_window_slides(redis: ArqRedis) -> None:
    """A failure every five seconds opens the breaker once ten of them are in the window, not before."""
    line = await _line(redis, 20)
    opened = []
    for number in range(11):
        await _fail(line, 1)
        opened.append("open_until" in await line.gate())
        if opened[-1]:
            break
        await line.clock.advance(5000 if number < 9 else 0)
    assert opened == [False] * 9 + [True]
    assert len((await line.gate()).get("health", "").split(",")) <= 6


async def test_as_configured(redis: ArqRedis) -> None:
    """A tier's own window, least number of calls, share and time are what holds."""
    breaker = {"window": "6s", "least_calls": 3, "failure_rate": 0.9, "open_for": "2s"}
    profile = make_profile(MAIN, make_table(tier={"breaker": breaker}))
    line = await _line(redis, 9)
    for _ in range(2):
        await line.settle(
            *(settlement(lease, "release", healthy=False) for lease in (await line.claim(2, profile=profile)).leases)
        )
        await line.clock.advance(6000)
    assert "open_until" not in await line.gate()
    await line.settle(
        *(settlement(lease, "release", healthy=False) for lease in (await line.claim(3, profile=profile)).leases)
    )
    assert int((await line.gate())["open_until"]) == line.clock.now_ms + 2000


async def test_all_open_is_all_closed(redis: ArqRedis) -> None:
    """With the breakers of every tier of the route open, no call passes anywhere: the jobs go to none of them."""
    line = await _line(redis, 9)
    open_until = str(line.clock.now_ms + OPEN_MS)
    for tier in (MAIN, SIDE, BACKUP):
        gate = {"open_until": open_until, "opens": "1"}
        await redis.hset(f"pointsman:gate:{tier}", mapping=gate)  # type: ignore[misc]  # typed for both clients
    for tier in (MAIN, SIDE, BACKUP):
        claim = await line.claim(profile=make_profile(tier))
        assert claim.leases == ()
    assert (await line.switchboard.openings(make_table(), [MAIN, SIDE, BACKUP])).open == frozenset()


async def test_attempts_that_say_nothing(redis: ArqRedis) -> None:
    """A refusal for speed and an attempt that made no call say nothing of the tier's health."""
    line = await _line(redis, 20)
    leases = (await line.claim(20)).leases
    await line.settle(*(settlement(lease, "release") for lease in leases[:10]))
    await line.settle(*(settlement(lease, "release", called=False, healthy=False) for lease in leases[10:]))
    assert "health" not in await line.gate()


async def test_one_call_probes(redis: ArqRedis) -> None:
    """When its time is up one call passes, whoever asks; the next one only when its lease has run out.

    A call that takes longer than a lease is still the only one, as long as its worker renews it.
    """
    line = await _line(redis, 9)
    await _open(line)
    await line.clock.advance(OPEN_MS)
    first = await line.claim(worker="w-1")
    second = await line.claim(worker="w-2")
    assert (len(first.leases), len(second.leases)) == (1, 0)
    await line.clock.advance(LEASE_MS - 1000)
    assert (await line.worker("w-1").renew(first.leases, "{}", believed_s=60)).lost == frozenset()
    await line.clock.advance(LEASE_MS - 1000)
    assert (await line.claim(worker="w-2")).leases == ()
    await line.clock.advance(LEASE_MS)
    assert len((await line.claim(worker="w-2")).leases) == 1


async def test_good_probe_closes(redis: ArqRedis) -> None:
    """A probe that is answered closes the breaker, and the failures before are forgotten."""
    line = await _line(redis, 13)
    await _open(line)
    await line.clock.advance(OPEN_MS)
    await line.settle(settlement(await _probe(line), "finish", healthy=True))
    await _fail(line, 9)
    assert len((await line.claim(11)).leases) == 11


async def test_bad_probe_doubles_the_time(redis: ArqRedis) -> None:
    """Each failed probe doubles the time the tier is left alone, up to five minutes."""
    line = await _line(redis, 9)
    await _open(line)
    waits = []
    for _ in range(7):
        await line.clock.advance(300_000)
        await line.settle(settlement(await _probe(line), "release", healthy=False))
        waits.append(int((await line.gate())["open_until"]) - line.clock.now_ms)
    assert waits == [20_000, 40_000, 80_000, 160_000, 300_000, 300_000, 300_000]


async def test_probe_that_says_nothing(redis: ArqRedis) -> None:
    """A probe that was throttled, or made no call, lets the next one pass at once."""
    line = await _line(redis, 9)
    await _open(line)
    await line.clock.advance(OPEN_MS)
    await line.settle(settlement(await _probe(line), "release"))
    await line.settle(settlement(await _probe(line), "release", called=False))
    assert len((await line.claim()).leases) == 1


async def test_calls_from_before_are_no_probe(redis: ArqRedis) -> None:
    """A call that was under way when the breaker opened neither closes it nor ends another's probe."""
    line = await _line(redis, 9)
    (straggler,) = await _open(line)
    await line.clock.advance(OPEN_MS)
    probe = await _probe(line)
    await line.settle(settlement(straggler, "finish", healthy=True))
    assert (await line.claim()).leases == ()
    await line.settle(settlement(probe, "release", healthy=False))
    assert {lease.reason for lease in (await line.claim()).handed} == {"breaker_open"}


async def test_enabling_closes_the_breaker(redis: ArqRedis) -> None:
    """An operator who enables the tier lets all calls through at once."""
    line = await _line(redis, 9)
    await _open(line)
    await line.switchboard.enable(make_table(), MAIN, reason="fixed", by="me")
    assert len((await line.claim()).leases) == 8


async def test_another_window(redis: ArqRedis) -> None:
    """A window that was made longer forgets what the shorter one had counted, as it forgets its own."""
    line = await _line(redis, 40)
    await _fail(line, 9)
    longer = make_profile(MAIN, make_table(tier={"breaker": {"window": "10m"}}))
    await line.clock.advance(600_000)
    (lease,) = (await line.claim(1, profile=longer, worker="w-2")).leases
    await line.settle(settlement(lease, "release", healthy=False))
    assert "open_until" not in await line.gate()


async def test_another_window_keeps_what_it_may(redis: ArqRedis) -> None:
    """Workers of an old and a new configuration side by side, with windows of their own, count the same failures."""
    line = await _line(redis, 40)
    profiles = [make_profile(MAIN, make_table(tier={"breaker": {"window": window}})) for window in ("60s", "10m")]
    for number in range(10):
        (lease,) = (await line.claim(1, profile=profiles[number % 2], worker=f"w-{number % 2}")).leases
        await line.settle(settlement(lease, "release", healthy=False))
        await line.clock.advance(1000)
    assert "open_until" in await line.gate()


async def test_a_clock_set_back(redis: ArqRedis) -> None:
    """Failures from a time that the clock has not reached yet, since it was set back, say nothing."""
    line = await _line(redis, 20)
    await _fail(line, 9)
    await line.clock.advance(-1_800_000)
    await _fail(line, 1)
    assert "open_until" not in await line.gate()


async def test_open_for_longer_than_doubling_goes(redis: ArqRedis) -> None:
    """A tier that is to be left alone for ten minutes is left alone for ten, though doubling ends at five."""
    profile = make_profile(MAIN, make_table(tier={"breaker": {"least_calls": 1, "open_for": "10m"}}))
    line = await _line(redis, 9)
    for _ in range(2):
        (lease,) = (await line.claim(1, profile=profile)).leases
        await line.settle(settlement(lease, "release", healthy=False))
        assert int((await line.gate())["open_until"]) == line.clock.now_ms + 600_000
        await line.clock.advance(600_000)


async def test_calls_from_before_say_nothing_later(redis: ArqRedis) -> None:
    """Calls that were under way when the breaker opened do not open it again after a good probe has closed it."""
    line = await _line(redis, 40)
    wide = make_profile(MAIN, make_table(main={"concurrency": 99}))
    slow = (await line.claim(12, profile=wide)).leases
    failing = (await line.claim(10, profile=wide)).leases
    await line.settle(*(settlement(lease, "release", healthy=False) for lease in failing))
    assert "open_until" in await line.gate()
    await line.clock.advance(OPEN_MS)
    (probe,) = (await line.claim(10, profile=wide)).leases
    await line.settle(settlement(probe, "finish", healthy=True))
    await line.settle(*(settlement(lease, "release", healthy=False) for lease in slow))
    assert "open_until" not in await line.gate()
    await line.settle(
        *(settlement(lease, "release", healthy=False) for lease in (await line.claim(10, profile=wide)).leases)
    )
    assert "open_until" in await line.gate()


@pytest.mark.parametrize("end", ["cancelled", "expired", "lost", "withdrawn", "closed", "held"])
async def test_whatever_becomes_of_the_probe(redis: ArqRedis, end: str) -> None:
    """A probe that came to nothing does not keep the breaker waiting: the next claim lets another call pass."""
    line = await _line(redis, 12)
    await _open(line)
    await line.clock.advance(OPEN_MS)
    if end == "held":
        (before,) = (await line.claim(1)).leases
        await line.settle(settlement(before, "hold", tiers=(MAIN,)))
    probe = await _probe(line)
    if end == "cancelled":
        await line.switchboard.cancel(probe.job_id, by="ann")
    elif end == "lost":
        await line.clock.advance(LEASE_MS)
    elif end == "expired":
        await line.clock.advance(3_600_000)
        await line.enqueue(*(new_job(f"more-{number}") for number in range(3)))
    elif end == "closed":
        await line.settle(settlement(probe, "release", close_reason="exhausted", close_ms=1000))
        await line.clock.advance(1000)
    else:
        await line.settle(settlement(probe, "release", called=False))
    for _ in range(2):
        again = await line.claim(worker="w-2")
        if again.leases:
            break
    assert len(again.leases) == 1
    assert (await line.claim(worker="w-3")).leases == ()
