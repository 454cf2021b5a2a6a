"""`decide()` on a job its vendor refuses for now, again and again; and where a route goes from each of its tiers."""

import pytest
from route_cases import ROUTE, make_class, make_standing

from pointsman_routes import Decision, Move, Reason, Throttled, Wait, decide
from pointsman_routes.decision import BACKOFF_MOST_S, REFUSALS_IN_A_ROW

FIRST, SECOND, THIRD = ROUTE
_ALONE = frozenset({FIRST})


def _decide(refusals: int, asked: float | None = None, *, alone: bool = True, spill_after: str = "5m") -> Decision:
    standing = make_standing(
        make_class(spill_after=spill_after), refusals=refusals, open_tiers=_ALONE if alone else frozenset(ROUTE)
    )
    return decide(standing, Throttled(detail="", retry_after_s=asked))


def test_aside_after_a_row_of_refusals() -> None:
    """Before the row is full a job waits at the head of its queue; from then on others go first."""
    steps = [_decide(refusals).step for refusals in range(REFUSALS_IN_A_ROW + 2)]
    assert [isinstance(step, Wait) and step.aside for step in steps] == [False] * (REFUSALS_IN_A_ROW - 1) + [True] * 3


def test_pause_grows_to_a_minute() -> None:
    """Aside, each refusal doubles the pause, up to the longest backoff."""
    steps = [_decide(refusals).step for refusals in range(REFUSALS_IN_A_ROW - 1, 9)]
    assert [step.seconds for step in steps if isinstance(step, Wait)] == [8, 16, 32, 60, 60, 60]
    assert _decide(500).step == Wait(seconds=BACKOFF_MOST_S, reason=Reason.THROTTLED, aside=True)


def test_longer_wait_of_the_vendor_is_kept() -> None:
    """The pause is never shorter than the vendor asked, and the bucket is closed for what the vendor asked alone."""
    for asked, seconds in ((100.0, 100.0), (2.0, 8.0)):
        decision = _decide(REFUSALS_IN_A_ROW - 1, asked)
        assert decision.step == Wait(seconds=seconds, reason=Reason.THROTTLED, aside=True)
        assert decision.throttle_s == asked


def test_spills_when_the_pause_is_longer_than_its_class_waits() -> None:
    """A pause beyond `spill_after` moves the job, if another tier is open; up to it the job stays."""
    moved = Decision(step=Move(tier=SECOND, reason=Reason.RATE_LIMITED), throttle_s=0)
    assert _decide(4, alone=False, spill_after="15s") == moved
    assert isinstance(_decide(4, alone=False, spill_after="16s").step, Wait)
    assert isinstance(_decide(4, spill_after="15s").step, Wait)


def test_refusals_are_no_failures() -> None:
    """However many refusals there were, none counts against `max_attempts`, and the breaker hears nothing of them."""
    for refusals in (0, 3, 50):
        decision = _decide(refusals)
        assert (decision.counted, decision.healthy, decision.bar, decision.closing) == (False, None, False, None)


@pytest.mark.parametrize(
    ("here", "expected"),
    [(FIRST, (SECOND, THIRD)), (SECOND, (THIRD, FIRST)), (THIRD, (FIRST, SECOND)), ("delta/gone", ROUTE)],
)
def test_where_a_route_goes_on(here: str, expected: tuple[str, ...]) -> None:
    """From a tier come those after it, then those before it, in their order and never itself."""
    assert make_class().after(here) == expected
