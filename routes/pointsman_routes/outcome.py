"""How one attempt ended: a closed set.

Vendor signals are mapped to these in one place per provider kind; nothing else in the house looks at a
status code. Match exhaustively, ending in `assert_never`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Literal

from .answer import Answer


class OutcomeKind(StrEnum):
    """The name of an outcome, as records spell it."""

    OK = "ok"
    """An answer with content."""
    EMPTY = "empty"
    """200 with nothing in it."""
    TRUNCATED = "truncated"
    """Stopped at the token limit."""
    REFUSED = "refused"
    """Refusal, content filter, blocked prompt."""
    THROTTLED = "throttled"
    """429 with a wait, per-minute quota."""
    OVERLOADED = "overloaded"
    """503, 529, 502."""
    TRANSIENT = "transient"
    """500, 408, 504, timeout, reset, broken JSON."""
    EXHAUSTED = "exhausted"
    """Spend limit, no credit, per-day quota."""
    UNAUTHORIZED = "unauthorized"
    """401, 403."""
    UNSUPPORTED = "unsupported"
    """Unknown model, context too long, a parameter this tier cannot express."""
    INVALID = "invalid"
    """400, 422: the request itself is wrong."""
    MISROUTED = "misrouted"
    """Answered by a model or region that was not asked for."""
    UNKNOWN = "unknown"
    """The worker died or lost its lease during the call; it may have been billed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ok:
    """An answer with content."""

    kind: ClassVar[OutcomeKind] = OutcomeKind.OK
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Empty:
    """200 with nothing in it, or white space only."""

    kind: ClassVar[OutcomeKind] = OutcomeKind.EMPTY


@dataclass(frozen=True, slots=True, kw_only=True)
class Truncated:
    """Stopped at the token limit; what there is of the answer is kept."""

    kind: ClassVar[OutcomeKind] = OutcomeKind.TRUNCATED
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The vendor or the model declined."""

    kind: ClassVar[OutcomeKind] = OutcomeKind.REFUSED
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttled:
    """Too fast for the vendor; the tier waits, the job loses nothing."""

    kind: ClassVar[OutcomeKind] = OutcomeKind.THROTTLED
    detail: str
    retry_after_s: float | None
    """Seconds the vendor asked to wait; None when it named none."""
    limit: Literal["requests", "tokens"] | None = None
    """Which of the vendor's limits refused, where it says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overloaded:
    """The vendor is out of capacity."""

    kind: ClassVar[OutcomeKind] = OutcomeKind.OVERLOADED
    detail: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transient:
    """The call broke in a way that may pass."""

    kind: ClassVar[OutcomeKind] = OutcomeKind.TRANSIENT
    detail: str
    may_be_billed: bool = False
    """The request reached the vendor and no answer came back: charge the estimate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhausted:
    """The account has no credit or quota left."""

    kind: ClassVar[OutcomeKind] = OutcomeKind.EXHAUSTED
    detail: str
    reset_after_s: float | None = None
    """Seconds until the quota returns; None waits for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unauthorized:
    """The key is not accepted here."""

    kind: ClassVar[OutcomeKind] = OutcomeKind.UNAUTHORIZED
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsupported:
    """This tier cannot do this job; another may."""

    kind: ClassVar[OutcomeKind] = OutcomeKind.UNSUPPORTED
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Invalid:
    """The request itself is wrong; no tier would take it."""

    kind: ClassVar[OutcomeKind] = OutcomeKind.INVALID
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Misrouted:
    """Answered by a model or region that was not asked for; the answer is withheld."""

    kind: ClassVar[OutcomeKind] = OutcomeKind.MISROUTED
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Nobody can say how the call ended; charged at the full estimate."""

    kind: ClassVar[OutcomeKind] = OutcomeKind.UNKNOWN
    detail: str


Outcome = (
    Ok
    | Empty
    | Truncated
    | Refused
    | Throttled
    | Overloaded
    | Transient
    | Exhausted
    | Unauthorized
    | Unsupported
    | Invalid
    | Misrouted
    | Unknown
)
