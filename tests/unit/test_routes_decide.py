"""`decide()` by table: every outcome, every policy of a class."""

from dataclasses import dataclass, field
from typing import Any, get_args

import pytest
from route_cases import ANSWER, ONE_OF_EACH, ROUTE, make_class, make_standing

from pointsman_routes import (
    MAX_RECOVERIES,
    Closing,
    Decision,
    Empty,
    Exhausted,
    Fail,
    Hold,
    Invalid,
    Misrouted,
    Move,
    Ok,
    OnEmpty,
    OnExhausted,
    OnRefused,
    OnTruncated,
    Outcome,
    OutcomeKind,
    Overloaded,
    Reason,
    Refused,
    Succeed,
    Throttled,
    Transient,
    Truncated,
    Unauthorized,
    Unknown,
    Unsupported,
    Wait,
    decide,
    relocate,
)

FIRST, SECOND, THIRD = ROUTE
LAST_TRY = {"failures": 5}  # of the six that a class allows


@dataclass(frozen=True)
class Case:
    """One row: where the job stands, how the attempt ended, what follows."""

    name: str
    outcome: Outcome
    expected: Decision
    standing: dict[str, Any] = field(default_factory=dict)
    task_class: dict[str, Any] = field(default_factory=dict)


def _backing_off(seconds: float, reason: Reason) -> Decision:
    return Decision(step=Wait(seconds=seconds, reason=reason), counted=True, healthy=False)


def _moved(tier: str, reason: Reason) -> Decision:
    return Decision(step=Move(tier=tier, reason=reason), counted=True, healthy=False)


def _not_for_it(tier: str, reason: Reason) -> Decision:
    return Decision(step=Move(tier=tier, reason=reason), counted=True, bar=True, healthy=True)


def _shut(tier: str, reason: Reason, seconds: float | None = None, *, bar: bool = False) -> Decision:
    step = Move(tier=tier, reason=reason)
    return Decision(step=step, bar=bar, closing=Closing(reason=reason, seconds=seconds), alert=True)


ALONE = {"open_tiers": frozenset({FIRST})}
NOTHING_OPEN: dict[str, Any] = {"open_tiers": frozenset()}

TABLE = [
    Case("answered", Ok(answer=ANSWER), Decision(step=Succeed(answer=ANSWER), healthy=True)),
    Case(
        "answered on the last try",
        Ok(answer=ANSWER),
        Decision(step=Succeed(answer=ANSWER), healthy=True),
        standing=LAST_TRY,
    ),
    # empty: once more here, then as the class says
    Case(
        "empty, first",
        Empty(),
        Decision(step=Wait(seconds=0, reason=Reason.EMPTY), counted=True, healthy=True),
    ),
    Case("empty, again, move", Empty(), _not_for_it(SECOND, Reason.EMPTY), standing={"failures": 1, "tries_here": 1}),
    Case(
        "empty, again, fail",
        Empty(),
        Decision(step=Fail(code="empty", detail="the model answered with nothing, twice"), counted=True, healthy=True),
        standing={"failures": 1, "tries_here": 1},
        task_class={"on_empty": "fail"},
    ),
    Case(
        "empty, out of attempts",
        Empty(),
        Decision(
            step=Fail(code="empty", detail="every attempt gave an empty answer or failed"), counted=True, healthy=True
        ),
        standing=LAST_TRY,
    ),
    # truncated
    Case(
        "truncated, accept",
        Truncated(answer=ANSWER),
        Decision(step=Succeed(answer=ANSWER, truncated=True), healthy=True),
    ),
    Case(
        "truncated, move",
        Truncated(answer=ANSWER),
        _not_for_it(SECOND, Reason.TRUNCATED),
        task_class={"on_truncated": "move"},
    ),
    Case(
        "truncated, fail",
        Truncated(answer=ANSWER),
        Decision(
            step=Fail(code="truncated", detail="the answer stopped at the token limit"), counted=True, healthy=True
        ),
        task_class={"on_truncated": "fail"},
    ),
    # refused
    Case(
        "refused, fail",
        Refused(detail="no"),
        Decision(step=Fail(code="refused", detail="no"), counted=True, healthy=True),
    ),
    Case("refused, move", Refused(detail="no"), _not_for_it(SECOND, Reason.REFUSED), task_class={"on_refused": "move"}),
    Case(
        "refused everywhere",
        Refused(detail="no"),
        Decision(
            step=Fail(code="refused", detail="no tier on the route can do this job"),
            counted=True,
            bar=True,
            healthy=True,
        ),
        standing={"tier": THIRD, "barred": frozenset({FIRST, SECOND})},
        task_class={"on_refused": "move"},
    ),
    Case(
        "refused, move, out of attempts",
        Refused(detail="no"),
        Decision(step=Fail(code="refused", detail="every attempt failed"), counted=True, healthy=True),
        standing=LAST_TRY,
        task_class={"on_refused": "move"},
    ),
    # throttled: the bucket is closed, the job waits and loses nothing
    Case(
        "throttled",
        Throttled(detail="", retry_after_s=3),
        Decision(step=Wait(seconds=3, reason=Reason.THROTTLED), throttle_s=3),
    ),
    Case(
        "throttled, no time named",
        Throttled(detail="", retry_after_s=None),
        Decision(step=Wait(seconds=0, reason=Reason.THROTTLED), throttle_s=0),
    ),
    Case(
        "throttled beyond spill_after",
        Throttled(detail="", retry_after_s=61),
        Decision(step=Move(tier=SECOND, reason=Reason.RATE_LIMITED), throttle_s=61),
        task_class={"spill_after": "1m"},
    ),
    Case(
        "throttled beyond the deadline",
        Throttled(detail="", retry_after_s=11),
        Decision(step=Move(tier=SECOND, reason=Reason.RATE_LIMITED), throttle_s=11),
        standing={"seconds_left": 10},
    ),
    Case(
        "throttled beyond spill_after, nowhere to go",
        Throttled(detail="", retry_after_s=61),
        Decision(step=Wait(seconds=61, reason=Reason.THROTTLED), throttle_s=61),
        standing=ALONE,
        task_class={"spill_after": "1m", "on_exhausted": "fail"},
    ),
    Case(
        "throttled on the last try",
        Throttled(detail="", retry_after_s=3),
        Decision(step=Wait(seconds=3, reason=Reason.THROTTLED), throttle_s=3),
        standing=LAST_TRY,
    ),
    # overloaded and transient: back off, then move
    Case("overloaded, first", Overloaded(detail="busy"), _backing_off(0.75, Reason.OVERLOADED)),
    Case(
        "overloaded, wait named",
        Overloaded(detail="busy", retry_after_s=20),
        _backing_off(20, Reason.OVERLOADED),
    ),
    Case(
        "overloaded, long wait named",
        Overloaded(detail="busy", retry_after_s=90),
        _moved(SECOND, Reason.OVERLOADED),
    ),
    Case(
        "overloaded, long wait named, alone",
        Overloaded(detail="busy", retry_after_s=90),
        _backing_off(90, Reason.OVERLOADED),
        standing=ALONE,
    ),
    Case(
        "overloaded, again",
        Overloaded(detail="busy"),
        _moved(SECOND, Reason.OVERLOADED),
        standing={"failures": 1, "tries_here": 1},
    ),
    Case("transient, first", Transient(detail="reset"), _backing_off(0.75, Reason.TRANSIENT)),
    Case("transient, least jitter", Transient(detail=""), _backing_off(0.5, Reason.TRANSIENT), standing={"jitter": 0}),
    Case("transient, most jitter", Transient(detail=""), _backing_off(1.0, Reason.TRANSIENT), standing={"jitter": 1}),
    Case(
        "transient, later",
        Transient(detail="reset"),
        _backing_off(6, Reason.TRANSIENT),
        standing={"failures": 3, "tries_here": 0},
    ),
    Case(
        "transient, again",
        Transient(detail="reset"),
        _moved(SECOND, Reason.TRANSIENT),
        standing={"failures": 1, "tries_here": 1},
    ),
    Case(
        "transient, again, alone",
        Transient(detail="reset"),
        _backing_off(1.5, Reason.TRANSIENT),
        standing={"failures": 1, "tries_here": 1, **ALONE},
    ),
    Case(
        "transient, again, alone, on_exhausted fail",
        Transient(detail="reset"),
        _backing_off(1.5, Reason.TRANSIENT),
        standing={"failures": 1, "tries_here": 1, **ALONE},
        task_class={"on_exhausted": "fail"},
    ),
    Case(
        "transient, again, nothing open",
        Transient(detail="reset"),
        Decision(step=Hold(tiers=ROUTE, reason=Reason.TRANSIENT), counted=True, healthy=False),
        standing={"failures": 1, "tries_here": 1, **NOTHING_OPEN},
    ),
    Case(
        "transient, out of attempts",
        Transient(detail="reset"),
        Decision(step=Fail(code="transient", detail="reset"), counted=True, healthy=False),
        standing=LAST_TRY,
    ),
    Case(
        "transient, the only attempt",
        Transient(detail="reset"),
        Decision(step=Fail(code="transient", detail="reset"), counted=True, healthy=False),
        task_class={"max_attempts": 1},
    ),
    # exhausted, unauthorized, misrouted: the tier is closed and a person told
    Case("exhausted", Exhausted(detail="no credit"), _shut(SECOND, Reason.EXHAUSTED)),
    Case(
        "exhausted until midnight",
        Exhausted(detail="quota", reset_after_s=3600),
        _shut(SECOND, Reason.EXHAUSTED, 3600),
    ),
    Case(
        "exhausted, nothing left, hold",
        Exhausted(detail="quota", reset_after_s=60),
        Decision(
            step=Hold(tiers=ROUTE, reason=Reason.EXHAUSTED),
            closing=Closing(reason=Reason.EXHAUSTED, seconds=60),
            alert=True,
        ),
        standing=ALONE,
    ),
    Case(
        "exhausted, nothing left, fail",
        Exhausted(detail="quota"),
        Decision(
            step=Fail(code="no_tier_left", detail="every other tier of the route is closed (exhausted)"),
            closing=Closing(reason=Reason.EXHAUSTED, seconds=None),
            alert=True,
        ),
        standing=ALONE,
        task_class={"on_exhausted": "fail"},
    ),
    Case("unauthorized", Unauthorized(detail="bad key"), _shut(SECOND, Reason.UNAUTHORIZED)),
    Case("misrouted", Misrouted(detail="other"), _shut(SECOND, Reason.MISROUTED, bar=True)),
    Case(
        "misrouted, nothing left, waits for the others only",
        Misrouted(detail="other"),
        Decision(
            step=Hold(tiers=(SECOND, THIRD), reason=Reason.MISROUTED),
            bar=True,
            closing=Closing(reason=Reason.MISROUTED, seconds=None),
            alert=True,
        ),
        standing=ALONE,
    ),
    # unsupported: at once elsewhere, never back
    Case(
        "unsupported",
        Unsupported(detail="too long"),
        Decision(step=Move(tier=SECOND, reason=Reason.UNSUPPORTED), bar=True),
    ),
    Case(
        "unsupported by the last tier: back to the primary",
        Unsupported(detail="too long"),
        Decision(step=Move(tier=FIRST, reason=Reason.UNSUPPORTED), bar=True),
        standing={"tier": THIRD},
    ),
    Case(
        "unsupported everywhere",
        Unsupported(detail="too long"),
        Decision(step=Fail(code="unsupported", detail="too long"), bar=True),
        standing={"barred": frozenset({SECOND, THIRD})},
    ),
    # invalid: no tier would take it
    Case("invalid", Invalid(detail="bad"), Decision(step=Fail(code="invalid", detail="bad"), counted=True)),
    # unknown: the lease was lost
    Case("unknown", Unknown(detail="lost"), Decision(step=Wait(seconds=0, reason=Reason.LEASE_LOST))),
    Case(
        "unknown, poison",
        Unknown(detail="lost"),
        Decision(step=Fail(code="poison", detail="lost"), counted=True),
        standing={"recoveries": MAX_RECOVERIES - 1},
    ),
]


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_decision(case: Case) -> None:
    """The whole decision, not only its step, is what the table says."""
    assert decide(make_standing(make_class(**case.task_class), **case.standing), case.outcome) == case.expected


def test_table_covers_every_outcome() -> None:
    """Every kind of outcome has a row, and every kind is exactly one class of the union."""
    assert {case.outcome.kind for case in TABLE} == set(OutcomeKind)
    assert sorted(kind.kind for kind in get_args(Outcome)) == sorted(OutcomeKind)
    assert [type(outcome) for outcome in ONE_OF_EACH] == list(get_args(Outcome))


@pytest.mark.parametrize(
    ("policy", "values"),
    [
        ("on_empty", set(OnEmpty)),
        ("on_truncated", set(OnTruncated)),
        ("on_refused", set(OnRefused)),
        ("on_exhausted", set(OnExhausted)),
    ],
)
def test_table_covers_every_policy(policy: str, values: set[str]) -> None:
    """Every value of every policy of a class has a row."""
    assert {getattr(make_class(**case.task_class), policy) for case in TABLE} == values


def test_decision_is_repeatable() -> None:
    """The same standing and outcome give the same decision."""
    for case in TABLE:
        standing = make_standing(make_class(**case.task_class), **case.standing)
        assert decide(standing, case.outcome) == decide(standing, case.outcome)


@pytest.mark.parametrize(
    ("here", "open_tiers", "expected"),
    [
        (FIRST, {SECOND, THIRD}, SECOND),
        (FIRST, {THIRD}, THIRD),
        (SECOND, {FIRST, THIRD}, THIRD),
        (THIRD, {FIRST, SECOND}, FIRST),
        (SECOND, {FIRST, SECOND}, FIRST),
        ("delta/gone", {FIRST, THIRD}, FIRST),
    ],
)
def test_relocate_order(here: str, open_tiers: set[str], expected: str) -> None:
    """Later tiers of the route come first, then earlier ones; a tier off the route goes back to its start."""
    step = relocate(make_standing(tier=here, open_tiers=frozenset(open_tiers)), Reason.DISABLED)
    assert step == Move(tier=expected, reason=Reason.DISABLED)


@pytest.mark.parametrize(
    ("served", "expected"),
    [(set(), SECOND), ({THIRD}, THIRD), ({SECOND, THIRD}, SECOND), ({FIRST}, SECOND)],
)
def test_relocate_to_a_living_worker(served: set[str], expected: str) -> None:
    """A tier without a living worker is passed over for one with; where none has any, the order of the route holds."""
    standing = make_standing(open_tiers=frozenset({SECOND, THIRD}), served=frozenset(served))
    assert relocate(standing, Reason.DISABLED) == Move(tier=expected, reason=Reason.DISABLED)


def test_hold_names_every_able_tier() -> None:
    """A held job waits for any tier that could do it, its own one included, and for no barred one."""
    step = relocate(make_standing(open_tiers=frozenset(), barred=frozenset({SECOND})), Reason.BREAKER_OPEN)
    assert step == Hold(tiers=(FIRST, THIRD), reason=Reason.BREAKER_OPEN)
