"""Chat completions: OpenAI's own, and everybody's who speaks it.

Sources: OpenAI's API reference (chat completions, error codes, rate limits; the exhausted codes also in its
help article 6614457), and what vLLM, Groq, Mistral and OpenRouter document where they differ.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import ClassVar, Final

from pointsman_routes import Job, Message, OutcomeKind, TextPart, Unsupported, Usage

from .failure import Failure
from .json_codec import JsonCodec
from .judging import Finish, Spoken
from .payload import count_of, object_of, text_of, to_json
from .protocol import Ask, WireRequest
from .signal_table import Signal

CHAT_FINISHES: Final[Mapping[str | None, Finish]] = {
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


def _until_midnight(now: datetime) -> float:
    today = now.astimezone(UTC)
    midnight = datetime.combine(today.date() + timedelta(days=1), time(), tzinfo=UTC)
    return (midnight - today).total_seconds()


def _day_ends_after(failure: Failure) -> float:
    wait = failure.retry_after_s
    return wait if wait is not None else _until_midnight(failure.now)


_TOO_MANY: Final = frozenset({429})
CHAT_SIGNALS: Final = (
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
        reset_s=_day_ends_after,
    ),
    Signal(says="429", status=_TOO_MANY, outcome=OutcomeKind.THROTTLED),
    Signal(says="a code of a content filter or policy", names=_REFUSED, outcome=OutcomeKind.REFUSED),
    Signal(
        says="a code of an unknown model, a context too long, an unsupported parameter",
        names=_UNSUPPORTED,
        outcome=OutcomeKind.UNSUPPORTED,
    ),
)
"""What everybody who speaks chat completions means by an error."""


class OpenAICompatibleCodec(JsonCodec):
    """Chat completions as everybody but OpenAI means them.

    `max_tokens` carries the limit. A `developer` message is sent as `system`: it is OpenAI's later name for the
    same role, and most servers' chat templates either refuse it or, worse, render a role their model has
    never seen. Whether a server honours `seed` cannot be told from here.
    """

    _limit_field: ClassVar[str] = "max_tokens"
    _developer_role: ClassVar[str] = "system"
    _most_stops: ClassVar[int | None] = None
    finishes = CHAT_FINISHES
    signals = CHAT_SIGNALS

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
        texts = (part.text for part in message.parts if isinstance(part, TextPart))
        return {"role": role, "content": [{"type": "text", "text": text} for text in texts]}

    def _spoken(self, payload: Mapping[str, object], headers: Mapping[str, str]) -> Spoken | None:
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
        finish = self.finishes.get(reason, Finish.BROKEN)
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


class OpenAICodec(OpenAICompatibleCodec):
    """OpenAI's own chat completions.

    The limit is `max_completion_tokens`: `max_tokens` is deprecated, and reasoning models refuse it. At most four
    stop sequences (API reference).
    """

    _limit_field = "max_completion_tokens"
    _developer_role = "developer"
    _most_stops = 4


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
