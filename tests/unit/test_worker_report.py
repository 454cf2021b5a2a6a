"""What an attempt is charged: what the vendor says, the estimate where nobody can say, else nothing."""

from dataclasses import replace

import pytest
from queue_cases import RATE, make_lease
from worker_cases import ANSWER, COST, ESTIMATE_COST, USAGE, make_report

from pointsman_routes import (
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
    Usage,
)
from pointsman_worker.report import Charge, charge_for

_BILLED: list[Outcome] = [
    Ok(answer=ANSWER),
    Empty(),
    Truncated(answer=ANSWER),
    Refused(detail="no"),
    Misrouted(detail="another"),
    Unknown(detail="lost"),
    Transient(detail="cut", may_be_billed=True),
]
_FREE: list[Outcome] = [
    Throttled(detail="slow", retry_after_s=1),
    Overloaded(detail="busy"),
    Transient(detail="refused"),
    Exhausted(detail="empty"),
    Unauthorized(detail="key"),
    Unsupported(detail="long"),
    Invalid(detail="bad"),
]


def _name(outcome: Outcome) -> str:
    return outcome.kind.value


@pytest.mark.parametrize("outcome", [*_BILLED, *_FREE], ids=_name)
def test_what_the_vendor_says_counts(outcome: Outcome) -> None:
    """Usage the vendor reports is charged as it is, whatever the outcome, and corrects the buckets."""
    charge = charge_for(make_lease(), make_report(outcome, usage=USAGE), RATE)
    assert charge == Charge(usage=USAGE, source="vendor", microusd=COST)
    assert charge.used == USAGE


@pytest.mark.parametrize("outcome", _BILLED, ids=_name)
def test_unknown_usage_is_the_estimate(outcome: Outcome) -> None:
    """A call that may be billed and whose usage nobody told is charged by the estimate, which stays in the buckets."""
    charge = charge_for(make_lease(), make_report(outcome), RATE)
    assert charge == Charge(usage=Usage(input_tokens=10, output_tokens=100), source="estimate", microusd=ESTIMATE_COST)
    assert charge.used is None


@pytest.mark.parametrize("outcome", _FREE, ids=_name)
def test_refused_requests_are_free(outcome: Outcome) -> None:
    """A request the vendor refused is not charged, and its tokens go back."""
    charge = charge_for(make_lease(), make_report(outcome), RATE)
    assert charge == Charge(usage=None, source="none", microusd=0)
    assert charge.used == Usage(input_tokens=0, output_tokens=0)


@pytest.mark.parametrize("outcome", [Unsupported(detail="no"), Empty()], ids=_name)
def test_attempt_without_a_call_is_free(outcome: Outcome) -> None:
    """An attempt that ended before the call costs nothing, whatever it is said to have ended with."""
    charge = charge_for(make_lease(), make_report(outcome, called=False), RATE)
    assert (charge.source, charge.microusd) == ("none", 0)


def test_cached_tokens_have_their_price() -> None:
    """What the vendor read from its cache is charged at the price of that."""
    usage = Usage(input_tokens=100, output_tokens=0, cached_input_tokens=40)
    rate = type(RATE)(price=RATE.price.model_copy(update={"cached_input": RATE.price.input / 2}), source="config")
    assert charge_for(make_lease(), make_report(usage=usage), rate).microusd == 60 * 2 + 40 * 1


def test_the_class_it_was_answered_at_is_charged() -> None:
    """Flex was asked for and `default` answered: the vendor bills its standard price."""
    dear = RATE.price.model_copy(update={"input": 10 * RATE.price.input, "output": 10 * RATE.price.output})
    rate = type(RATE)(price=RATE.price, source="list", at_service={"default": dear})
    report = make_report(usage=USAGE)
    answered = replace(report, evidence=replace(report.evidence, service_tier="default"))
    assert charge_for(make_lease(), report, rate).microusd == COST
    assert charge_for(make_lease(), answered, rate).microusd == 10 * COST


@pytest.mark.parametrize("told", [0, 1, 987_654])
@pytest.mark.parametrize("outcome", [*_BILLED, *_FREE], ids=_name)
def test_what_the_vendor_says_it_costs_is_charged(outcome: Outcome, told: int) -> None:
    """Whatever the price and the outcome; the tokens are still the vendor's, or the estimate if it counted none."""
    report = make_report(outcome, usage=USAGE)
    counted = replace(report, evidence=replace(report.evidence, told_microusd=told))
    assert charge_for(make_lease(), counted, RATE) == Charge(usage=USAGE, source="vendor", microusd=told)
    uncounted = replace(counted, evidence=replace(counted.evidence, usage=None))
    charge = charge_for(make_lease(), uncounted, RATE)
    assert (charge.source, charge.microusd, charge.used) == ("estimate", told, None)
