"""Trials: one call a tier, bounded, recorded, and never to a tier that is switched off."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import pytest
from route_cases import ANSWER, make_table

from pointsman_console.route_test_command import trial_facts
from pointsman_console.trial import NO_CLASS, Trial, TrialBench
from pointsman_queue import Gate, Outbox, Switchboard
from pointsman_routes import (
    AttemptFinished,
    AttemptStarted,
    Empty,
    Evidence,
    Job,
    Misrouted,
    Ok,
    Outcome,
    Price,
    Rate,
    Record,
    ServiceUnavailable,
    Transient,
    Truncated,
    Unauthorized,
    Usage,
)
from pointsman_worker import Report

ALPHA, BETA = "alpha/main", "beta/main"
TABLE = make_table()
JOB = Job.model_validate(
    {"custom_id": "t", "class": "t", "messages": [{"role": "user", "content": "x" * 40}], "max_tokens": 16}
)
RATE = Rate(price=Price.model_validate({"input": 2, "output": 8}), source="config")
USED = Evidence(http_status=200, response_model="a-large", usage=Usage(input_tokens=12, output_tokens=5))
NO_USAGE = Evidence(http_status=200, response_model="a-large")
NO_ANSWER = Evidence()


class _Desk:
    """Answers every tier as it is told; counts calls in flight."""

    def __init__(self, outcome: Outcome, evidence: Evidence = USED, *, hangs: bool = False) -> None:
        self.report = Report(outcome=outcome, evidence=evidence)
        self.hangs = hangs
        self.asked: list[tuple[str, int]] = []
        self.called = asyncio.Event()
        self.in_flight = self.peak = 0

    async def ask(self, tier: str, job: Job, max_tokens: int) -> Report:
        assert job == JOB
        self.asked.append((tier, max_tokens))
        self.called.set()
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        await (asyncio.Event().wait() if self.hangs else asyncio.sleep(0))
        self.in_flight -= 1
        return self.report


class _Outbox:
    """Keeps what is appended; refuses from the record of that number on."""

    def __init__(self, refuses_from: int = 1_000) -> None:
        self.records: list[Record] = []
        self._refuses_from = refuses_from

    async def append(self, record: Record) -> int:
        if len(self.records) >= self._refuses_from:
            raise ServiceUnavailable("Redis does not answer; start it")
        self.records.append(record)
        return 1_700_000_000_000_000 + len(self.records)


class _Switchboard:
    def __init__(self, **disabled: str) -> None:
        self._disabled = disabled

    async def gates(self, scopes: list[str]) -> dict[str, Gate]:
        return {
            scope: Gate(
                scope=scope,
                disabled=self._disabled.get(scope.replace("/", "_")),
                disabled_by="the one on call",
                levels={},
                learned={},
            )
            for scope in scopes
        }


def _bench(desk: _Desk, **changes: Any) -> TrialBench:
    values: dict[str, Any] = {"table": TABLE, "desk": desk, "rates": {ALPHA: RATE}, "by": "me@here", "unreachable": {}}
    return TrialBench(**{**values, **changes})


async def _run(bench: TrialBench, *tiers: str, at_once: int = 8) -> list[Trial]:
    ended: list[str] = []
    trials = await bench.run(tiers or (ALPHA,), JOB, at_once=at_once, done=lambda trial: ended.append(trial.tier))
    assert sorted(ended) == sorted(trial.tier for trial in trials)
    return trials


def _facts(trial: Trial) -> Mapping[str, Any]:
    return trial_facts(TABLE, trial)


@pytest.mark.parametrize(
    ("outcome", "evidence", "good", "source", "cost"),
    [
        (Ok(answer=ANSWER), USED, True, "vendor", 12 * 2 + 5 * 8),
        (Truncated(answer=ANSWER), USED, True, "vendor", 64),
        (Empty(), USED, False, "vendor", 64),
        (Misrouted(detail="another"), replace(USED, response_model="b"), False, "vendor", 64),
        (Ok(answer=ANSWER), NO_USAGE, True, "estimate", None),
        (Unauthorized(detail="bad key"), Evidence(http_status=401), False, "none", 0),
        (Transient(detail="no route"), NO_ANSWER, False, "none", 0),
        (Transient(detail="timed out", may_be_billed=True), NO_ANSWER, False, "estimate", None),
    ],
)
async def test_what_came_of_it(outcome: Outcome, evidence: Evidence, good: bool, source: str, cost: int | None) -> None:
    """An answer, cut off or not, is good; a cost nobody told is unknown, and only what was not billed costs nothing."""
    [trial] = await _run(_bench(_Desk(outcome, evidence)))
    shown = _facts(trial)
    assert (shown["answered"], shown["outcome"]) == (good, outcome.kind.value)
    assert (shown["usage_source"], shown["cost_microusd"]) == (source, cost)
    assert shown["input_tokens"] == (12 if source == "vendor" else None)
    assert shown["model_matches"] == (None if evidence.response_model is None else evidence.response_model == "a-large")


async def test_price_unknown() -> None:
    """Where no price is known neither is the cost, though the usage is told."""
    [trial] = await _run(_bench(_Desk(Ok(answer=ANSWER)), rates={}))
    assert (_facts(trial)["cost_microusd"], _facts(trial)["price_source"]) == (None, None)
    assert _facts(trial)["output_tokens"] == 5


async def test_bounded() -> None:
    """No more calls are in flight than allowed, and the trials come back in the order of the tiers."""
    desk = _Desk(Ok(answer=ANSWER))
    trials = await _run(_bench(desk), ALPHA, BETA, ALPHA, BETA, at_once=2)
    assert [trial.tier for trial in trials] == [ALPHA, BETA, ALPHA, BETA]
    assert desk.peak == 2
    assert {tokens for _, tokens in desk.asked} == {16}


async def test_recorded_like_any_call() -> None:
    """Before the call its beginning is recorded, after it its end, under one id and with what the vendor said."""
    desk, outbox = _Desk(Ok(answer=ANSWER), replace(USED, upstream="someone", told_microusd=3)), _Outbox()
    [trial] = await _run(_bench(desk, outbox=cast("Outbox", outbox)))
    started, finished = outbox.records
    assert isinstance(started, AttemptStarted)
    assert isinstance(finished, AttemptFinished)
    assert started.model_dump(exclude={"kind"}).items() <= finished.model_dump().items()
    assert (started.task_class, started.worker, started.model) == (NO_CLASS, "routes test by me@here", "a-large")
    assert started.job_id.startswith("test-")
    assert _facts(trial)["job_id"] == started.job_id
    assert started.owner == TABLE.provider_of(ALPHA).owner
    assert finished.started_at == 1_700_000_000_000_001
    assert finished.duration_us is not None
    assert trial.seconds is not None
    assert finished.duration_us == round(trial.seconds * 1_000_000)
    assert (finished.outcome, finished.http_status, finished.response_model) == ("ok", 200, "a-large")
    assert (finished.upstream, finished.input_tokens, finished.cost_microusd) == ("someone", 12, 3)
    assert (finished.usage_source, finished.counted) == ("vendor", False)


async def test_estimate_in_the_record() -> None:
    """What may be billed and nobody counted stands in its record as an estimate at the most it can be."""
    outbox = _Outbox()
    desk = _Desk(Transient(detail="timed out", may_be_billed=True), NO_ANSWER)
    await _run(_bench(desk, outbox=cast("Outbox", outbox)))
    finished = outbox.records[1]
    assert isinstance(finished, AttemptFinished)
    assert (finished.usage_source, finished.input_tokens, finished.output_tokens) == ("estimate", 11, 16)
    assert finished.cost_microusd == 11 * 2 + 16 * 8


async def test_no_request_took_no_time() -> None:
    """A trial for which no request was sent has no duration in its record: none is unknown, not zero."""
    outbox = _Outbox()
    desk = _Desk(Unauthorized(detail="no key"), NO_ANSWER)
    desk.report = replace(desk.report, called=False)
    await _run(_bench(desk, outbox=cast("Outbox", outbox)))
    finished = outbox.records[1]
    assert isinstance(finished, AttemptFinished)
    assert finished.duration_us is None


async def test_no_call_that_cannot_be_recorded() -> None:
    """Where the beginning cannot be recorded no call is made; where only the end cannot, that is said."""
    desk = _Desk(Ok(answer=ANSWER))
    [trial] = await _run(_bench(desk, outbox=cast("Outbox", _Outbox(refuses_from=0))))
    assert desk.asked == []
    assert (_facts(trial)["outcome"], _facts(trial)["latency_s"], _facts(trial)["cost_microusd"]) == (
        "not called", None, 0,
    )  # fmt: skip
    assert "does not answer" in _facts(trial)["detail"]
    [trial] = await _run(_bench(desk, outbox=cast("Outbox", _Outbox(refuses_from=1))))
    assert (trial.good, trial.job_id) == (True, None)
    assert "its end is not recorded" in _facts(trial)["detail"]


@pytest.mark.parametrize("scope", ["alpha", "alpha_main"])
async def test_switched_off(scope: str) -> None:
    """A tier that is switched off, or whose provider is, is not called, and who did it and why is told."""
    desk = _Desk(Ok(answer=ANSWER))
    off = cast("Switchboard", _Switchboard(**{scope: "incident 7"}))
    first, second = await _run(_bench(desk, switchboard=off), ALPHA, BETA)
    assert [tier for tier, _ in desk.asked] == [BETA]
    assert (first.outcome, second.outcome) == ("not called", "ok")
    assert "disabled by the one on call: incident 7" in (first.detail or "")


async def test_unreachable() -> None:
    """A tier that cannot be called is a row with its problem; the others are called."""
    desk = _Desk(Ok(answer=ANSWER))
    first, second = await _run(_bench(desk, unreachable={ALPHA: "no key"}), ALPHA, BETA)
    assert (first.detail, first.good, second.good) == ("no key", False, True)
    assert [tier for tier, _ in desk.asked] == [BETA]


async def test_interrupted() -> None:
    """A trial that is interrupted is recorded as unknown: it may have been billed."""
    desk, outbox = _Desk(Ok(answer=ANSWER), hangs=True), _Outbox()
    task = asyncio.create_task(_run(_bench(desk, outbox=cast("Outbox", outbox))))
    await desk.called.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    finished = outbox.records[-1]
    assert isinstance(finished, AttemptFinished)
    assert (finished.outcome, finished.usage_source) == ("unknown", "estimate")
