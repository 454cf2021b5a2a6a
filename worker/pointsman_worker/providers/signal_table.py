"""What a vendor's errors mean: one table a kind, read from top to bottom, and one for what all have in common.

docs/outcomes.md is these tables in words; a test holds the two together.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, assert_never

from pointsman_routes import (
    Exhausted,
    Invalid,
    Misrouted,
    Outcome,
    OutcomeKind,
    Overloaded,
    Refused,
    Throttled,
    Transient,
    Unauthorized,
    Unsupported,
)

from .failure import Failure

_Refusal = type[Refused] | type[Unauthorized] | type[Unsupported] | type[Invalid] | type[Misrouted]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One kind of error and the outcome it stands for. What is not given does not matter."""

    says: str
    """The signal in words, as the documentation lists it."""
    outcome: OutcomeKind
    status: frozenset[int] | None = None
    names: frozenset[str] = frozenset()
    """One of them is the error's type, code or status; in lower case."""
    words: re.Pattern[str] | None = None
    """Found in the error's message, which is in lower case."""
    when: Callable[[Failure], bool] | None = None
    """What else must hold, where the error says it in neither of these."""
    reset_s: Callable[[Failure], float | None] | None = None
    """Of `exhausted`: seconds until the quota returns; None waits for the operator."""
    may_be_billed: bool = False
    """Of `transient`."""

    def matches(self, failure: Failure) -> bool:
        """Whether it is this one."""
        if self.status is not None and failure.status not in self.status:
            return False
        if self.names and not self.names & failure.names:
            return False
        if self.words is not None and self.words.search(failure.message) is None:
            return False
        return self.when is None or self.when(failure)

    def outcome_of(self, failure: Failure) -> Outcome:  # noqa: C901 -- one branch an outcome
        """The outcome of a failure that it matches.

        Raises:
            ValueError: no error stands for such an outcome.
        """
        detail, wait = failure.detail, failure.retry_after_s
        match self.outcome:
            case OutcomeKind.THROTTLED:
                return Throttled(detail=detail, retry_after_s=wait, limit=failure.limit)
            case OutcomeKind.OVERLOADED:
                return Overloaded(detail=detail, retry_after_s=wait)
            case OutcomeKind.EXHAUSTED:
                return Exhausted(detail=detail, reset_after_s=self.reset_s(failure) if self.reset_s else None)
            case OutcomeKind.TRANSIENT:
                return Transient(detail=detail, may_be_billed=self.may_be_billed)
            case OutcomeKind.REFUSED:
                return Refused(detail=detail)
            case OutcomeKind.UNAUTHORIZED:
                return Unauthorized(detail=detail)
            case OutcomeKind.UNSUPPORTED:
                return Unsupported(detail=detail)
            case OutcomeKind.INVALID:
                return Invalid(detail=detail)
            case OutcomeKind.MISROUTED:
                return Misrouted(detail=detail)
            case OutcomeKind.OK | OutcomeKind.EMPTY | OutcomeKind.TRUNCATED | OutcomeKind.UNKNOWN:
                raise ValueError(f"no error stands for {self.outcome.value}")
            case _:
                assert_never(self.outcome)


def first_match(signals: Iterable[Signal], failure: Failure) -> Outcome | None:
    """The outcome of the first signal that matches; None if none does."""
    return next((signal.outcome_of(failure) for signal in signals if signal.matches(failure)), None)


_NOT_THIS_TIER: Final = re.compile(
    r"context (?:length|window|limit|size)|prompt is too long|too many (?:input )?tokens"
    r"|not supported|unsupported|does not support|cannot both be specified|deprecated for this model"
    r"|max(?:_completion)?_tokens\b.{0,80}(?:too large|too high|at most|maximum allowed|exceed)"
    r"|invalid model|model .{0,80}(?:does not exist|not found)"
)
"""In the message of a 400: the request is sound, this model cannot take it. Taking too much for that moves a
job that fails elsewhere too; taking too little fails a job another tier would have answered."""
_FILTERED: Final = re.compile(r"content filter|content management policy|usage polic|safety system")
_BELOW_500: Final = frozenset(range(400, 500))
_BAD_REQUEST: Final = frozenset({400, 422})

COMMON: Final = (
    Signal(says="401, 403", status=frozenset({401, 403}), outcome=OutcomeKind.UNAUTHORIZED),
    Signal(says="402", status=frozenset({402}), outcome=OutcomeKind.EXHAUSTED),
    # A model or a path this account does not have: the tier is wrong, not the job.
    Signal(says="404, 405, 410, 413", status=frozenset({404, 405, 410, 413}), outcome=OutcomeKind.UNSUPPORTED),
    Signal(says="408, 409, 424, 425", status=frozenset({408, 409, 424, 425}), outcome=OutcomeKind.TRANSIENT),
    Signal(says="429, 498", status=frozenset({429, 498}), outcome=OutcomeKind.THROTTLED),
    Signal(says="502, 503, 529", status=frozenset({502, 503, 529}), outcome=OutcomeKind.OVERLOADED),
    Signal(
        says="400, 422 whose message speaks of a filter or policy",
        status=_BAD_REQUEST,
        words=_FILTERED,
        outcome=OutcomeKind.REFUSED,
    ),
    Signal(
        says="400, 422 whose message says that this model cannot take it: too long, unknown, not supported",
        status=_BAD_REQUEST,
        words=_NOT_THIS_TIER,
        outcome=OutcomeKind.UNSUPPORTED,
    ),
    # A gateway gave up waiting; the model behind it may have gone on, and be billed.
    Signal(says="504, 524", status=frozenset({504, 524}), outcome=OutcomeKind.TRANSIENT, may_be_billed=True),
    Signal(says="any other 4xx", status=_BELOW_500, outcome=OutcomeKind.INVALID),
    # Below 400 it is a redirect, which is not followed, or nonsense.
    Signal(says="any other status", outcome=OutcomeKind.TRANSIENT),
)
"""What a status means when the kind has nothing more precise. Sources: OpenAI's and Anthropic's error references,
RFC 9110, and for 498 and 529 Groq and Anthropic."""
