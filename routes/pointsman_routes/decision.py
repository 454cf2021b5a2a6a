"""What happens after an attempt: `decide()`, a pure function of where the job stands and how the attempt ended."""

from dataclasses import dataclass, field
from typing import assert_never

from .answer import Answer
from .outcome import (
    Empty,
    Exhausted,
    Invalid,
    Misrouted,
    Ok,
    Outcome,
    Overloaded,
    Refused,
    Throttled,
    Transient,
    Truncated,
    Unauthorized,
    Unknown,
    Unsupported,
)
from .state import Reason
from .task_class import OnEmpty, OnExhausted, OnRefused, OnTruncated, TaskClass

TRIES_PER_TIER = 2
"""Failures at one tier in a row before the job moves on."""
MAX_RECOVERIES = 3
"""Lost leases before a job counts as poison."""
REFUSALS_IN_A_ROW = 4
"""Refusals for now of one job, after which others go first."""
BACKOFF_FIRST_S = 1.0
BACKOFF_MOST_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a job stands when an attempt has ended."""

    task_class: TaskClass
    tier: str
    """The tier of the attempt."""
    open_tiers: frozenset[str] = frozenset()
    """Tiers whose switch, breaker and account are open at this moment."""
    served: frozenset[str] = frozenset()
    """Tiers where a worker lives, as far as is known."""
    barred: frozenset[str] = frozenset()
    """Tiers that cannot do this job, as earlier attempts have shown."""
    failures: int = 0
    """Counted failures before this attempt."""
    tries_here: int = 0
    """Failures at this tier in a row before this attempt."""
    recoveries: int = 0
    """Lost leases before this one."""
    refusals: int = 0
    """Calls in a row that this tier's vendor refused for now, before this attempt."""
    seconds_left: float = float("inf")
    """Until the deadline."""
    jitter: float = 0.5
    """A random number from 0 to 1; spreads retries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeed:
    """Deliver the answer."""

    answer: Answer
    truncated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fail:
    """End the job without an answer."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Queue the job at another tier."""

    tier: str
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Try again at the same tier after a time."""

    seconds: float
    reason: Reason
    aside: bool = False
    """Whether others may go first meanwhile, though the tier itself is what waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Wait, visibly, for any of these tiers to open."""

    tiers: tuple[str, ...]
    reason: Reason


Step = Succeed | Fail | Move | Wait | Hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """Take no more jobs at the tier."""

    reason: Reason
    seconds: float | None
    """None waits for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do with the job, and what the attempt says of its tier."""

    step: Step
    counted: bool = False
    """Whether the attempt counts against `max_attempts`."""
    bar: bool = False
    """Whether this job may not come back to the tier."""
    healthy: bool | None = None
    """What the breaker is told; None says nothing."""
    closing: Closing | None = None
    throttle_s: float | None = None
    """Seconds the tier's bucket is closed for everyone; 0 when the vendor named no time."""
    alert: bool = field(default=False)
    """Whether a person must act."""


def decide(standing: Standing, outcome: Outcome) -> Decision:  # noqa: C901 -- one branch per outcome, by design
    """Decide what follows an attempt.

    Pure: the same standing and outcome always give the same decision. The table of outcomes is in
    docs/lifecycle.md.
    """
    match outcome:
        case Ok(answer=answer):
            return Decision(step=Succeed(answer=answer), healthy=True)
        case Truncated(answer=answer):
            return _truncated(standing, answer)
        case Empty():
            return _empty(standing)
        case Refused(detail=detail):
            if standing.task_class.on_refused is OnRefused.FAIL:
                return Decision(step=Fail(code="refused", detail=detail), counted=True, healthy=True)
            return _elsewhere(standing, Reason.REFUSED, healthy=True)
        case Throttled(retry_after_s=wait):
            return _throttled(standing, wait)
        case Overloaded(retry_after_s=wait):
            return _failed_call(standing, Reason.OVERLOADED, outcome.detail, at_least=wait or 0)
        case Transient(detail=detail):
            return _failed_call(standing, Reason.TRANSIENT, detail)
        case Exhausted(reset_after_s=reset):
            return _closed(standing, Reason.EXHAUSTED, reset)
        case Unauthorized():
            return _closed(standing, Reason.UNAUTHORIZED, None)
        case Misrouted():
            return _closed(standing, Reason.MISROUTED, None, bar=True)
        case Unsupported(detail=detail):
            return _unsupported(standing, detail)
        case Invalid(detail=detail):
            return Decision(step=Fail(code="invalid", detail=detail), counted=True)
        case Unknown(detail=detail):
            return _unknown(standing, detail)
        case _ as never:
            assert_never(never)


def relocate(standing: Standing, reason: Reason) -> Step:
    """Where a job goes that cannot stay at its tier: the next open tier of its route, else hold or fail.

    Tiers after the current one come first, then those before it: a primary that has recovered takes jobs back. One
    without a living worker is passed over as long as another has one.
    """
    route = standing.task_class.route
    candidates = [tier for tier in standing.task_class.after(standing.tier) if tier not in standing.barred]
    for tiers in (standing.open_tiers & standing.served, standing.open_tiers):
        found = next((tier for tier in candidates if tier in tiers), None)
        if found is not None:
            return Move(tier=found, reason=reason)
    able = tuple(tier for tier in route if tier not in standing.barred)
    if not able:
        return Fail(code=reason.value, detail="no tier on the route can do this job")
    if standing.task_class.on_exhausted is OnExhausted.FAIL:
        return Fail(code="no_tier_left", detail=f"every other tier of the route is closed ({reason.value})")
    return Hold(tiers=able, reason=reason)


def _truncated(standing: Standing, answer: Answer) -> Decision:
    match standing.task_class.on_truncated:
        case OnTruncated.ACCEPT:
            return Decision(step=Succeed(answer=answer, truncated=True), healthy=True)
        case OnTruncated.FAIL:
            step = Fail(code="truncated", detail="the answer stopped at the token limit")
            return Decision(step=step, counted=True, healthy=True)
        case OnTruncated.MOVE:
            return _elsewhere(standing, Reason.TRUNCATED, healthy=True)


def _empty(standing: Standing) -> Decision:
    if _spent(standing):
        return _give_up("empty", "every attempt gave an empty answer or failed", healthy=True)
    if standing.tries_here + 1 < TRIES_PER_TIER:
        return Decision(step=Wait(seconds=0, reason=Reason.EMPTY), counted=True, healthy=True)
    if standing.task_class.on_empty is OnEmpty.FAIL:
        return _give_up("empty", "the model answered with nothing, twice", healthy=True)
    return _elsewhere(standing, Reason.EMPTY, healthy=True)


def _throttled(standing: Standing, wait: float | None) -> Decision:
    asked = wait if wait is not None else 0.0
    stay = Wait(seconds=asked, reason=Reason.THROTTLED)
    if standing.refusals + 1 >= REFUSALS_IN_A_ROW:
        # It may be larger than the vendor ever lets through: it must not keep all others waiting behind it.
        pause = min(BACKOFF_MOST_S, BACKOFF_FIRST_S * 2.0**standing.refusals)
        stay = Wait(seconds=max(asked, pause), reason=Reason.THROTTLED, aside=True)
    step: Step = stay
    if stay.seconds > min(standing.task_class.spill_after.total_seconds(), standing.seconds_left):
        moved = relocate(standing, Reason.RATE_LIMITED)
        step = moved if isinstance(moved, Move) else stay
    return Decision(step=step, throttle_s=asked)


def _failed_call(standing: Standing, reason: Reason, detail: str, at_least: float = 0) -> Decision:
    if _spent(standing):
        return _give_up(reason.value, detail, healthy=False)
    backoff = max(_backoff(standing), at_least)
    wait = Wait(seconds=backoff, reason=reason)
    if standing.tries_here + 1 < TRIES_PER_TIER and at_least <= BACKOFF_MOST_S:
        return Decision(step=wait, counted=True, healthy=False)
    step = relocate(standing, reason)
    if not isinstance(step, Move) and _still_open(standing):
        step = wait
    return Decision(step=step, counted=True, healthy=False)


def _closed(standing: Standing, reason: Reason, seconds: float | None, *, bar: bool = False) -> Decision:
    shut = _without(standing, bar=bar)
    return Decision(step=relocate(shut, reason), bar=bar, closing=Closing(reason=reason, seconds=seconds), alert=True)


def _unsupported(standing: Standing, detail: str) -> Decision:
    step = relocate(_without(standing, bar=True), Reason.UNSUPPORTED)
    if isinstance(step, Fail) and step.code == Reason.UNSUPPORTED:
        step = Fail(code=step.code, detail=detail)
    return Decision(step=step, bar=True)


def _unknown(standing: Standing, detail: str) -> Decision:
    if standing.recoveries + 1 >= MAX_RECOVERIES:
        return Decision(step=Fail(code="poison", detail=detail), counted=True)
    return Decision(step=Wait(seconds=0, reason=Reason.LEASE_LOST), counted=False)


def _elsewhere(standing: Standing, reason: Reason, *, healthy: bool) -> Decision:
    """The tier works, but not for this job."""
    if _spent(standing):
        return _give_up(reason.value, "every attempt failed", healthy=healthy)
    return Decision(step=relocate(_without(standing, bar=True), reason), counted=True, bar=True, healthy=healthy)


def _give_up(code: str, detail: str, *, healthy: bool) -> Decision:
    return Decision(step=Fail(code=code, detail=detail), counted=True, healthy=healthy)


def _still_open(standing: Standing) -> bool:
    """Whether the job may be asked at its own tier again; then no tier being left is not yet true."""
    here = standing.tier
    return here in standing.open_tiers and here in standing.task_class.route and here not in standing.barred


def _spent(standing: Standing) -> bool:
    return standing.failures + 1 >= standing.task_class.max_attempts


def _without(standing: Standing, *, bar: bool) -> Standing:
    """The standing with this tier shut, and barred for the job if asked."""
    return Standing(
        task_class=standing.task_class,
        tier=standing.tier,
        open_tiers=standing.open_tiers - {standing.tier},
        served=standing.served,
        barred=standing.barred | {standing.tier} if bar else standing.barred,
        failures=standing.failures,
        tries_here=standing.tries_here,
        recoveries=standing.recoveries,
        refusals=standing.refusals,
        seconds_left=standing.seconds_left,
        jitter=standing.jitter,
    )


def _backoff(standing: Standing) -> float:
    """Exponential with full jitter over its upper half: 1 s, 2 s, 4 s ... 60 s at most."""
    most = min(BACKOFF_MOST_S, BACKOFF_FIRST_S * 2.0**standing.failures)
    return most * (0.5 + standing.jitter / 2)
