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
    r"context[ _](?:length|window|limit|size)|prompt is too long|prompt length|too many (?:input )?tokens"
    r"|not supported|unsupported|only supported|does not support|not enabled for|cannot both be specified"
    r"|deprecated for this model|must define tools|payload size exceeds"
    r"|roles? must alternate|roles are supported|deserialize|unmarshal|must be a string|should be a valid string"
    r"|invalid model|model .{0,80}not (?:exist|found)|unable to access model"
)
"""In the message of a 400: the request is sound, this model cannot take it. Taking too much for that moves a
job that fails elsewhere too; taking too little fails a job another tier would have answered."""
_PARAMETER: Final = re.compile(
    r"max_?\w*tokens|\btemperature\b|\btop_?p\b|tool_choice|response_format|reasoning_effort|stop_?sequences?"
    r"|'(?:stop|seed|tools)'|schema"
)
"""A job's parameters are checked when it is accepted: what a vendor has against one is a bound of its own."""
_IMAGE: Final = re.compile(
    r"robots\.txt|unable to download|while downloading|retrieve media|only https urls|image exceeds"
    r"|image dimensions exceed|too much media|too many images|at most \d+ image|not a multimodal model"
)
"""Others fetch what this vendor's robot may not, and have limits of their own. An image that is broken, or not of the
type it claims to be, is not among these: nobody can read it."""
_FILTERED: Final = re.compile(r"content filter|content management policy|usage polic|safety system")
_WRONG_KEY: Final = re.compile(r"\A(?:incorrect|invalid) api key\b|\Aapi key not valid")
_BAD_REQUEST: Final = frozenset({400, 422})
_OF_THE_TIER: Final = frozenset({404, 405, 406, 410, 411, 413, 414, 415, 431, 451})


def _is_page(failure: Failure) -> bool:
    return failure.is_page


def _is_about_an_image(failure: Failure) -> bool:
    return "invalid_image_url" in failure.names or _IMAGE.search(failure.message) is not None


COMMON: Final = (
    # A firewall that dislikes a prompt, or all of us for a while: no reason to wait for an operator.
    Signal(
        says="403 without an error in JSON: a page of a firewall or proxy, not the vendor's word on the key",
        status=frozenset({403}),
        when=_is_page,
        outcome=OutcomeKind.TRANSIENT,
    ),
    Signal(says="401, 403", status=frozenset({401, 403}), outcome=OutcomeKind.UNAUTHORIZED),
    Signal(says="402", status=frozenset({402}), outcome=OutcomeKind.EXHAUSTED),
    # A model or a path this account does not have, or a size or place somebody on the way has something against.
    Signal(
        says="404, 405, 406, 410, 411, 413, 414, 415, 431, 451", status=_OF_THE_TIER, outcome=OutcomeKind.UNSUPPORTED
    ),
    Signal(says="408, 409, 424, 425", status=frozenset({408, 409, 424, 425}), outcome=OutcomeKind.TRANSIENT),
    Signal(says="429, 498", status=frozenset({429, 498}), outcome=OutcomeKind.THROTTLED),
    Signal(says="502, 503, 529", status=frozenset({502, 503, 529}), outcome=OutcomeKind.OVERLOADED),
    Signal(
        says="400, 422 whose message speaks of a filter or policy",
        status=_BAD_REQUEST,
        words=_FILTERED,
        outcome=OutcomeKind.REFUSED,
    ),
    # xAI and Google say it so.
    Signal(
        says='400, 422 whose message begins with "Incorrect API key", "Invalid API key" or "API key not valid"',
        status=_BAD_REQUEST,
        words=_WRONG_KEY,
        outcome=OutcomeKind.UNAUTHORIZED,
    ),
    Signal(
        says="400, 422 whose message says that this model cannot take it: too long, unknown, not supported, "
        "turns in another order",
        status=_BAD_REQUEST,
        words=_NOT_THIS_TIER,
        outcome=OutcomeKind.UNSUPPORTED,
    ),
    Signal(
        says="400, 422 on an image the vendor cannot fetch, or larger or more than it takes (also the code "
        "`invalid_image_url`)",
        status=_BAD_REQUEST,
        when=_is_about_an_image,
        outcome=OutcomeKind.UNSUPPORTED,
    ),
    Signal(
        says="400, 422 whose message is about a parameter of the job: a limit of tokens, `temperature`, `top_p`, "
        "`seed`, `stop`, `tools`, `tool_choice`, `response_format`, `reasoning_effort`, or a schema",
        status=_BAD_REQUEST,
        words=_PARAMETER,
        outcome=OutcomeKind.UNSUPPORTED,
    ),
    Signal(
        says="400, 422 without an error in JSON: not the vendor's word on the job",
        status=_BAD_REQUEST,
        when=_is_page,
        outcome=OutcomeKind.UNSUPPORTED,
    ),
    Signal(says="400, 422", status=_BAD_REQUEST, outcome=OutcomeKind.INVALID),
    # Somebody gave up waiting; the model may have gone on, and be billed.
    Signal(says="499, 504, 524", status=frozenset({499, 504, 524}), outcome=OutcomeKind.TRANSIENT, may_be_billed=True),
    # Others below 500 are a proxy's, such as 407; below 400 it is a redirect, which is not followed, or nonsense.
    Signal(says="any other status", outcome=OutcomeKind.TRANSIENT),
)
"""What a status means when the kind has nothing more precise. Sources: OpenAI's and Anthropic's error references,
RFC 9110, and for 498 and 529 Groq and Anthropic."""
