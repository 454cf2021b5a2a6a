"""What Amazon Bedrock's Converse answers: what was said, what was used, and what its errors mean.

Sources: the API reference of Converse and its errors (botocore's `service-2.json`); the Bedrock user guide:
troubleshooting API error codes, prompt caching (usage), quotas of the bedrock-runtime endpoint (tokens per day). None
says when that day ends; UTC midnight is a guess, and a wrong one costs a call a day. Texts of errors that no page lists
are from reports to AWS's own SDKs and others.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Final, Literal

from pointsman_routes import CalledFunction, OutcomeKind, ToolCall, Usage

from .failure import Failure
from .judging import Finish, Spoken
from .payload import count_of, object_of, text_of, write_arguments
from .signal_table import Signal

FINISHES: Final[Mapping[str | None, Finish]] = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP,
    "tool_use": Finish.STOP,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.LENGTH,
    "guardrail_intervened": Finish.REFUSED,
    "content_filtered": Finish.REFUSED,
    "malformed_model_output": Finish.BROKEN,
    "malformed_tool_use": Finish.BROKEN,
}
_OF_TOKENS: Final = "too many tokens"
_OF_REQUESTS: Final = "too many requests"


def spoken_of(payload: Mapping[str, object]) -> Spoken | None:
    """What the model said; None when it has a shape Converse does not use. Reasoning is no part of it."""
    blocks = object_of(object_of(payload.get("output")).get("message")).get("content")
    reason = payload.get("stopReason")
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        return None
    if not isinstance(reason, str):
        return None
    called = [_tool_call(object_of(block["toolUse"])) for block in blocks if "toolUse" in block]
    calls = tuple(call for call in called if call is not None)
    if len(calls) != len(called):
        return None
    return Spoken(
        content="".join(text_of(block.get("text")) or "" for block in blocks),
        finish=FINISHES.get(reason, Finish.BROKEN),
        finish_reason=reason,
        model=invoked_model(payload),
        tool_calls=calls,
        service_tier=text_of(object_of(payload.get("serviceTier")).get("type")),
    )


def invoked_model(payload: Mapping[str, object]) -> str | None:
    """The model a prompt router chose, by its ARN; any other answer names none."""
    router = object_of(object_of(payload.get("trace")).get("promptRouter"))
    return text_of(router.get("invokedModelId"))


def usage_of(payload: Mapping[str, object]) -> Usage | None:
    """Tokens used. `inputTokens` leaves out what was read from the cache and written to it (user guide)."""
    usage = object_of(payload.get("usage"))
    fresh, said = count_of(usage.get("inputTokens")), count_of(usage.get("outputTokens"))
    cached = count_of(usage.get("cacheReadInputTokens") or 0)
    written = count_of(usage.get("cacheWriteInputTokens") or 0)
    if fresh is None or said is None or cached is None or written is None:
        return None
    return Usage(
        input_tokens=fresh + cached + written,
        output_tokens=said,
        cached_input_tokens=cached,
        cache_write_tokens=written,
    )


def error_name(headers: Mapping[str, str], error: Mapping[str, object]) -> str | None:
    """The name of an error: `ThrottlingException`.

    It is in the header `x-amzn-ErrorType`, where a URL may follow after a colon; or in the body's `__type` or `code`,
    after a namespace and `#`. AWS restJson1 protocol, operation error serialization.
    """
    for told in (headers.get("x-amzn-errortype"), error.get("__type"), error.get("code")):
        name = (text_of(told) or "").partition(":")[0].rpartition("#")[2].strip()
        if name:
            return name
    return None


def refused_limit(message: str) -> Literal["requests", "tokens"] | None:
    """Which limit a ThrottlingException speaks of: "Too many tokens, please wait before trying again."."""
    requests, tokens = _OF_REQUESTS in message.lower(), _OF_TOKENS in message.lower()
    if requests is tokens:
        return None
    return "requests" if requests else "tokens"


def _tool_call(block: Mapping[str, object]) -> ToolCall | None:
    call_id, name, given = text_of(block.get("toolUseId")), text_of(block.get("name")), block.get("input")
    if call_id is None or name is None or not isinstance(given, dict):
        return None
    arguments = write_arguments(given)
    if arguments is None:
        return None
    return ToolCall(id=call_id, function=CalledFunction(name=name, arguments=arguments))


def _midnight_s(failure: Failure) -> float:
    now = failure.now.astimezone(UTC)
    return (datetime.combine(now.date() + timedelta(days=1), time(), tzinfo=UTC) - now).total_seconds()


_THROTTLED: Final = frozenset({"throttlingexception", "servicequotaexceededexception"})
_IDENTITY: Final = frozenset(
    {
        "accessdeniedexception", "expiredtoken", "expiredtokenexception", "incompletesignature",
        "incompletesignatureexception", "invalidclienttokenid", "invalidsignatureexception",
        "missingauthenticationtokenexception", "notauthorized", "optinrequired", "requestexpired",
        "signaturedoesnotmatch", "unrecognizedclientexception",
    }
)  # fmt: skip
_NOT_THIS_MODEL: Final = re.compile(
    r"model identifier is invalid|at 'modelid' failed|end of its life|marked by provider as legacy"
    r"|on-demand throughput|(?:doesn|don|isn|aren).t support|does not support|not supported|unsupported"
    r"|input is too long|too long for requested model|maximum tokens you requested exceeds? the model limit"
    r"|malformed input request|model returned the following errors|schema"
)
"""The apostrophe may be a typographic one."""

SIGNALS_ANY_STATUS: Final = (
    Signal(
        says="`ThrottlingException` whose message speaks of a day: until UTC midnight",
        names=_THROTTLED,
        words=re.compile(r"\bper day\b|\bdaily\b"),
        outcome=OutcomeKind.EXHAUSTED,
        reset_s=_midnight_s,
    ),
    Signal(
        says="`ThrottlingException`, `ServiceQuotaExceededException`", names=_THROTTLED, outcome=OutcomeKind.THROTTLED
    ),
    Signal(
        says="`ModelNotReadyException` (429)",
        names=frozenset({"modelnotreadyexception"}),
        outcome=OutcomeKind.OVERLOADED,
    ),
    Signal(
        says="`ModelTimeoutException` (408)",
        names=frozenset({"modeltimeoutexception"}),
        outcome=OutcomeKind.TRANSIENT,
        may_be_billed=True,
    ),
    Signal(
        says="an error of the key or signature, whatever its status: `AccessDeniedException`, `ExpiredTokenException`, "
        "`UnrecognizedClientException`, `InvalidSignatureException` and their like",
        names=_IDENTITY,
        outcome=OutcomeKind.UNAUTHORIZED,
    ),
    Signal(
        says="a message that the account is not cleared: `Operation not allowed`, or use case details not submitted",
        words=re.compile(r"^operation not allowed|use case details have not been submitted"),
        outcome=OutcomeKind.UNAUTHORIZED,
    ),
)
SIGNALS: Final = (
    Signal(says="a message on content filters", words=re.compile(r"content filter"), outcome=OutcomeKind.REFUSED),
    Signal(
        says="`ValidationException` whose message says that this model cannot take it: invalid identifier, too long, "
        "on-demand throughput, `doesn't support`, malformed input request, a schema",
        status=frozenset({400}),
        words=_NOT_THIS_MODEL,
        outcome=OutcomeKind.UNSUPPORTED,
    ),
)
