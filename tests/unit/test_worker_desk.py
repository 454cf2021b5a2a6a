"""The vendor desk: a report says how long its call took, by a clock that nobody sets."""

import inspect
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from queue_cases import MAIN, make_job, make_table
from worker_cases import ANSWER, USAGE, SteppedClock

from pointsman_routes import Evidence, Ok, Tier, Transient, Unsupported
from pointsman_worker import Dispatcher, HttpDesk, Report, TierWorker
from pointsman_worker.providers import Ask, RawReply, Reply, WireRequest
from pointsman_worker.stopwatch import Stopwatch


class _Codec:
    """Sends next to nothing and reads the same from every answer."""

    def __init__(self, clock: SteppedClock, problem: Unsupported | None = None) -> None:
        self._clock = clock
        self._problem = problem

    def build(self, ask: Ask) -> WireRequest | Unsupported:
        """The request, in some time."""
        self._clock.pass_us(10)
        return self._problem or WireRequest(url="http://vendor.test/v1", headers={}, body=ask.job.custom_id.encode())

    def read(self, tier: Tier, raw: RawReply) -> Reply:
        """The answer, in some time."""
        self._clock.pass_us(20)
        return Reply(outcome=Ok(answer=ANSWER), evidence=Evidence(http_status=raw.status, usage=USAGE))


class _Vendor(httpx.AsyncBaseTransport):
    """Takes 300 us until it answers, or fails as it was told to, and 4,000 us until the answer is complete."""

    def __init__(self, clock: SteppedClock, trouble: Exception | None = None) -> None:
        self._clock = clock
        self._trouble = trouble

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One call."""
        self._clock.pass_us(300)
        if self._trouble is not None:
            raise self._trouble
        return httpx.Response(200, content=self._body())

    async def _body(self) -> AsyncIterator[bytes]:
        self._clock.pass_us(4000)
        yield b"{}"


async def _ask(*, trouble: Exception | None = None, problem: Unsupported | None = None) -> Report:
    clock = SteppedClock()
    desk = HttpDesk(make_table(), {"alpha": _Codec(clock, problem)}, _Vendor(clock, trouble), clock=clock)
    return await desk.ask(MAIN, make_job(), 7)


def test_whole_microseconds() -> None:
    """What has begun is not told: a stopwatch gives the microseconds that have passed, wherever its clock began."""
    clock = SteppedClock()
    watch = Stopwatch(clock)
    assert watch.elapsed_us == 0
    clock.now_ns += 1_999
    assert watch.elapsed_us == 1


async def test_a_call_is_timed() -> None:
    """From the request to the end of the answer; putting together the request and judging the answer are not in it."""
    report = await _ask()
    assert report == Report(
        outcome=Ok(answer=ANSWER), evidence=Evidence(http_status=200, usage=USAGE), duration_us=4300
    )


@pytest.mark.parametrize(
    ("trouble", "duration_us"),
    [
        (httpx.ReadError("reset"), 300),
        (httpx.ReadTimeout("late"), 300),
        (TimeoutError(), 300),
        (httpx.ConnectError("refused"), None),
        (httpx.PoolTimeout("full"), None),
    ],
    ids=repr,
)
async def test_a_call_that_fails(trouble: Exception, duration_us: int | None) -> None:
    """A call that broke is timed until then; where no request can have been sent, there is nothing to time."""
    report = await _ask(trouble=trouble)
    assert isinstance(report.outcome, Transient)
    assert report.outcome.may_be_billed is (duration_us is not None)
    assert report.duration_us == duration_us


async def test_a_job_that_cannot_be_asked() -> None:
    """What a kind cannot express is no call: nothing was sent, and no time was taken."""
    problem = Unsupported(detail="seed: not here")
    assert await _ask(problem=problem) == Report(outcome=problem, evidence=Evidence(), called=False)


@pytest.mark.parametrize("who", [HttpDesk, Dispatcher, TierWorker, Stopwatch])
def test_the_clock_is_monotonic(who: type) -> None:
    """Unless a test brings its own, calls are timed by a clock that no operator and no time server sets."""
    assert inspect.signature(who).parameters["clock"].default is time.perf_counter_ns
    assert time.get_clock_info("perf_counter").monotonic
    assert not time.get_clock_info("perf_counter").adjustable
