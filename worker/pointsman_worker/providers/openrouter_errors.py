"""OpenRouter's errors: what they say beyond status, code and message, and what each means.

Sources: openrouter.ai/docs (the repository OpenRouterTeam/docs): errors and debugging, limits, guardrails, workspace
budgets. `limit_source` and `reason` also as its users quote them.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from pointsman_routes import OutcomeKind

from .chat_signals import day_ends_after
from .failure import Failure
from .payload import object_of, parse_object, text_of
from .protocol import RawReply
from .retry_after import retry_after_s
from .signal_table import Signal
from .vendor_time import moment_of, seconds_until

_BLOCKED: Final = "blocked"
_RETRYABLE: Final = "retryable"
_LONGEST_S: Final = 999_999_999
_EPOCH_MS: Final = re.compile(r"[0-9]{13}")


def told_plainly(error: Mapping[str, object]) -> dict[str, object]:
    """The error as everybody else writes one: a type, a code, a message.

    OpenRouter's `code` is a status, and the message of an upstream's error says nothing. The type becomes the most
    particular name that the error bears anywhere; what the upstream itself said is added to the message, with its
    name, after `upstream`, or `own key at` where the account has a key of its own there.

    Args:
        error: the error's object, of any shape.
    """
    code = error.get("code", error.get("http_status"))
    return {"type": _name(error), "code": code, "message": _message(error)}


def with_retry_after(raw: RawReply, error: Mapping[str, object], now: datetime) -> RawReply:
    """The reply, with the wait that its body or OpenRouter's own header tells as `retry-after`, if it has none.

    `availability.retry_after` is in seconds, `metadata.resets_at` a moment, `X-RateLimit-Reset` milliseconds
    since 1970, as a header or in `metadata.headers`.

    Args:
        raw: the reply.
        error: the object of its error.
        now: our own clock, for a reply that names no date; aware.
    """
    if retry_after_s(raw.headers, now) is not None:
        return raw
    wait_s = _wait_s(raw, error, now)
    return raw if wait_s is None else replace(raw, headers={**raw.headers, "retry-after": f"{wait_s:.3f}"})


def _name(error: Mapping[str, object]) -> str | None:
    metadata, availability = object_of(error.get("metadata")), object_of(error.get("availability"))
    if metadata.get("reasons") or metadata.get("patterns"):
        return _BLOCKED
    if availability.get("retryable") is True:
        return _RETRYABLE
    names = (
        metadata.get("reason"),
        metadata.get("limit_source"),
        availability.get("code"),
        metadata.get("error_type"),
        error.get("error_type"),
        error.get("type"),
    )
    return next((name for name in map(text_of, names) if name is not None), None)


def _message(error: Mapping[str, object]) -> str:
    metadata = object_of(error.get("metadata"))
    said = [text for text in (text_of(error.get("message")), _upstreams_own(metadata.get("raw"))) if text is not None]
    named = [metadata.get(field) for field in ("provider_name", "provider_code", "provider_error_code")]
    upstream = next((name for name in map(text_of, named) if name is not None), None)
    if upstream is not None:
        said.insert(0, f"{'own key at' if metadata.get('is_byok') is True else 'upstream'} {upstream}")
    return ": ".join(said)


def _upstreams_own(raw: object) -> str | None:
    """The message in an upstream's own error, which is often JSON in a string."""
    text = text_of(raw)
    inner = object_of(raw) if text is None else parse_object(text.encode())
    if not inner:
        return text
    error = inner.get("error")
    return text_of(error) or text_of(object_of(error).get("message")) or text_of(inner.get("message"))


def _wait_s(raw: RawReply, error: Mapping[str, object], now: datetime) -> float | None:
    metadata = object_of(error.get("metadata"))
    asked = object_of(error.get("availability")).get("retry_after")
    if isinstance(asked, int | float) and not isinstance(asked, bool) and 0 <= asked < _LONGEST_S:
        return float(asked)
    stamp = raw.headers.get("x-ratelimit-reset") or object_of(metadata.get("headers")).get("X-RateLimit-Reset")
    moment = moment_of(text_of(metadata.get("resets_at"))) or _moment_of_ms(stamp)
    return seconds_until(moment, raw.headers, now) if moment is not None else None


def _moment_of_ms(stamp: object) -> datetime | None:
    digits = str(stamp) if isinstance(stamp, int | str) else ""
    return datetime.fromtimestamp(int(digits) / 1000, UTC) if _EPOCH_MS.fullmatch(digits) else None


def _when_told(failure: Failure) -> float | None:
    return failure.retry_after_s


_BUDGETS: Final = frozenset({"openrouter_guardrail_budget", "openrouter_workspace_budget", "openrouter_key_limit"})
_OF_THE_REQUEST: Final = frozenset(
    {
        "image_too_large",
        "image_too_small",
        "max_tokens_exceeded",
        "region_restricted",
        "string_too_long",
        "token_limit_exceeded",
        "unsupported_image_format",
        "weight_exceeds_budget",
        "wrong_endpoint",
    }
)
_MONEY: Final = frozenset({402, 403})

OPENROUTER_SIGNALS: Final = (
    # 403 is also a key without permission, which is left to what a status means.
    Signal(
        says="`metadata.reasons` or `metadata.patterns`: moderation or a guardrail blocked the prompt",
        names=frozenset({_BLOCKED}),
        outcome=OutcomeKind.REFUSED,
    ),
    Signal(
        says="`content_policy_violation`, `refusal`",
        names=frozenset({"content_policy_violation", "refusal"}),
        outcome=OutcomeKind.REFUSED,
    ),
    Signal(
        says="403 whose message says that the request was blocked or flagged",
        status=frozenset({403}),
        words=re.compile(r"\brequest blocked\b|\brequires moderation\b|\bwas flagged\b"),
        outcome=OutcomeKind.REFUSED,
    ),
    Signal(
        says="the budget of a key, a guardrail or a workspace: until `metadata.resets_at`",
        names=_BUDGETS,
        outcome=OutcomeKind.EXHAUSTED,
        reset_s=_when_told,
    ),
    Signal(
        says="402, 403 whose message speaks of a key's limit or a budget that is exceeded",
        status=_MONEY,
        words=re.compile(r"\bkey limit exceeded\b|\bbudget\b.{0,80}\bexceeded\b"),
        outcome=OutcomeKind.EXHAUSTED,
        reset_s=_when_told,
    ),
    Signal(
        says="402 `openrouter_in_flight_budget`: the calls in flight might cost more than there is credit",
        status=frozenset({402}),
        names=frozenset({"in_flight_budget_exhausted", "openrouter_in_flight_budget"}),
        outcome=OutcomeKind.THROTTLED,
    ),
    # Smaller jobs still go through (can1357/oh-my-pi, issue 9569).
    Signal(
        says="402 whose message says that the credit lasts for some tokens, but not for as many as the job may take: "
        '"can only afford 3919"',
        status=frozenset({402}),
        words=re.compile(r"\bcan only afford [1-9]"),
        outcome=OutcomeKind.UNSUPPORTED,
    ),
    Signal(
        says="`openrouter_free_tier_daily`: until `X-RateLimit-Reset`, or UTC midnight if it names none",
        names=frozenset({"openrouter_free_tier_daily"}),
        outcome=OutcomeKind.EXHAUSTED,
        reset_s=day_ends_after,
    ),
    Signal(
        says='429 "free-models-per-day": likewise',
        status=frozenset({429}),
        words=re.compile(r"\bfree-models-per-day\b"),
        outcome=OutcomeKind.EXHAUSTED,
        reset_s=day_ends_after,
    ),
    # The limit is not this account's, so going slower would not help, nor would learning from it.
    Signal(
        says="`availability.retryable`: no provider of the model has room at the moment",
        names=frozenset({_RETRYABLE}),
        outcome=OutcomeKind.OVERLOADED,
    ),
    Signal(
        says="429 of the upstream, unless it is for a key of one's own",
        status=frozenset({429}),
        words=re.compile(r"\A(?!own key at ).{0,200}\b(?:upstream|at capacity)\b", re.DOTALL),
        outcome=OutcomeKind.OVERLOADED,
    ),
    # For OpenAI it is a policy; here a message without content, or of an unknown role.
    Signal(says="`invalid_prompt`", names=frozenset({"invalid_prompt"}), outcome=OutcomeKind.INVALID),
    Signal(says="`image_download_failed`", names=frozenset({"image_download_failed"}), outcome=OutcomeKind.TRANSIENT),
    Signal(
        says="an error type that another tier need not have: of length, image, endpoint, region, or a cost above the "
        "whole budget",
        names=_OF_THE_REQUEST,
        outcome=OutcomeKind.UNSUPPORTED,
    ),
    Signal(
        says="400 whose message says that there is no such model, or that its reasoning cannot be turned off",
        status=frozenset({400}),
        words=re.compile(r"\bis not a valid model\b|\breasoning is mandatory\b"),
        outcome=OutcomeKind.UNSUPPORTED,
    ),
)
"""Read before what everybody means by an error, whatever the status.

503 stays overloaded, also when it says that no provider meets the routing requirements: what a preference rules out
for good is 404 `no_endpoints`, `privacy_restricted` or `constraint_filtered`, while 503 comes with a Retry-After. A
job leaves an overloaded tier too, after its attempts; taken for unsupported, one bad moment would send all of them
away at once."""
