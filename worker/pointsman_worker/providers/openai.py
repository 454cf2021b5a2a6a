"""Chat completions: OpenAI's own, and everybody's who speaks it.

Sources: OpenAI's API reference (chat completions, error codes, rate limits; the exhausted codes also in its
help article 6614457), and what vLLM, Groq, Mistral and OpenRouter document where they differ.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import ClassVar, Final

from pointsman_routes import (
    Exhausted,
    Job,
    Message,
    Outcome,
    Overloaded,
    Refused,
    Throttled,
    Unsupported,
    Usage,
)

from .failure import Failure
from .json_codec import JsonCodec
from .judging import Finish, Spoken
from .payload import count_of, object_of, text_of
from .protocol import Ask, WireRequest

_FINISHES: Final[Mapping[str | None, Finish]] = {
    "stop": Finish.STOP,
    "eos": Finish.STOP,
    "eos_token": Finish.STOP,
    "stop_sequence": Finish.STOP,
    "tool_calls": Finish.STOP,
    "function_call": Finish.STOP,
    None: Finish.STOP,
    "length": Finish.LENGTH,
    "max_tokens": Finish.LENGTH,
    "model_length": Finish.LENGTH,
    "content_filter": Finish.REFUSED,
    "refusal": Finish.REFUSED,
}
"""Compatible servers have spellings of their own, and some send none. A job offers no tools, so a call of one
says nothing; what stands beside it is the answer."""

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
        "unsupported_model",
        "unsupported_parameter",
        "unsupported_value",
    }
)
_PER_DAY: Final = re.compile(r"\b(?:requests|tokens) per day\b|\((?:rpd|tpd)\)")
_LIMIT_ZERO: Final = re.compile(r"\blimit:? 0(?![\d.])")


class OpenAICompatibleCodec(JsonCodec):
    """Chat completions as everybody but OpenAI means them.

    `max_tokens` carries the limit. A `developer` message is sent as `system`: it is OpenAI's later name for the
    same role, and most servers' chat templates either refuse it or, worse, render a role their model has
    never seen. Whether a server honours `seed` cannot be told from here.
    """

    _limit_field: ClassVar[str] = "max_tokens"
    _developer_role: ClassVar[str] = "system"
    _most_stops: ClassVar[int | None] = None

    def build(self, ask: Ask) -> WireRequest | Unsupported:
        """See `ProviderCodec`."""
        job = ask.job
        if self._most_stops is not None and len(job.stop or ()) > self._most_stops:
            return Unsupported(detail=f"stop: at most {self._most_stops} sequences, the job has {len(job.stop or ())}")
        body = {
            "model": ask.tier.model,
            "messages": [self._message(message) for message in job.messages],
            self._limit_field: ask.max_tokens,
            **_parameters(job),
        }
        headers = {"content-type": "application/json"}
        if self._key is not None:
            headers["authorization"] = f"Bearer {self._key.reveal()}"
        return WireRequest(url=f"{self._base_url}/chat/completions", headers=headers, body=to_json(body))

    def _message(self, message: Message) -> dict[str, object]:
        role = self._developer_role if message.role == "developer" else message.role
        if isinstance(message.content, str):
            return {"role": role, "content": message.content}
        return {"role": role, "content": [{"type": "text", "text": part.text} for part in message.content]}

    def _spoken(self, payload: Mapping[str, object]) -> Spoken | None:
        choices = payload.get("choices")
        if not isinstance(choices, list):
            return None
        model = text_of(payload.get("model"))
        if not choices:
            return Spoken(content="", finish=Finish.STOP, finish_reason=None, model=model)
        choice = object_of(choices[0])
        message, reason = choice.get("message"), choice.get("finish_reason")
        content = _content(object_of(message).get("content"))
        if not isinstance(message, dict) or content is None or not isinstance(reason, str | None):
            return None
        finish = _FINISHES.get(reason, Finish.BROKEN)
        if text_of(message.get("refusal")) is not None:
            finish, reason = Finish.REFUSED, "refusal"
        return Spoken(content=content, finish=finish, finish_reason=reason, model=model)

    def _usage(self, payload: Mapping[str, object]) -> Usage | None:
        usage = object_of(payload.get("usage"))
        spent, said = count_of(usage.get("prompt_tokens")), count_of(usage.get("completion_tokens"))
        if spent is None or said is None:
            return None
        cached = count_of(object_of(usage.get("prompt_tokens_details")).get("cached_tokens")) or 0
        return Usage(input_tokens=spent, output_tokens=said, cached_input_tokens=min(cached, spent))

    def _error_inside(self, payload: Mapping[str, object]) -> Mapping[str, object] | None:
        # OpenRouter: an error after generation began stands in the choice, under status 200.
        choices = payload.get("choices")
        choice = object_of(choices[0]) if isinstance(choices, list) and choices else {}
        return choice if choice.get("error") else super()._error_inside(payload)

    def _signal(self, failure: Failure) -> Outcome | None:
        if failure.names & _EXHAUSTED:
            return Exhausted(detail=failure.detail)
        if failure.status == 429:
            return _too_many(failure)
        if failure.names & _REFUSED:
            return Refused(detail=failure.detail)
        if failure.names & _UNSUPPORTED:
            return Unsupported(detail=failure.detail)
        return None


class OpenAICodec(OpenAICompatibleCodec):
    """OpenAI's own chat completions.

    The limit is `max_completion_tokens`: `max_tokens` is deprecated, and reasoning models refuse it. At most four
    stop sequences (API reference).
    """

    _limit_field = "max_completion_tokens"
    _developer_role = "developer"
    _most_stops = 4


def to_json(body: Mapping[str, object]) -> bytes:
    """Compact JSON in UTF-8; a Job holds no text that cannot be written so."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _parameters(job: Job) -> dict[str, object]:
    given = {"temperature": job.temperature, "top_p": job.top_p, "stop": list(job.stop or ()) or None, "seed": job.seed}
    return {name: value for name, value in given.items() if value is not None}


def _content(content: object) -> str | None:
    """The text of a message; None when it has a shape nobody sends."""
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        return None
    return "".join(text_of(part.get("text")) or "" for part in content if part.get("type") == "text")


def _too_many(failure: Failure) -> Outcome:
    """A 429 that is not about money. Most are a matter of waiting; four are not.

    A request larger than the whole per-minute limit never passes, however long it waits. A limit of zero never
    refills. A limit per day closes the tier until the vendor's time or, if it names none, until UTC midnight.
    And 429 `resource_unavailable` is flex processing without capacity.
    """
    detail, wait = failure.detail, failure.retry_after_s
    if "resource_unavailable" in failure.names or "resource unavailable" in failure.message:
        return Overloaded(detail=detail, retry_after_s=wait)
    if failure.message.startswith("request too large"):
        return Unsupported(detail=detail)
    if _LIMIT_ZERO.search(failure.message):
        return Exhausted(detail=detail)
    if _PER_DAY.search(failure.message):
        return Exhausted(detail=detail, reset_after_s=wait if wait is not None else _until_midnight(failure.now))
    return Throttled(detail=detail, retry_after_s=wait, limit=failure.limit)


def _until_midnight(now: datetime) -> float:
    today = now.astimezone(UTC)
    midnight = datetime.combine(today.date() + timedelta(days=1), time(), tzinfo=UTC)
    return (midnight - today).total_seconds()
