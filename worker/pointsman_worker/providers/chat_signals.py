"""What everybody who speaks chat completions means by an error.

Sources: OpenAI's API reference (error codes, rate limits; the exhausted codes also in its help article 6614457), and
what vLLM, Groq, Mistral and OpenRouter document where they differ.
"""

import re
from datetime import UTC, datetime, time, timedelta
from typing import Final

from pointsman_routes import OutcomeKind

from .failure import Failure
from .signal_table import Signal

_EXHAUSTED: Final = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "billing_hard_limit_reached",
        "billing_not_active",
    }
)
_REFUSED: Final = frozenset(
    {
        "content_filter",
        "content_policy",
        "content_policy_violation",
        "invalid_prompt",
        "responsibleaipolicyviolation",
    }
)
_UNSUPPORTED: Final = frozenset(
    {
        "context_length_exceeded",
        "exceed_context_size_error",
        "model_decommissioned",
        "model_not_found",
        "string_above_max_length",
        "unknown_parameter",
        "unsupported_model",
        "unsupported_parameter",
        "unsupported_value",
    }
)
_PER_DAY: Final = re.compile(r"\b(?:requests|tokens) per day\b|\((?:rpd|tpd)\)")
_UNKNOWN_PARAMETER: Final = re.compile(
    r"unrecognized request argument|unknown parameter|extra (?:inputs|fields) (?:are )?not permitted|\bservice_tier\b"
)
"""OpenAI's and Azure's words, and pydantic's, which many a compatible server is built on."""
_LIMIT_ZERO: Final = re.compile(r"\blimit:? 0(?![\d.])")


def _until_midnight(now: datetime) -> float:
    today = now.astimezone(UTC)
    midnight = datetime.combine(today.date() + timedelta(days=1), time(), tzinfo=UTC)
    return (midnight - today).total_seconds()


def day_ends_after(failure: Failure) -> float:
    """Seconds until a limit per day returns: the vendor's time, or UTC midnight if it names none."""
    wait = failure.retry_after_s
    return wait if wait is not None else _until_midnight(failure.now)


_TOO_MANY: Final = frozenset({429})

CHAT_SIGNALS: Final[tuple[Signal, ...]] = (
    Signal(
        says="`insufficient_quota`, or a code of a spend limit, of no credit or of billing",
        names=_EXHAUSTED,
        outcome=OutcomeKind.EXHAUSTED,
    ),
    Signal(
        says="429 `resource_unavailable`: flex processing without capacity",
        status=_TOO_MANY,
        names=frozenset({"resource_unavailable"}),
        outcome=OutcomeKind.OVERLOADED,
    ),
    Signal(
        says='429 whose message says "resource unavailable"',
        status=_TOO_MANY,
        words=re.compile("resource unavailable"),
        outcome=OutcomeKind.OVERLOADED,
    ),
    # It never passes, however long it waits.
    Signal(
        says='429 "Request too large": larger than the whole limit',
        status=_TOO_MANY,
        words=re.compile(r"\Arequest too large"),
        outcome=OutcomeKind.UNSUPPORTED,
    ),
    Signal(says="429 with a limit of 0", status=_TOO_MANY, words=_LIMIT_ZERO, outcome=OutcomeKind.EXHAUSTED),
    Signal(
        says="429 of a limit per day: until the vendor's time, or UTC midnight if it names none",
        status=_TOO_MANY,
        words=_PER_DAY,
        outcome=OutcomeKind.EXHAUSTED,
        reset_s=day_ends_after,
    ),
    Signal(says="429", status=_TOO_MANY, outcome=OutcomeKind.THROTTLED),
    Signal(says="a code of a content filter or policy", names=_REFUSED, outcome=OutcomeKind.REFUSED),
    Signal(
        says="a code of an unknown model, a context too long, an unsupported parameter",
        names=_UNSUPPORTED,
        outcome=OutcomeKind.UNSUPPORTED,
    ),
    # The parameter, or the tier's service tier, is sound elsewhere.
    Signal(
        says="400, 422 whose message says that a parameter is unknown, or speaks of `service_tier`",
        status=frozenset({400, 422}),
        words=_UNKNOWN_PARAMETER,
        outcome=OutcomeKind.UNSUPPORTED,
    ),
)
"""What everybody who speaks chat completions means by an error."""
