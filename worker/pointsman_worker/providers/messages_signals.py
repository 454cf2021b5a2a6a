"""What Anthropic, and others who speak its messages, mean by an error.

Sources: platform.claude.com, API errors, rate limits, data residency, API versions; the error codes of Anthropic's SDK
for Python, 2.13; the messages as its users report them.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from pointsman_routes import OutcomeKind

from .failure import Failure
from .payload import object_of, text_of
from .signal_table import Signal

_SPENT: Final = re.compile(r"\b(?:usage|spend|spending) (?:limit|cap)|credit balance is too low|enforced_spend_limit")
_REGAIN: Final = re.compile(r"regain access on (\d{4}-\d{2}-\d{2}) at (\d{2}:\d{2}) utc")
_NOT_HERE: Final = re.compile(r"not (?:available|supported) in your (?:region|country|location)|unsupported countr")
_BARRED: Final = re.compile(r"organization has been disabled|credential is only authorized for")
_PARAMETER: Final = re.compile(
    r"\b(?:temperature|top_p|tool_choice|output_config|thinking|service_tier)\b"
    r"|extra inputs are not permitted|unexpected role|role 'system'"
)
"""A job's parameters are checked before it is sent, so it is not the job that is wrong: newer models know no
temperature, some think always and some never, some do not let a tool be forced."""


def with_code(error: Mapping[str, object]) -> Mapping[str, object]:
    """The error with its `details.error_code`, which names the cause, where others have their `code`."""
    inner = object_of(error.get("error"))
    code = text_of(object_of(inner.get("details")).get("error_code"))
    return {**error, "error": {**inner, "code": code}} if code is not None else error


def _regained_after(failure: Failure) -> float | None:
    """Seconds until access returns, where the message names the moment: "... on 2026-11-01 at 00:00 UTC"."""
    found = _REGAIN.search(failure.message)
    if found is None:
        return None
    try:
        moment = datetime.fromisoformat(f"{found[1]}T{found[2]}").replace(tzinfo=UTC)
    except ValueError:
        return None
    return max(0.0, (moment - failure.now).total_seconds())


def _month_ends_after(failure: Failure) -> float:
    """Seconds until the tier's monthly cap is lifted, at 00:00 UTC on the first of the month."""
    named = _regained_after(failure)
    if named is not None:
        return named
    today = failure.now.astimezone(UTC)
    year, month = divmod(today.year * 12 + today.month, 12)
    return (datetime(year, month + 1, 1, tzinfo=UTC) - today).total_seconds()


_MONEY: Final = frozenset({400, 402, 429})
_BAD_REQUEST: Final = frozenset({400, 422})
MESSAGES_SIGNALS: Final[tuple[Signal, ...]] = (
    Signal(says="`billing_error`", names=frozenset({"billing_error"}), outcome=OutcomeKind.EXHAUSTED),
    Signal(
        says="400, 402, 429 `enforced_spend_limit_reached`: until the moment named, or the first of the month",
        status=_MONEY,
        names=frozenset({"enforced_spend_limit_reached"}),
        outcome=OutcomeKind.EXHAUSTED,
        reset_s=_month_ends_after,
    ),
    Signal(
        says="400, 402, 429 `contract_spend_limit_reached`",
        status=_MONEY,
        names=frozenset({"contract_spend_limit_reached"}),
        outcome=OutcomeKind.EXHAUSTED,
        reset_s=_regained_after,
    ),
    Signal(
        says="400, 402, 429 whose message speaks of a usage or spend limit, or of credit",
        status=_MONEY,
        words=_SPENT,
        outcome=OutcomeKind.EXHAUSTED,
        reset_s=_regained_after,
    ),
    Signal(says="429", status=frozenset({429}), outcome=OutcomeKind.THROTTLED),
    Signal(
        says="400 whose message says that the vendor does not serve this country or region",
        status=frozenset({400}),
        words=_NOT_HERE,
        outcome=OutcomeKind.UNAUTHORIZED,
    ),
    # anthropics/claude-code, issues 8327 and 72457.
    Signal(
        says="400 whose message says that the organization is disabled, or the credential not meant for calls",
        status=frozenset({400}),
        words=_BARRED,
        outcome=OutcomeKind.UNAUTHORIZED,
    ),
    Signal(says="a message on `inference_geo`", words=re.compile("inference_geo"), outcome=OutcomeKind.UNSUPPORTED),
    Signal(says="a message on content filtering", words=re.compile("content filtering"), outcome=OutcomeKind.REFUSED),
    Signal(
        says="`image_dimensions_too_large`",
        names=frozenset({"image_dimensions_too_large"}),
        outcome=OutcomeKind.UNSUPPORTED,
    ),
    Signal(
        says="400, 422 on `temperature`, `top_p`, `tool_choice`, `output_config`, `thinking`, `service_tier`, the role "
        "`system`, or an input that is not permitted",
        status=_BAD_REQUEST,
        words=_PARAMETER,
        outcome=OutcomeKind.UNSUPPORTED,
    ),
)
"""What everybody who speaks messages means by an error."""

COMPATIBLE_SIGNALS: Final[tuple[Signal, ...]] = (
    # Moonshot's type and Z.ai's code, both with 429; DeepSeek and Z.ai say it in words.
    Signal(
        says="`exceeded_current_quota_error`, `insufficient_quota`, `1113`",
        names=frozenset({"exceeded_current_quota_error", "insufficient_quota", "1113"}),
        outcome=OutcomeKind.EXHAUSTED,
    ),
    Signal(
        says='402, 429 "insufficient balance"',
        status=frozenset({402, 429}),
        words=re.compile("insufficient balance"),
        outcome=OutcomeKind.EXHAUSTED,
    ),
    *MESSAGES_SIGNALS,
)
"""Likewise, with what others than Anthropic say in words of their own."""
