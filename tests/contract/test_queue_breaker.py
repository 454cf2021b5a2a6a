"""The breaker: a tier that fails too often is left alone, then tried with one call."""

from arq import ArqRedis
from queue_cases import MAIN, Line, make_table, new_job, settlement

from pointsman_queue import LEASE_S, Lease

LEASE_MS = int(LEASE_S * 1000)
OPEN_MS = 10_000


async def _line(redis: ArqRedis, jobs: int) -> Line:
    line = await Line.of(redis)
    await line.enqueue(*(new_job(f"{number:03d}") for number in range(jobs)))
    return line


async def _fail(line: Line, count: int) -> None:
    leases = (await line.claim(count)).leases
    assert len(leases) == count
    await line.settle(*(settlement(lease, "release", healthy=False) for lease in leases))


async def _open(line: Line) -> tuple[Lease, ...]:
    """Open the breaker with seven failures; the answer is one more call, under way meanwhile."""
    (straggler,) = (await line.claim(1)).leases
    await _fail(line, 7)
    return (straggler,)


async def _probe(line: Line) -> Lease:
    (lease,) = (await line.claim()).leases
    return lease


async def test_opens_after_seven_failures_in_a_row(redis: ArqRedis) -> None:
    """Six failures in a row leave the tier open; the seventh opens the breaker, and queued jobs are handed over."""
    line = await _line(redis, 9)
    await _fail(line, 6)
    assert (await line.claim(0)).handed == ()
    await _fail(line, 1)
    claim = await line.claim()
    assert (claim.leases, {lease.reason for lease in claim.handed}) == ((), {"breaker_open"})
    assert (len(claim.handed), claim.wait_ms) == (9, OPEN_MS)


async def test_opens_at_half(redis: ArqRedis) -> None:
    """A tier where most calls fail opens its breaker; one where one in three does never does."""
    for worst, opens in (([False, False, True], True), ([True, True, False], False)):
        await redis.flushall()
        line = await _line(redis, 1)
        for number in range(90):
            claim = await line.claim(1)
            if not claim.leases:
                break
            await line.settle(settlement(claim.leases[0], "release", healthy=worst[number % 3]))
        assert ("open_until" in await line.gate()) is opens


async def test_attempts_that_say_nothing(redis: ArqRedis) -> None:
    """A refusal for speed and an attempt that made no call say nothing of the tier's health."""
    line = await _line(redis, 20)
    leases = (await line.claim(20)).leases
    await line.settle(*(settlement(lease, "release") for lease in leases[:10]))
    await line.settle(*(settlement(lease, "release", called=False, healthy=False) for lease in leases[10:]))
    assert "failing" not in await line.gate()


async def test_one_call_probes(redis: ArqRedis) -> None:
    """When its time is up one call passes, whoever asks; the next one only when its lease has run out."""
    line = await _line(redis, 9)
    await _open(line)
    await line.clock.advance(OPEN_MS)
    first = await line.claim(worker="w-1")
    second = await line.claim(worker="w-2")
    assert (len(first.leases), len(second.leases)) == (1, 0)
    await line.clock.advance(LEASE_MS)
    assert len((await line.claim(worker="w-2")).leases) == 1


async def test_good_probe_closes(redis: ArqRedis) -> None:
    """A probe that is answered closes the breaker, and the failures before are forgotten."""
    line = await _line(redis, 9)
    await _open(line)
    await line.clock.advance(OPEN_MS)
    await line.settle(settlement(await _probe(line), "finish", healthy=True))
    await _fail(line, 6)
    assert len((await line.claim()).leases) == 7


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
