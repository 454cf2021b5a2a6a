"""A call the vendor refused: its error, read from a body in any of the shapes in use."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

from pointsman_routes import Allowance, Outcome, Transient

from .payload import object_of, text_of
from .redaction import Redactor
from .retry_after import retry_after_s, told_wait_s
from .vendor_time import vendor_now

_STATUS_OF_NAME: Final[Mapping[str, int]] = {
    "api_error": 500,
    "authentication_error": 401,
    "billing_error": 402,
    "content_filter": 400,
    "context_length_exceeded": 400,
    "insufficient_quota": 429,
    "internal_server_error": 500,
    "invalid_api_key": 401,
    "invalid_request_error": 400,
    "model_not_found": 404,
    "not_found_error": 404,
    "overloaded_error": 529,
    "permission_error": 403,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "request_too_large": 413,
    "server_error": 500,
    "timeout_error": 504,
}
"""For an error inside a 200: the status its type or code is sent with elsewhere."""

_OF_REQUESTS: Final = re.compile(
    r"\brequests per min|\bfor requests\b|\(rpm\)|\bnumber of requests?\b(?! tokens)"
    r"|\brequests? rate limit\b|\bcall rate limit\b|_requests(?:_per_min|\b)"
)
_OF_TOKENS: Final = re.compile(
    r"\btokens per min|\bfor tokens\b|\([io]?tpm\)|\b(?:input|output|request) tokens\b|\btokens? rate limit\b"
    r"|_token_count\b|_tokens_per_min"
)
"""OpenAI's and Groq's "on tokens per min (TPM)", Anthropic's "number of request tokens has exceeded", Azure's "call
rate limit" for requests, Mistral's "requests rate limit", and the names of Google's quota metrics:
`generate_content_free_tier_requests`, `generate_content_paid_tier_input_token_count`."""
_MOST_DETAILS: Final = 16
"""Google sends at most a handful."""
_MOST_NAMES: Final = 4
_ECHO: Final = re.compile(r"""['"]input['"]: |\binput_value=""")
"""Where a message of pydantic's begins to quote what it was given: FastAPI and many a server built on it write their
errors so, vLLM among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A refused call, as the rules see it."""

    status: int
    """The HTTP status; for an error inside a 200 the one it is usually sent with."""
    names: frozenset[str]
    """The error's type, code and status, and the reasons in its details, in lower case."""
    message: str
    """The vendor's message in lower case, without what it quotes of the job: to look into, never to show."""
    detail: str
    """Status, type, code and message, fit for a record."""
    retry_after_s: float | None
    """What the vendor asks to wait: its headers, else the error itself."""
    limit: Literal["requests", "tokens"] | None
    """See `refused_limit`."""
    now: datetime
    """By the vendor's clock where the reply tells it."""
    details: tuple[Mapping[str, object], ...] = ()
    """Google's `error.details`: objects of `google.rpc`, each naming its kind in `@type`."""
    is_page: bool = False
    """Whether it has no error in JSON: a page of a proxy or firewall, or nothing at all."""


def read_failure(
    status: int,
    headers: Mapping[str, str],
    payload: Mapping[str, object],
    redactor: Redactor,
    now: datetime,
    allowances: tuple[Allowance, ...] = (),
) -> Failure:
    """Read an error from a body in any of the shapes in use.

    `{"error": {"type", "code", "message"}}`, Google's `{"error": {"code", "status", "message", "details"}}`,
    `{"error": "text"}`, and the same fields at the top. With 401 and 403 the message is left out of the detail,
    since that is where vendors echo the key.

    Args:
        status: the HTTP status; 2xx means the error came inside a success.
        headers: names in lower case.
        payload: the body, or an empty object when it holds none.
        redactor: of the account.
        now: our own clock; aware.
        allowances: what the reply's headers say is left of the vendor's limits.
    """
    inner = payload.get("error")
    error = {"message": inner} if isinstance(inner, str) else (object_of(inner) or payload)
    details = _details(error)
    said = [_name(error.get(field)) for field in ("type", "code", "status")]
    said += [text_of(detail.get("reason")) or "" for detail in details]
    names = frozenset(name.lower() for name in said if name)
    message = _without_echo(text_of(error.get("message")) or text_of(error.get("detail")) or "")
    effective = status if not 200 <= status < 300 else _status_inside(names)
    shown = list(dict.fromkeys(name for name in said if name not in ("", str(status))))
    detail = " ".join([f"HTTP {status}", *(redactor.clean(name, 64) for name in shown[:_MOST_NAMES])])
    if message and effective not in (401, 403):
        detail = f"{detail}: {redactor.clean(message, 300)}"
    asked_s = retry_after_s(headers, now)
    lowered = message.lower()
    return Failure(
        status=effective,
        names=names,
        message=lowered,
        detail=detail,
        retry_after_s=asked_s if asked_s is not None else told_wait_s(error, lowered),
        limit=refused_limit(names, f"{lowered} {_quota_metrics(details)}", allowances),
        now=vendor_now(headers, now),
        details=details,
        is_page=not any(payload.values()),
    )


def quota_violations(details: tuple[Mapping[str, object], ...]) -> tuple[Mapping[str, object], ...]:
    """The quotas a call went beyond, of the `google.rpc.QuotaFailure` among an error's details."""
    listed = (
        detail.get("violations")
        for detail in details
        if (text_of(detail.get("@type")) or "").endswith("google.rpc.QuotaFailure")
    )
    return tuple(
        object_of(violation) for some in listed if isinstance(some, list) for violation in some[:_MOST_DETAILS]
    )


def refused_limit(
    names: frozenset[str], message: str, allowances: tuple[Allowance, ...]
) -> Literal["requests", "tokens"] | None:
    """Which of the vendor's limits refused a call: the one its headers show spent, else the one it names.

    A call may be refused while the headers show something left of both: a request of many tokens is refused when
    few are left. None when it is both, or cannot be told.

    Args:
        names: see `Failure.names`; OpenAI's type is `requests` or `tokens` itself.
        message: in lower case, with Google's names of the quotas.
        allowances: of the same reply.
    """
    spent = {"requests" if left.name in ("rpm", "rpd") else "tokens" for left in allowances if left.remaining == 0}
    requests, tokens = "requests" in spent, "tokens" in spent
    if requests is tokens:
        requests = "requests" in names or _OF_REQUESTS.search(message) is not None
        tokens = "tokens" in names or _OF_TOKENS.search(message) is not None
    if requests is tokens:
        return None
    return "requests" if requests else "tokens"


def inside_success(outcome: Outcome) -> Outcome:
    """The outcome of an error that came inside a 200: generation had started, so it may have been billed."""
    return replace(outcome, may_be_billed=True) if isinstance(outcome, Transient) else outcome


def _without_echo(message: str) -> str:
    """The message up to where it quotes the job: a prompt belongs in no record, and its words are not the vendor's."""
    read = message[:2000]
    quoted = _ECHO.search(read)
    return read[: quoted.start()] if quoted is not None else read


def _details(error: Mapping[str, object]) -> tuple[Mapping[str, object], ...]:
    listed = error.get("details")
    return tuple(map(object_of, listed[:_MOST_DETAILS])) if isinstance(listed, list) else ()


def _quota_metrics(details: tuple[Mapping[str, object], ...]) -> str:
    return " ".join((text_of(quota.get("quotaMetric")) or "").lower() for quota in quota_violations(details))


def _name(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if 0 <= value < 1_000_000 else ""
    return text_of(value) or ""


def _status_inside(names: frozenset[str]) -> int:
    for name in sorted(names):
        if name.isascii() and name.isdecimal() and 400 <= int(name[:6]) < 600:
            return int(name[:6])
    return max((_STATUS_OF_NAME[name] for name in names if name in _STATUS_OF_NAME), default=500)
