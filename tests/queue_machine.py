"""A machine that does anything to a queue in any order, and compares it with the model after every step."""

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

from arq import ArqRedis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from queue_cases import BACKUP, MAIN, SIDE, Line, make_profile, make_table, new_job, settlement
from queue_model import ModelJob, QueueModel

from pointsman_queue import Claim, Lease, Settlement, TierProfile
from pointsman_routes import JobState

TIERS = (MAIN, SIDE, BACKUP)
_FINALS = frozenset(state.value for state in JobState if state.final)
_MOST_JOBS = 80
_SIZES = ((40, 10), (4, 1), (399, 700))
_LIMITS: tuple[dict[str, int], ...] = ({}, {"rpm": 120}, {"tpm": 3000, "concurrency": 3}, {"rpm": 6, "otpm": 1200})
_ACCOUNTS: tuple[dict[str, int], ...] = ({}, {"rpm": 180}, {"concurrency": 4, "itpm": 6000})
_ENDINGS: dict[str | None, JobState] = {"expired": JobState.EXPIRED, "cancelled": JobState.CANCELLED}
_SNAPSHOT = """
local function scores(key)
  local flat, found = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES'), {}
  for i = 1, #flat, 2 do found[#found + 1] = {flat[i], flat[i + 1]} end
  return found
end
local all = {held = {all = scores('pointsman:held')}}
for _, name in ipairs({'arq:queue', 'pointsman:delayed', 'pointsman:leases', 'pointsman:held', 'pointsman:spill'}) do
  all[name] = {}
  for _, tier in ipairs(ARGV) do all[name][tier] = scores(name .. ':' .. tier) end
end
all.gates = {}
for _, scope in ipairs({'alpha', 'beta', unpack(ARGV)}) do
  all.gates[scope] = redis.call('HMGET', 'pointsman:gate:' .. scope, 'fly', 'fly_in', 'fly_out')
end
all.jobs = {}
for _, key in ipairs(redis.call('KEYS', 'pointsman:job:*')) do
  all.jobs[key:sub(15)] = redis.call('HMGET', key, 'state', 'tier', 'calls', 'recoveries')
end
return cjson.encode(all)
"""
_T = TypeVar("_T")
_tiers = st.sampled_from(TIERS)
_workers = st.sampled_from(["w-1", "w-2", "w-3"])


class QueueMachine(RuleBasedStateMachine):
    """Several workers, producers and operators on one line."""

    def __init__(self, runner: asyncio.Runner, redis: ArqRedis) -> None:
        super().__init__()
        self._runner = runner
        self._redis = redis
        self._run(cast("Any", redis.flushall()))
        self.line = self._run(Line.of(redis, served=()))
        self.model = QueueModel(self.line.clock.now_ms)
        self.profiles: dict[str, TierProfile] = {}
        self.leases: list[Lease] = []
        """Every lease ever given, the lost ones too."""
        self.calls: dict[tuple[str, int], tuple[float, str]] = {}
        """When and where each call was admitted, by job and attempt; those not made are taken out."""
        self.written: Counter[tuple[str, str, int]] = Counter()
        self.released: dict[str, list[str]] = {}
        """Tiers that took a held job back, as its records say."""
        self._cursor = "-"

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return self._runner.run(work)

    @initialize(main=st.sampled_from(_LIMITS), account=st.sampled_from(_ACCOUNTS), jobs=st.integers(0, 20))
    def limit(self, main: dict[str, int], account: dict[str, int], jobs: int) -> None:
        """Choose what `alpha` allows, and what waits already; the breaker of `alpha/main` opens sooner than others."""
        self.table = make_table(main=main, account=account, tier={"breaker": {"least_calls": 3}})
        self.model.least_calls[MAIN] = 3
        self.profiles = {tier: make_profile(tier, self.table) for tier in TIERS}
        self._enqueue(MAIN, jobs, 3_600_000, 300_000, _SIZES[0])

    @precondition(lambda self: len(self.model.jobs) < _MOST_JOBS)
    @rule(
        tier=st.sampled_from([MAIN, MAIN, SIDE, BACKUP]),
        count=st.integers(1, 12),
        deadline_ms=st.sampled_from([4000, 60_000, 3_600_000, 36_000_000]),
        spill_ms=st.sampled_from([0, 2000, 300_000]),
        size=st.sampled_from(_SIZES),
    )
    def enqueue(self, tier: str, count: int, deadline_ms: int, spill_ms: int, size: tuple[int, int]) -> None:
        """A producer hands in jobs."""
        self._enqueue(tier, count, deadline_ms, spill_ms, size)

    def _enqueue(self, tier: str, count: int, deadline_ms: int, spill_ms: int, size: tuple[int, int]) -> None:
        first, now = len(self.model.jobs), self.model.now
        jobs = [
            new_job(
                f"job-{first + number:03d}",
                tier=tier,
                deadline_ms=deadline_ms,
                spill_ms=spill_ms,
                characters=size[0],
                max_tokens=size[1],
            )
            for number in range(count)
        ]
        self._run(self.line.enqueue(*jobs))
        for number, job in enumerate(jobs):
            self.model.jobs[job.job_id] = ModelJob(
                job_id=job.job_id,
                tier=tier,
                deadline=float(f"{now + deadline_ms + number / 4096:.4f}"),
                spill_ms=spill_ms,
                characters=size[0],
                max_tokens=size[1],
                spill_at=now + spill_ms,
            )

    @rule(tier=_tiers, limit=st.sampled_from([0, 0, 1, 3, 12]), worker=_workers)
    def claim(self, tier: str, limit: int, worker: str) -> None:
        """A worker claims; it is given exactly what the model says."""
        self._claim(tier, limit, worker)

    @rule(tier=_tiers, worker=_workers, data=st.data())
    def work(self, tier: str, worker: str, data: st.DataObject) -> None:
        """A worker claims one job and settles it, as most do."""
        claim = self._claim(tier, 1, worker)
        for lease in (*claim.leases, *claim.handed[:1]):
            self._settle(data.draw(_settlements(lease), label="settlement"))

    def _claim(self, tier: str, limit: int, worker: str) -> Claim:
        claim = self._run(self.line.claim(limit, profile=self.profiles[tier], worker=worker))
        given = [lease.job_id for lease in (*claim.leases, *claim.handed)]
        assert len(given) == len(set(given))
        self.model.claim(self.profiles[tier], limit, claim)
        for lease in (*claim.leases, *claim.handed):
            self.model.jobs[lease.job_id].fence = lease.fence
        for lease in claim.leases:
            self.calls[lease.job_id, lease.attempt] = (self.model.now, tier)
        self.leases += (*claim.leases, *claim.handed)
        return claim

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        """Somebody settles a lease, perhaps one that was lost or settled long ago."""
        lease = data.draw(st.sampled_from(self.leases[-12:]), label="lease")
        self._settle(data.draw(_settlements(lease), label="settlement"))

    @rule(tier=_tiers, healthy=st.sampled_from([False, False, True]), step=st.sampled_from(["release", "delay"]))
    def settle_all(self, tier: str, step: str, *, healthy: bool) -> None:
        """A worker claims some more, and all calls in flight end in the same way: the breaker learns."""
        self._claim(tier, 6, "w-1")
        for lease in self._current():
            if lease.reason is None:
                self._settle(settlement(lease, step, wait_ms=500, healthy=healthy))

    @rule(tier=st.sampled_from([MAIN, MAIN, BACKUP]), says=st.sampled_from([True, False, None]), late=st.booleans())
    def fail(self, tier: str, says: bool | None, *, late: bool) -> None:
        """A vendor is down; a while later one call probes, and perhaps calls from before end after it."""
        self._claim(tier, 12, "w-1")
        calls = [lease for lease in self._current() if lease.reason is None and lease.tier == tier]
        slow = calls[: len(calls) // 2] if late else []
        for lease in calls[len(slow) :]:
            self._settle(settlement(lease, "release", healthy=False))
        self.every_job_is_in_one_place()
        self.wait(10_000)
        for lease in (*self._claim(tier, 3, "w-2").leases, *slow):
            self._settle(settlement(lease, "release", healthy=says and lease not in slow))

    @rule(tier=_tiers, ms=st.sampled_from([15_000, 400_000]))
    def desert(self, tier: str, ms: int) -> None:
        """The workers of a tier are gone, those of the others live and look after it."""
        self.wait(ms)
        others = [name for name in TIERS if name != tier]
        assert self._run(self.line.worker().renew([], "{}", believed_s=60, tiers=others)) == self.model.renew(
            [], others
        )
        self._claim(tier, 0, "w-2")

    def _settle(self, ending: Settlement) -> None:
        lease, before = ending.lease, None
        expected = self.model.settle(ending)
        if not expected:
            before = self._digest()
        (written,) = self._run(self.line.worker().settle([ending]))
        assert written is expected
        if before is not None:
            assert self._digest() == before
        elif not ending.called and lease.reason is None:
            del self.calls[lease.job_id, lease.attempt]

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), worker=_workers, tiers=st.lists(_tiers, unique=True))
    def renew(self, data: st.DataObject, worker: str, tiers: list[str]) -> None:
        """A heartbeat for some leases; those that are lost, or whose calls are aborted, are told, and no others."""
        recent = st.lists(st.sampled_from(self.leases[-12:]), unique_by=lambda lease: lease.fence)
        some = data.draw(recent, label="leases")
        expected = self.model.renew(some, tiers)
        assert self._run(self.line.worker(worker).renew(some, "{}", believed_s=60, tiers=tiers)) == expected

    @precondition(lambda self: self.leases)
    @rule(tier=_tiers)
    def beat(self, tier: str) -> None:
        """A worker that has all the calls in flight serves a tier; calls that are cut are taken back."""
        current = self._current()
        found = self._run(self.line.worker().renew(current, "{}", believed_s=60, tiers=(tier,)))
        assert found == self.model.renew(current, (tier,))
        for lease in current:
            if lease.fence in found.cut and lease.reason is None:
                self._settle(settlement(lease, "hold", tiers=(lease.tier, BACKUP), outcome="unknown"))

    @rule(ms=st.sampled_from([1, 50, 500, 1000, 3000, 10_000, 15_000, 61_000, 400_000]))
    def wait(self, ms: int) -> None:
        """Time passes."""
        self._run(self.line.clock.advance(ms))
        self.model.now += ms

    @rule(scope=st.sampled_from([*TIERS, "alpha"]), abort=st.booleans())
    def disable(self, scope: str, *, abort: bool) -> None:
        """An operator turns something off, perhaps once more, but not everything."""
        if any(gate.disabled for name, gate in self.model.gates.items() if name != scope):
            return
        self._run(self.line.switchboard.disable(self.table, scope, reason="r", by="op", abort=abort))
        self.model.gate(scope).disabled, self.model.gate(scope).aborted = True, abort

    @rule(scope=st.sampled_from([*TIERS, "alpha"]))
    def enable(self, scope: str) -> None:
        """An operator turns something on."""
        self._run(self.line.switchboard.enable(self.table, scope, reason="r", by="op"))
        self.model.enable(scope)

    @precondition(lambda self: self.model.jobs)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """An operator calls a job off."""
        job_id = data.draw(st.sampled_from(sorted(self.model.jobs)))
        self.model.cancel(job_id)
        state = self._run(self.line.switchboard.cancel(job_id, by="op"))
        assert state is not None
        assert state.value == self.model.jobs[job_id].state

    @invariant()
    def every_job_is_in_one_place(self) -> None:
        """The sets in Redis hold exactly the jobs of the model, each where its state says; the buckets agree too."""
        seen = json.loads(self._run(cast("Any", self._redis.eval(_SNAPSHOT, 0, *TIERS))))
        model = self.model
        for tier in TIERS:
            queued = model.at("queued", tier)
            assert _scores(seen["arq:queue"][tier]) == {job.job_id: job.place[0] for job in queued}
            self._watched(queued, _scores(seen["pointsman:spill"][tier]))
            assert _scores(seen["pointsman:delayed"][tier]) == {
                job.job_id: job.due for job in model.at("delayed", tier)
            }
            leases = {job.job_id: job.lease_ends for job in model.at("leased", tier)}
            assert _scores(seen["pointsman:leases"][tier]) == leases
            waiting = {job.job_id: job.deadline for job in model.at("held") if tier in job.waits}
            assert _scores(seen["pointsman:held"][tier]) == waiting
        assert _scores(seen["held"]["all"]) == {job.job_id: job.place[0] for job in model.at("held")}
        assert {job_id: fields[:2] for job_id, fields in _dict(seen["jobs"]).items()} == {
            job.job_id: [job.state, job.tier] for job in model.jobs.values()
        }

        for scope, found in seen["gates"].items():
            tiers = [tier for tier in TIERS if scope in (tier, tier.partition("/")[0])]
            assert tuple(int(count or 0) for count in found) == model.reserved(tiers)

    def _watched(self, queued: list[ModelJob], moments: dict[str, float]) -> None:
        """Jobs with somewhere else to go are watched; one that had nowhere better gets its time once more."""
        watched = {job.job_id: job for job in queued if job.spill_ms and job.spills}
        assert moments.keys() == watched.keys()
        for job_id, job in watched.items():
            assert moments[job_id] == job.spill_at or moments[job_id] == self.model.now + job.spill_ms
            job.spill_at = moments[job_id]

    @invariant()
    def records_agree(self) -> None:
        """Every call was recorded as started, was recorded as ended once at most, and every end of a job once.

        Each time a held job came back is recorded, with the tier that took it.
        """
        for entry_id, fields in self._run(cast("Any", self._redis.xrange("pointsman:outbox", min=self._cursor))):
            self._cursor = f"({entry_id.decode()}"
            record = json.loads(fields[b"record"])
            assert record["kind"] != "quarantined"
            if record["kind"] == "released":
                self.released.setdefault(record["job_id"], []).append(record["tier"])
            elif "job_id" in record:
                self.written[record["kind"], record["job_id"], record.get("attempt", 0)] += 1
        assert set(self.written.values()) <= {1}
        for job in self.model.jobs.values():
            assert self.written["final", job.job_id, 0] == (job.state in _FINALS)
            for attempt in range(1, job.calls + 1):
                assert self.written["attempt_started", job.job_id, attempt] == 1
                running = job.called and attempt == job.calls
                assert self.written["attempt_finished", job.job_id, attempt] == (not running)
        self.written += Counter()
        assert self.released == {job.job_id: job.released for job in self.model.jobs.values() if job.released}

    @invariant()
    def no_limit_is_passed(self) -> None:
        """Calls in flight, and requests in any window, are within the limits of the tier and of the account."""
        for tier, profile in self.profiles.items():
            running = [job for job in self.model.at("leased") if job.called]
            here = [job for job in running if job.tier == tier]
            there = [job for job in running if job.tier in profile.account_tiers]
            assert len(here) <= profile.limits.get("concurrency", len(here))
            assert len(there) <= profile.account.get("concurrency", len(there))

    def teardown(self) -> None:
        """Sleeping exactly as long as claims say, workers bring every job to its end, and nothing is left over."""
        if not self.profiles:
            return
        for scope in (*TIERS, "alpha"):
            self.enable(scope)
        for _ in range(600):
            claims = [self._claim(tier, 5, "w-1") for tier in TIERS]
            for lease in self._current():
                self._settle(settlement(lease, "finish", state=_ENDINGS.get(lease.reason, JobState.SUCCEEDED)))
            if any(claim.leases or claim.handed for claim in claims):
                continue
            waits = [claim.wait_ms for claim in claims if claim.wait_ms is not None]
            if not waits:
                break
            self.wait(min(waits))
        assert {job.state for job in self.model.jobs.values()} <= _FINALS
        self.every_job_is_in_one_place()
        self.records_agree()
        self._windows()

    def _windows(self) -> None:
        for tier, profile in self.profiles.items():
            for limits, tiers in ((profile.limits, (tier,)), (profile.account, profile.account_tiers)):
                rpm = limits.get("rpm", 0)
                rate, least, capacity = rpm / 60_000, float("inf"), max(1, rpm / 60)
                moments = sorted(moment for moment, name in self.calls.values() if name in tiers) if rate else []
                for before, moment in enumerate(moments):
                    least = min(least, before - rate * moment)
                    assert before + 1 - rate * moment - least <= capacity + 1e-3
                    assert not rpm or before < rpm or moment - moments[before - rpm] >= 60_000

    def _current(self) -> list[Lease]:
        jobs = self.model.jobs
        return [
            lease
            for lease in self.leases
            if jobs[lease.job_id].state == "leased" and jobs[lease.job_id].fence == lease.fence
        ]

    def _digest(self) -> str:
        found = self._run(self.line.everything())
        return hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest()


@st.composite
def _settlements(draw: st.DrawFn, lease: Lease) -> Settlement:
    """Any settlement of a lease."""
    step = draw(st.sampled_from(["finish", "move", "delay", "hold", "release", "finish"]))
    of_step: dict[str, dict[str, Any]] = {
        "move": {"to": draw(_tiers)},
        "delay": {"wait_ms": draw(st.sampled_from([1, 700, 30_000, 9_000_000]))},
        "hold": {"tiers": tuple(draw(st.lists(_tiers, min_size=1, unique=True)))},
        "finish": {"state": draw(st.sampled_from([state for state in JobState if state.final]))},
        "release": {},
    }
    changes = of_step[step]
    if lease.reason is None:
        changes["called"] = draw(st.sampled_from([True, True, False]))
        if changes["called"]:
            used = draw(st.sampled_from([None, (0, 0), (5, 3), (300, 900)]))
            changes |= {"used_in": used[0], "used_out": used[1]} if used else {}
            changes["healthy"] = draw(st.sampled_from([None, True, False, False]))
            changes["throttle_ms"] = draw(st.sampled_from([None, None, None, 0, 2500]))
            closing = draw(st.sampled_from([None, None, None, 5000, -1]))
            if closing is not None:
                changes |= {"close_reason": "exhausted", "close_ms": None if closing < 0 else closing}
    return settlement(lease, step, **changes)


def _scores(pairs: list[list[str]]) -> dict[str, float]:
    return {name: float(score) for name, score in pairs or ()}


def _dict(found: Any) -> dict[str, list[str]]:
    """An empty Lua table is written as a list or as an object."""
    return dict(found or {})
