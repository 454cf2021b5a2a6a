"""What outcomes, reasons and error codes mean, in words for a person who reads one job's story."""

from collections.abc import Mapping
from typing import Final

from pointsman_routes import OutcomeKind, Reason

OUTCOMES: Final[Mapping[OutcomeKind, str]] = {
    OutcomeKind.OK: "an answer with content",
    OutcomeKind.EMPTY: "the vendor said it had answered, and there was nothing in it",
    OutcomeKind.TRUNCATED: "the answer stopped at the token limit",
    OutcomeKind.REFUSED: "the vendor or the model declined",
    OutcomeKind.THROTTLED: "too fast for the vendor: the tier waits, the job keeps its place",
    OutcomeKind.OVERLOADED: "the vendor had no capacity",
    OutcomeKind.TRANSIENT: "the call broke in a way that may pass",
    OutcomeKind.EXHAUSTED: "the account had no credit or quota left; the tier was closed",
    OutcomeKind.UNAUTHORIZED: "the vendor did not accept the key; the tier was closed",
    OutcomeKind.UNSUPPORTED: "this tier cannot do this job",
    OutcomeKind.INVALID: "the request itself is wrong: no tier would take it",
    OutcomeKind.MISROUTED: "answered by a model or region that was not asked for; the answer was withheld",
    OutcomeKind.UNKNOWN: "nobody saw how it ended, and it may have been billed",
}
REASONS: Final[Mapping[Reason, str]] = {
    Reason.RATE_LIMITED: "it had waited, or would have to wait, too long for the tier's limits",
    Reason.UNSERVED: "it had waited too long for a tier without a living worker",
    Reason.OVERLOADED: "the vendor had no capacity",
    Reason.TRANSIENT: "calls to it broke",
    Reason.EXHAUSTED: "its account had no credit or quota left",
    Reason.UNAUTHORIZED: "its vendor did not accept the key",
    Reason.UNSUPPORTED: "it cannot do this job",
    Reason.MISROUTED: "another model or region had answered for it",
    Reason.EMPTY: "its answers were empty",
    Reason.TRUNCATED: "its answer stopped at the token limit",
    Reason.REFUSED: "it declined",
    Reason.THROTTLED: "its vendor had refused for now",
    Reason.LEASE_LOST: "the worker died or froze during the call",
    Reason.BREAKER_OPEN: "it had failed too often of late",
    Reason.DISABLED: "an operator had switched it off",
    Reason.OFF_ROUTE: "the configuration no longer had it on the route",
}
ERRORS: Final[Mapping[str, str]] = {
    "refused": "the vendor or the model declined, and the class does not try another for that",
    "invalid": "the request itself is wrong",
    "empty": "answers were empty",
    "truncated": "the answer stopped at the token limit, and the class does not accept that",
    "overloaded": "the vendor had no capacity, as often as the class allows attempts",
    "transient": "calls broke as often as the class allows attempts",
    "unsupported": "no tier on the route can do this job",
    "misrouted": "no tier on the route was left that answers with the model asked for",
    "no_tier_left": "every other tier of the route was closed, and the class does not wait for that",
    "poison": "its workers died or froze during the call three times",
    "expired": "its deadline passed first",
    "cancelled": "a person called it off",
    "unreadable": "what Redis held under its id is not a job",
    "unknown_class": "the configuration had no class of that name any more",
}
_OFF_THE_ROUTE: Final = 99
"""The hop of a call whose tier was on the route no more."""


def outcome_words(outcome: object) -> str:
    """An outcome and what it means; one of another version as it is."""
    if outcome is None:
        return "how is unknown"
    known = next((words for kind, words in OUTCOMES.items() if kind.value == outcome), None)
    return f"{outcome}: {known}" if known else f"{outcome}"


def reason_words(reason: object) -> str:
    """What a reason says of the tier that was left; one of another version as it is."""
    if reason is None:
        return "for an unknown reason"
    return next((words for kind, words in REASONS.items() if kind.value == reason), f"{reason}")


def error_words(code: object) -> str:
    """An error code and what it means."""
    if code is None:
        return "why is unknown"
    known = ERRORS.get(str(code))
    return f"{code}: {known}" if known else f"{code}"


def hop_words(hop: object) -> str:
    """A position on the route."""
    if not isinstance(hop, int):
        return "its place on the route is unknown"
    if hop >= _OFF_THE_ROUTE:
        return "a tier that is on the route no more"
    return "the primary of the route" if hop == 0 else f"backup {hop} of the route"
