"""From an outcome to a settlement: the step, the records, the charge, what the tier learns, what the job remembers."""

from dataclasses import replace
from typing import Any

import pytest
from queue_cases import BACKUP, MAIN, SIDE, make_lease
from worker_cases import ANSWER, COST, ESTIMATE_COST, finished_of, make_office, make_report, run, the

from pointsman_queue import Heard, Settlement
from pointsman_routes import (
    Allowance,
    AttemptFinished,
    Empty,
    Exhausted,
    HeldRecord,
    Invalid,
    Misrouted,
    MovedRecord,
    Ok,
    Outcome,
    Overloaded,
    Reason,
    Refused,
    SwitchRecord,
    Throttled,
    Transient,
    Truncated,
    Unauthorized,
    Unknown,
    Unsupported,
)

_OFFICE = make_office()


async def _settle(outcome: Outcome, *, lease: dict[str, Any] | None = None, **rest: Any) -> Settlement:
    return await run(make_lease(**(lease or {})), make_report(outcome, **rest.pop("evidence", {})), **rest)


# Outcome, step, kinds of record, counted, what the breaker is told.
_TABLE: list[tuple[Outcome, str, list[str], bool, bool | None]] = [
    (Ok(answer=ANSWER), "finish", ["attempt_finished", "final"], False, True),
    (Empty(), "release", ["attempt_finished"], True, True),
    (Truncated(answer=ANSWER), "finish", ["attempt_finished", "final"], False, True),
    (Refused(detail="no"), "finish", ["attempt_finished", "final"], True, True),
    (Throttled(detail="slow", retry_after_s=3), "release", ["attempt_finished"], False, None),
    (Overloaded(detail="busy"), "delay", ["attempt_finished"], True, False),
    (Transient(detail="cut"), "delay", ["attempt_finished"], True, False),
    (Exhausted(detail="empty"), "move", ["attempt_finished", "switch", "moved"], False, None),
    (Unauthorized(detail="key"), "move", ["attempt_finished", "switch", "moved"], False, None),
    (Unsupported(detail="long"), "move", ["attempt_finished", "moved"], False, None),
    (Invalid(detail="bad"), "finish", ["attempt_finished", "final"], True, None),
    (Misrouted(detail="other"), "move", ["attempt_finished", "switch", "moved"], False, None),
    (Unknown(detail="lost"), "release", ["attempt_finished"], False, None),
]


@pytest.mark.parametrize(("outcome", "step", "kinds", "counted", "healthy"), _TABLE, ids=lambda value: _id(value))
async def test_each_outcome(outcome: Outcome, step: str, kinds: list[str], counted: bool, healthy: bool | None) -> None:
    """Every outcome of a first attempt has its step, its records and its word to the breaker."""
    settlement = await _settle(outcome)
    assert (settlement.step, settlement.healthy, settlement.called) == (step, healthy, True)
    assert [record.kind.value for record in settlement.records] == kinds
    record = finished_of(settlement)
    assert (record.outcome, record.counted) == (outcome.kind, counted)
    assert ("failures" in settlement.job_fields) is counted


def test_every_outcome_is_in_the_table() -> None:
    """No outcome is left out of the table."""
    assert {type(row[0]) for row in _TABLE} == set(Outcome.__args__)


async def test_attempt_record() -> None:
    """The record of an attempt holds what happened: who asked whom, what came back, what it cost."""
    lease = make_lease(attempt=3, tier=BACKUP, fence="99", batch_id="nightly")
    report = replace(make_report(finish_reason="end_turn"), duration_us=1234)
    settlement = await run(lease, report, office=_OFFICE)
    assert finished_of(settlement) == AttemptFinished(
        job_id="job-1",
        attempt=3,
        hop=1,
        tier=BACKUP,
        provider="beta",
        owner="team@example.com",
        model="b-large",
        region="local",
        worker="w-1",
        fence=99,
        task_class="triage",
        batch_id="nightly",
        policy_digest=_OFFICE.table.policy_digest,
        started_at=lease.started_at,
        duration_us=1234,
        outcome=make_report().outcome.kind,
        http_status=200,
        provider_request_id="r-1",
        response_model="a-large-0613",
        finish_reason="end_turn",
        input_tokens=12,
        cached_input_tokens=0,
        cache_write_tokens=0,
        output_tokens=5,
        usage_source="vendor",
        cost_microusd=COST,
        retry_after_s=None,
        counted=False,
    )


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Throttled(detail="d", retry_after_s=2.5), 2.5),
        (Overloaded(detail="d", retry_after_s=7), 7),
        (Exhausted(detail="d", reset_after_s=60), 60),
        (Transient(detail="d"), None),
    ],
)
async def test_wait_the_vendor_asked_for(outcome: Outcome, expected: float | None) -> None:
    """The record tells how long the vendor asked to wait; None when it named no time."""
    assert finished_of(await _settle(outcome)).retry_after_s == expected


async def test_real_usage_corrects_the_buckets() -> None:
    """The buckets are told what was really used; what nobody knows leaves the estimate, a refusal gives it back."""
    answered = await run(make_lease(), make_report())
    assert (answered.used_in, answered.used_out) == (12, 5)
    lost = await _settle(Unknown(detail="lost"))
    assert (lost.used_in, lost.used_out) == (None, None)
    refused = await _settle(Throttled(detail="slow", retry_after_s=1))
    assert (refused.used_in, refused.used_out) == (0, 0)


async def test_attempt_without_a_call() -> None:
    """An attempt that ended before the call gives everything back, costs nothing and is not counted as a call."""
    report = make_report(Unsupported(detail="a parameter"), called=False)
    settlement = await run(make_lease(skipped=1, cost_microusd=5), report)
    assert (settlement.called, settlement.used_in, settlement.used_out) == (False, None, None)
    assert (settlement.job_fields["skipped"], settlement.job_fields["cost"]) == (2, 5)
    assert (finished_of(settlement).usage_source, finished_of(settlement).duration_us) == ("none", None)


async def test_costs_accumulate() -> None:
    """The job remembers what all its attempts cost, estimates included."""
    answered = await run(make_lease(cost_microusd=1000), make_report())
    assert answered.job_fields["cost"] == 1000 + COST
    lost = await _settle(Unknown(detail="lost"), lease={"cost_microusd": 1000})
    assert lost.job_fields["cost"] == 1000 + ESTIMATE_COST
    assert (finished_of(lost).usage_source, finished_of(lost).cost_microusd) == ("estimate", ESTIMATE_COST)


async def test_failures_accumulate() -> None:
    """A counted failure adds to the job's failures and to those in a row here."""
    settlement = await _settle(Transient(detail="cut"), lease={"failures": 1, "tries_here": 0})
    assert (settlement.job_fields["failures"], settlement.job_fields["tries"]) == (2, 1)


async def test_move() -> None:
    """A job that failed twice at a tier moves on: a new count of tries, one more tier on its path, a record why."""
    settlement = await _settle(
        Overloaded(detail="busy"), lease={"tries_here": 1, "failures": 1, "path": f"{SIDE}:empty"}
    )
    assert (settlement.step, settlement.to) == ("move", BACKUP)
    assert settlement.job_fields["tries"] == 0
    assert settlement.job_fields["failures"] == 2
    assert settlement.job_fields["path"] == f"{SIDE}:empty,{MAIN}:overloaded"
    assert the(MovedRecord, settlement) == MovedRecord(
        job_id="job-1",
        batch_id="batch",
        task_class="triage",
        from_tier=MAIN,
        to_tier=BACKUP,
        reason=Reason.OVERLOADED,
        policy_digest=_OFFICE.table.policy_digest,
    )


async def test_hold() -> None:
    """With no tier open the job is held for those that could take it, and the record names them."""
    settlement = await _settle(Exhausted(detail="empty"), lease={"barred": frozenset({SIDE})}, open_tiers=frozenset())
    assert (settlement.step, settlement.tiers) == ("hold", (MAIN, BACKUP))
    assert settlement.job_fields["path"] == f"{MAIN}:exhausted"
    record = the(HeldRecord, settlement)
    assert record == HeldRecord(
        job_id="job-1",
        batch_id="batch",
        task_class="triage",
        tier=MAIN,
        waits_for=(MAIN, BACKUP),
        reason=Reason.EXHAUSTED,
        policy_digest=_OFFICE.table.policy_digest,
    )


async def test_delay() -> None:
    """A backoff keeps the job out of the queue for its time, at least as long as the vendor asked."""
    assert (await _settle(Transient(detail="cut"))).wait_ms == 750
    settlement = await _settle(Overloaded(detail="busy", retry_after_s=9))
    assert (settlement.step, settlement.wait_ms) == ("delay", 9000)


@pytest.mark.parametrize(("asked", "throttle_ms"), [(2.5, 2500), (None, 0), (0.0, 0)])
async def test_throttled(asked: float | None, throttle_ms: int) -> None:
    """A refusal for speed closes the tier for all, and the job keeps its place; it has lost nothing."""
    settlement = await _settle(Throttled(detail="slow", retry_after_s=asked), lease={"failures": 1, "tries_here": 1})
    assert (settlement.step, settlement.throttle_ms) == ("release", throttle_ms)
    assert settlement.job_fields == {"cost": 0, "skipped": 0, "refused": 1}


async def test_throttled_again_and_again() -> None:
    """A job that is refused for speed time after time steps aside, for longer each time, so that others can go."""
    waits = []
    for refusals in (2, 3, 4, 5):
        settlement = await _settle(Throttled(detail="slow", retry_after_s=None), lease={"refusals": refusals})
        waits.append((settlement.step, settlement.wait_ms, settlement.job_fields["refused"]))
    assert waits == [("release", None, 3), ("delay", 8000, 4), ("delay", 16_000, 5), ("delay", 32_000, 6)]


async def test_answer_ends_the_row_of_refusals() -> None:
    """Anything but a refusal for speed begins the count anew, and so does another tier."""
    assert (await _settle(Empty(), lease={"refusals": 2})).job_fields["refused"] == 0
    assert (await _settle(Unsupported(detail="long"), lease={"refusals": 2})).job_fields["refused"] == 0


async def test_what_the_vendor_says_is_left() -> None:
    """The figures of an answer travel to the queue, and of a refusal which limit it was."""
    allowance = Allowance(name="rpm", limit=600, remaining=7, reset_s=1.5)
    settlement = await _settle(
        Throttled(detail="slow", retry_after_s=1, limit="requests"), evidence={"allowances": (allowance,)}
    )
    assert settlement.heard == (Heard(scope=MAIN, name="rpm", limit=600, left=7, reset_ms=1500),)
    assert settlement.refused == "requests"


async def test_throttled_for_long() -> None:
    """A wait longer than the class waits for one tier moves the job, and closes the tier all the same."""
    settlement = await _settle(Throttled(detail="slow", retry_after_s=3000))
    assert (settlement.step, settlement.to, settlement.throttle_ms) == ("move", BACKUP, 3_000_000)
    assert the(MovedRecord, settlement).reason is Reason.RATE_LIMITED


@pytest.mark.parametrize(
    ("outcome", "reason", "ms"),
    [
        (Exhausted(detail="quota", reset_after_s=90.5), "exhausted", 90_500),
        (Exhausted(detail="credit"), "exhausted", None),
        (Unauthorized(detail="key"), "unauthorized", None),
        (Misrouted(detail="other"), "misrouted", None),
    ],
)
async def test_closing(outcome: Outcome, reason: str, ms: int | None) -> None:
    """A tier that cannot serve is closed, for a time or until an operator acts, and the record says by whom."""
    settlement = await _settle(outcome)
    assert (settlement.close_reason, settlement.close_ms) == (reason, ms)
    assert the(SwitchRecord, settlement) == SwitchRecord(
        scope=MAIN, action="close", reason=reason, by="worker w-1", policy_digest=_OFFICE.table.policy_digest
    )


@pytest.mark.parametrize("outcome", [Unsupported(detail="long"), Misrouted(detail="other")], ids=lambda o: o.kind.value)
async def test_barred(outcome: Outcome) -> None:
    """A tier that cannot do the job is remembered, with those before it."""
    settlement = await _settle(outcome, lease={"barred": frozenset({SIDE})})
    assert settlement.job_fields["barred"] == f"{MAIN},{SIDE}"


async def test_closing_for_good_is_not_for_now() -> None:
    """A closing without an end has none, and one without a reason is no closing."""
    assert (await run(make_lease(), make_report())).close_reason is None


def _id(value: object) -> str | None:
    kind = getattr(value, "kind", None)
    return kind.value if kind is not None else None
