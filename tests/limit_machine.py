"""A machine that drives the limits of a tier in any order against a plain vendor that keeps its own list of calls."""

import asyncio
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from arq import ArqRedis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from queue_cases import MAIN, Line, make_profile, make_table, new_job, settlement

from pointsman_queue import LEASE_S, Heard, Lease

MINUTE_MS = 60_000
FIRST_CALLS = 16
"""Calls at once while nothing is known of a limit."""
_T = TypeVar("_T")
_MOST_JOBS = 300


@dataclass(kw_only=True)
class PlainVendor:
    """So many requests a minute: a bucket of a minute that refills all the time, or at most that many in any minute."""

    limit: int
    window: bool
    tells: bool
    """Whether its answers say what is left."""
    admitted: list[float] = field(default_factory=list)
    refused: int = 0
    _level: float = 0
    _at: float = 0

    def left(self, now: float) -> float:
        """What it would admit now."""
        if self.window:
            return self.limit - sum(1 for moment in self.admitted if moment > now - MINUTE_MS)
        self._level = min(self.limit, self._level + (now - self._at) * self.limit / MINUTE_MS)
        self._at = now
        return self._level

    def call(self, now: float) -> tuple[bool, tuple[Heard, ...]]:
        """A call arrives: whether it is admitted, and what its answer will say."""
        ok = self.left(now) >= 1
        if ok:
            self.admitted.append(now)
            self._level -= 1
        self.refused += not ok
        left = int(self.left(now))
        recent = [moment for moment in self.admitted if moment > now - MINUTE_MS]
        reset = min(recent, default=now) + MINUTE_MS - now if self.window else (self.limit - left) * 60_000 / self.limit
        heard = Heard(scope=MAIN, name="rpm", limit=self.limit, left=left, reset_ms=round(reset))
        return ok, (heard,) if self.tells else ()


class LimitMachine(RuleBasedStateMachine):
    """Workers that claim, are answered late and out of order, give calls back, or die, at one limited tier."""

    def __init__(self, runner: asyncio.Runner, redis: ArqRedis) -> None:
        super().__init__()
        self._runner = runner
        self._run(cast("Any", redis.flushall()))
        self.line = self._run(Line.of(redis))
        self.running: deque[tuple[Lease, bool, tuple[Heard, ...]]] = deque()
        self.abandoned: list[tuple[float, Lease]] = []
        self.jobs = 0
        self.done: set[str] = set()

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return self._runner.run(work)

    @property
    def now(self) -> float:
        """The simulated time, ms."""
        return self.line.clock.now_ms

    @initialize(
        limit=st.sampled_from([6, 30, 120]),
        window=st.booleans(),
        tells=st.booleans(),
        configured=st.sampled_from([0.0, 0.5, 1.0, 1.0, 2.0]),
        tokens=st.sampled_from([0, 60_000]),
    )
    def open(self, limit: int, window: bool, tells: bool, configured: float, tokens: int) -> None:
        """Choose a vendor, and what is configured: nothing, half, the truth or twice as much; tokens too, or not."""
        self.vendor = PlainVendor(limit=limit, window=window, tells=tells, _level=limit, _at=self.now)
        self.configured = round(limit * configured)
        self.profile = make_profile(table=make_table(main={"rpm": self.configured, "tpm": tokens}))

    @precondition(lambda self: self.jobs < _MOST_JOBS)
    @rule(count=st.sampled_from([1, 40, 150]), tokens=st.sampled_from([1, 100, 100_000]))
    def enqueue(self, count: int, tokens: int) -> None:
        """Jobs of any size are handed in; they may wait for a day."""
        first, self.jobs = self.jobs, self.jobs + count
        jobs = [
            new_job(f"{n:04d}", max_tokens=tokens, deadline_ms=864_000_000, spill_ms=0) for n in range(first, self.jobs)
        ]
        self._run(self.line.enqueue(*jobs))

    @rule(limit=st.sampled_from([1, 10, 50]), worker=st.sampled_from(["w-1", "w-2", "w-3"]))
    def claim(self, limit: int, worker: str) -> None:
        """A worker claims, and its calls reach the vendor."""
        self._claim(limit, worker)

    def _claim(self, limit: int, worker: str = "w-1") -> int | None:
        claim = self._run(self.line.claim(limit, profile=self.profile, worker=worker))
        assert claim.handed == ()
        for lease in claim.leases:
            self.running.append((lease, *self.vendor.call(self.now)))
        return claim.wait_ms

    @precondition(lambda self: self.jobs > len(self.done))
    @rule(seconds=st.sampled_from([5, 90]), answered=st.sampled_from([1, 50]))
    def work(self, seconds: int, answered: int) -> None:
        """A worker is at it for a while, asking as soon as it may; answers come at once or one at a time."""
        until = self.now + seconds * 1000
        while self.now < until and self.jobs > len(self.done):
            wait_ms = self._claim(50)
            for _ in range(min(answered, len(self.running))):
                self._settle(*self.running.popleft())
            self.wait(min(5000, max(wait_ms or 1000, 10)) if not self.running else 30)

    @precondition(lambda self: self.running)
    @rule(count=st.sampled_from([1, 5, 50]), newest=st.booleans())
    def answer(self, count: int, newest: bool) -> None:
        """Some calls are answered, the oldest or the newest first."""
        for _ in range(min(count, len(self.running))):
            self._settle(*(self.running.pop() if newest else self.running.popleft()))

    def _settle(self, lease: Lease, ok: bool, heard: tuple[Heard, ...]) -> None:
        if ok:
            ending = settlement(lease, "finish", healthy=True, heard=heard, used_in=5, used_out=5)
            self.done.add(lease.job_id)
        else:
            ending = settlement(lease, "release", heard=heard, throttle_ms=0, used_in=0, used_out=0)
        assert self._run(self.line.settle(ending)) == [True]

    @precondition(lambda self: self.running)
    @rule()
    def crash(self) -> None:
        """A worker dies in the middle of a call."""
        lease, _, _ = self.running.popleft()
        self.abandoned.append((self.now + LEASE_S * 1000, lease))

    @rule(ms=st.sampled_from([10, 300, 1000, 7000, 61_000, 3_600_000]))
    def wait(self, ms: int) -> None:
        """Time passes; living workers keep their leases."""
        until = self.now + ms
        while self.now < until:
            self._run(self.line.clock.advance(round(min(10_000, until - self.now))))
            kept = [lease for lease, _, _ in self.running]
            assert not kept or self._run(self.line.worker().renew(kept, "{}", believed_s=60)).lost == frozenset()

    @invariant()
    def reservations_are_those_of_running_calls(self) -> None:
        """What is reserved is reserved by calls that run, or whose worker has died and whose lease still stands."""
        gate = self._run(self.line.gate())
        most = len(self.running) + len(self.abandoned)
        assert len(self.running) <= int(gate.get("fly", 0)) <= most or most == 0

    @invariant()
    def no_limit_is_passed(self) -> None:
        """No minute has more calls than a limit allows that is known: configured and true, or told by the vendor."""
        moments = self.vendor.admitted if hasattr(self, "vendor") else []
        if moments and self.vendor.window and (self.vendor.tells or 0 < self.configured <= self.vendor.limit):
            unknown = 0 if self.configured else max(0, FIRST_CALLS - self.vendor.limit)
            assert self.vendor.refused <= unknown
        if moments and not self.vendor.window and 0 < self.configured <= self.vendor.limit:
            assert self.vendor.refused == 0

    def teardown(self) -> None:
        """Sleeping as long as claims say, workers bring every job to its end, the largest too; nothing is reserved."""
        if not hasattr(self, "vendor"):
            return
        for _ in range(4000):
            wait_ms = self._claim(50)
            while self.running:
                self._settle(*self.running.popleft())
            if len(self.done) == self.jobs:
                break
            self.wait(wait_ms or 1000)
        assert len(self.done) == self.jobs
        gate = self._run(self.line.gate())
        assert [gate.get(name, "0") for name in ("fly", "fly_in", "fly_out")] == ["0", "0", "0"]
