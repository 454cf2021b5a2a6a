"""What holds for every decision, whatever the standing and the outcome."""

from hypothesis import given
from hypothesis import strategies as st
from route_cases import ONE_OF_EACH, ROUTE, make_class

from pointsman_routes import (
    MAX_RECOVERIES,
    Decision,
    Fail,
    Hold,
    Move,
    OnExhausted,
    Outcome,
    OutcomeKind,
    Overloaded,
    Standing,
    Succeed,
    Throttled,
    Wait,
    decide,
)

_TIERS = (*ROUTE, "delta/gone")
_SECONDS = st.floats(min_value=0, max_value=1e6)


@st.composite
def standings(draw: st.DrawFn) -> Standing:
    """Any place a job may stand in, also on a route of one and at a tier no longer on it."""
    route = draw(st.lists(st.sampled_from(ROUTE), min_size=1, unique=True))
    most = draw(st.integers(1, 8))
    task_class = make_class(
        route=route,
        max_attempts=most,
        spill_after=draw(st.sampled_from(["0", "10s", "5m"])),
        on_empty=draw(st.sampled_from(["move", "fail"])),
        on_truncated=draw(st.sampled_from(["accept", "move", "fail"])),
        on_refused=draw(st.sampled_from(["move", "fail"])),
        on_exhausted=draw(st.sampled_from(["hold", "fail"])),
    )
    return Standing(
        task_class=task_class,
        tier=draw(st.sampled_from(_TIERS)),
        open_tiers=draw(st.frozensets(st.sampled_from(_TIERS))),
        barred=draw(st.frozensets(st.sampled_from(_TIERS))),
        failures=draw(st.integers(0, most)),
        tries_here=draw(st.integers(0, 3)),
        recoveries=draw(st.integers(0, MAX_RECOVERIES)),
        seconds_left=draw(_SECONDS),
        jitter=draw(st.floats(0, 1)),
    )


outcomes: st.SearchStrategy[Outcome] = st.one_of(
    st.sampled_from(ONE_OF_EACH),
    st.builds(Throttled, detail=st.just(""), retry_after_s=st.none() | _SECONDS),
    st.builds(Overloaded, detail=st.just(""), retry_after_s=st.none() | _SECONDS),
)


def _elsewhere(standing: Standing) -> set[str]:
    """Tiers the job could move to."""
    return set(standing.task_class.route) & standing.open_tiers - standing.barred - {standing.tier}


@given(standings(), outcomes)
def test_moves_are_allowed(standing: Standing, outcome: Outcome) -> None:
    """A job moves only to another tier of its route that is open and not barred for it."""
    step = decide(standing, outcome).step
    if isinstance(step, Move):
        assert step.tier in _elsewhere(standing)


@given(standings(), outcomes)
def test_failures_are_bounded(standing: Standing, outcome: Outcome) -> None:
    """The failure that reaches `max_attempts` ends the job."""
    decision = decide(standing, outcome)
    if decision.counted and standing.failures + 1 >= standing.task_class.max_attempts:
        assert isinstance(decision.step, Fail)


@given(standings(), outcomes)
def test_waiting_for_capacity_is_not_a_failure(standing: Standing, outcome: Outcome) -> None:
    """A throttled call, a closed account, a tier that cannot, a lost lease: the job's attempts are not used up."""
    free = {
        OutcomeKind.OK,
        OutcomeKind.THROTTLED,
        OutcomeKind.EXHAUSTED,
        OutcomeKind.UNAUTHORIZED,
        OutcomeKind.UNSUPPORTED,
        OutcomeKind.MISROUTED,
    }
    if outcome.kind in free:
        assert not decide(standing, outcome).counted


@given(standings(), outcomes)
def test_throttled_never_ends_a_job(standing: Standing, outcome: Outcome) -> None:
    """A throttled job waits or moves, and the bucket is closed for exactly the vendor's time."""
    if isinstance(outcome, Throttled):
        decision = decide(standing, outcome)
        assert isinstance(decision.step, Wait | Move)
        assert decision.throttle_s == (outcome.retry_after_s or 0)
        if isinstance(decision.step, Wait):
            assert decision.step.seconds == decision.throttle_s


@given(standings(), outcomes)
def test_only_answers_succeed(standing: Standing, outcome: Outcome) -> None:
    """A job succeeds on an answer, whole or accepted as truncated, and on nothing else."""
    step = decide(standing, outcome).step
    assert isinstance(step, Succeed) <= (outcome.kind in (OutcomeKind.OK, OutcomeKind.TRUNCATED))
    assert (outcome.kind is OutcomeKind.OK) <= isinstance(step, Succeed)


@given(standings(), outcomes)
def test_invalid_always_fails(standing: Standing, outcome: Outcome) -> None:
    """A request that is wrong in itself is never sent to another vendor."""
    if outcome.kind is OutcomeKind.INVALID:
        assert isinstance(decide(standing, outcome).step, Fail)


@given(standings(), outcomes)
def test_hold_only_when_nothing_is_left(standing: Standing, outcome: Outcome) -> None:
    """A job is held only if its class says so and no other tier is open; it waits for tiers that could do it."""
    decision = decide(standing, outcome)
    if isinstance(decision.step, Hold):
        assert not _elsewhere(standing)
        assert standing.task_class.on_exhausted is OnExhausted.HOLD
        assert decision.step.tiers
        assert set(decision.step.tiers) <= set(standing.task_class.route) - standing.barred
        assert not (decision.bar and standing.tier in decision.step.tiers)


@given(standings(), outcomes)
def test_no_tier_left_is_true(standing: Standing, outcome: Outcome) -> None:
    """A job fails for want of a tier only when none is open and its class does not hold."""
    decision = decide(standing, outcome)
    if isinstance(decision.step, Fail) and decision.step.code == "no_tier_left":
        assert not _elsewhere(standing)
        assert standing.task_class.on_exhausted is OnExhausted.FAIL
        usable = standing.tier in standing.open_tiers & set(standing.task_class.route) - standing.barred
        assert decision.closing or decision.bar or not usable


def _reason_to_fail(standing: Standing, outcome: Outcome, decision: Decision) -> bool:
    task_class = standing.task_class
    by_policy = {
        OutcomeKind.INVALID: True,
        OutcomeKind.REFUSED: task_class.on_refused == "fail",
        OutcomeKind.TRUNCATED: task_class.on_truncated == "fail",
        OutcomeKind.EMPTY: task_class.on_empty == "fail",
        OutcomeKind.UNKNOWN: standing.recoveries + 1 >= MAX_RECOVERIES,
    }
    spent = decision.counted and standing.failures + 1 >= task_class.max_attempts
    return by_policy.get(outcome.kind, False) or spent or not _elsewhere(standing)


@given(standings(), outcomes)
def test_failing_has_a_reason(standing: Standing, outcome: Outcome) -> None:
    """A job fails only by its class's policy, by its last attempt, as poison, or because no other tier is open."""
    decision = decide(standing, outcome)
    if isinstance(decision.step, Fail):
        assert _reason_to_fail(standing, outcome, decision)
        assert decision.step.code


@given(standings(), outcomes)
def test_closing_calls_a_person(standing: Standing, outcome: Outcome) -> None:
    """Whatever closes a tier is an alert, never a wait at that tier."""
    decision = decide(standing, outcome)
    closes = outcome.kind in (OutcomeKind.EXHAUSTED, OutcomeKind.UNAUTHORIZED, OutcomeKind.MISROUTED)
    assert (decision.closing is not None) == decision.alert == closes
    if closes:
        assert not isinstance(decision.step, Wait)


@given(standings(), outcomes)
def test_breaker_hears_of_the_tier_only(standing: Standing, outcome: Outcome) -> None:
    """The breaker counts calls the vendor broke, is reset by answers of any kind, and hears nothing else."""
    healthy = decide(standing, outcome).healthy
    broke = outcome.kind in (OutcomeKind.OVERLOADED, OutcomeKind.TRANSIENT)
    answered = outcome.kind in (OutcomeKind.OK, OutcomeKind.EMPTY, OutcomeKind.TRUNCATED, OutcomeKind.REFUSED)
    assert healthy == (False if broke else True if answered else None)


@given(standings(), outcomes)
def test_waits_are_finite(standing: Standing, outcome: Outcome) -> None:
    """A wait is never negative, and longer than a minute only at the vendor's own wish."""
    step = decide(standing, outcome).step
    if isinstance(step, Wait):
        asked = outcome.retry_after_s if isinstance(outcome, Throttled | Overloaded) else None
        assert 0 <= step.seconds <= max(60.0, asked or 0.0)
