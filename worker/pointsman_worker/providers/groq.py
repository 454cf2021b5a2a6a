"""Groq's chat completions.

Sources: console.groq.com, API reference (chat), errors, rate limits, flex processing, spend limits; and the types of
the vendor's client, groq 1.7. What its errors say in words is in no reference: those are as its users quote them.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Final

from pointsman_routes import OutcomeKind
from pointsman_worker.api_keys import ApiKey

from .json_codec import utc_now
from .openai import CHAT_SIGNALS, OpenAICompatibleCodec
from .payload import object_of, text_of
from .protocol import Ask, RawReply
from .signal_table import Signal

_EFFORTS: Final = frozenset({None, "none", "low", "medium", "high"})
"""Which of them a model knows differs: gpt-oss has no `none`, most have none at all. That the vendor says itself."""

_BAD_REQUEST: Final = frozenset({400})
_SIGNALS: Final = (
    Signal(
        says="400 `json_validate_failed`, `tool_use_failed`: the model wrote no such JSON or call",
        status=_BAD_REQUEST,
        names=frozenset({"json_validate_failed", "tool_use_failed"}),
        outcome=OutcomeKind.TRANSIENT,
        may_be_billed=True,
    ),
    # The reference of errors: "semantic errors or model hallucinations"; what is wrong with a request is a 400.
    Signal(
        says="422: what the model wrote cannot be used",
        status=frozenset({422}),
        outcome=OutcomeKind.TRANSIENT,
        may_be_billed=True,
    ),
    Signal(
        says="400 `blocked_api_access`: the spend limit",
        status=_BAD_REQUEST,
        names=frozenset({"blocked_api_access"}),
        outcome=OutcomeKind.EXHAUSTED,
    ),
    Signal(
        says="400 whose message speaks of a spend limit",
        status=_BAD_REQUEST,
        words=re.compile(r"\bspend(?:ing)? limit"),
        outcome=OutcomeKind.EXHAUSTED,
    ),
    # Both wait for somebody at the console, so the tier must close.
    Signal(
        says="400 `organization_restricted`, `model_terms_required`",
        status=_BAD_REQUEST,
        names=frozenset({"organization_restricted", "model_terms_required"}),
        outcome=OutcomeKind.UNAUTHORIZED,
    ),
    Signal(
        says="400 whose message is about `reasoning_effort`, or says that two parameters cannot be combined",
        status=_BAD_REQUEST,
        words=re.compile(r"\breasoning_effort\b|\bcannot be combined\b"),
        outcome=OutcomeKind.UNSUPPORTED,
    ),
)


class GroqCodec(OpenAICompatibleCodec):
    """Groq's chat completions.

    `base_url` is what Groq's client takes, without `/openai/v1`; with it, as OpenAI's client takes it, it means the
    same. At most four stop sequences. Of the reasoning efforts it has `none`, `low`, `medium` and `high`.

    Flex processing without capacity is 498, throttled: it is meant to be tried again later, and is not the job's
    fault. Weakness: what a model thinks may stand in its answer between `<think>` tags where the model's own default
    is to show it so.
    """

    _limit_field = "max_completion_tokens"
    _most_stops = 4
    signals = (*_SIGNALS, *CHAT_SIGNALS)

    def __init__(
        self, base_url: str, key: ApiKey | None, *, region: str | None = None, now: Callable[[], datetime] = utc_now
    ) -> None:
        super().__init__(base_url, key, region=region, now=now)
        # Rate limits: `x-ratelimit-limit-requests` is per day, whatever host stands before Groq's.
        self._requests_per_day = True

    def _problems(self, ask: Ask) -> Iterator[str]:
        yield from super()._problems(ask)
        if ask.job.reasoning_effort not in _EFFORTS:
            asked = ask.job.reasoning_effort
            yield f"reasoning_effort: Groq has none, low, medium and high, the job asks for {asked}"

    def _url(self, ask: Ask) -> str:
        return f"{self._base_url.removesuffix('/openai/v1')}/openai/v1/chat/completions"

    def _request_id(self, raw: RawReply, payload: Mapping[str, object]) -> str | None:
        return super()._request_id(raw, payload) or text_of(object_of(payload.get("x_groq")).get("id"))
