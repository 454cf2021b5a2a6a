"""Anthropic's messages.

Sources: platform.claude.com, API reference: messages, errors, rate limits, data residency.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from pointsman_routes import Job, Message, OutcomeKind, TextPart, Unsupported, Usage

from .failure import Failure
from .json_codec import JsonCodec
from .judging import Finish, Spoken
from .payload import count_of, object_of, text_of, to_json
from .protocol import Ask, WireRequest
from .signal_table import Signal

API_VERSION: Final = "2023-06-01"

_FINISHES: Final[Mapping[str | None, Finish]] = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP,
    "tool_use": Finish.STOP,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.LENGTH,
    "refusal": Finish.REFUSED,
}
"""`pause_turn` belongs to server tools, which no job has; it and anything new is an answer that may not be whole."""

_SPENT: Final = re.compile(r"\b(?:usage|spend|spending) (?:limit|cap)|credit balance is too low|enforced_spend_limit")
_REGAIN: Final = re.compile(r"regain access on (\d{4}-\d{2}-\d{2}) at (\d{2}:\d{2}) utc")
_NOWHERE: Final = frozenset({"not_available"})
"""`inference_geo` of a model that predates it."""


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


_MONEY: Final = frozenset({400, 402, 429})
_SIGNALS: Final = (
    Signal(says="`billing_error`", names=frozenset({"billing_error"}), outcome=OutcomeKind.EXHAUSTED),
    Signal(
        says="400, 402, 429 `enforced_spend_limit_reached`",
        status=_MONEY,
        names=frozenset({"enforced_spend_limit_reached"}),
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
    Signal(says="a message on `inference_geo`", words=re.compile("inference_geo"), outcome=OutcomeKind.UNSUPPORTED),
    Signal(says="a message on content filtering", words=re.compile("content filtering"), outcome=OutcomeKind.REFUSED),
)


class AnthropicCodec(JsonCodec):
    """The messages API.

    What it cannot express is `unsupported` before the call: `seed`; a temperature above 1; a system or
    developer message after the conversation began (those before it go to the top-level `system`); an empty
    message; a conversation that does not start with the user, or ends with the assistant, which this API
    reads as the opening of its own answer and newer models refuse.

    A provider declared in region `us` asks for it with `inference_geo`, the only value that promises something.
    Models too old for it refuse the request, which is `unsupported` too: their answer would come from anywhere.
    Where the answer names its region, that is checked.

    Spend limits come as 400, 402 or 429. The reference says that the 429 of a spend cap has no Retry-After; but
    so have those of many stand-ins and gateways. Only an error that says so in words is exhausted; any other 429
    is throttled, with or without a wait.
    """

    finishes = _FINISHES
    signals = _SIGNALS

    def build(self, ask: Ask) -> WireRequest | Unsupported:
        """See `ProviderCodec`."""
        job = ask.job
        opening = _opening(job)
        turns = job.messages[opening:]
        problem = next(_problems(job, turns), None)
        if problem is not None:
            return Unsupported(detail=problem)
        body: dict[str, object] = {
            "model": ask.tier.model,
            "max_tokens": ask.max_tokens,
            "messages": [{"role": turn.role, "content": _content(turn)} for turn in turns],
        }
        if opening:
            body["system"] = _system(job.messages[:opening])
        given = {"temperature": job.temperature, "top_p": job.top_p, "stop_sequences": list(job.stop or ()) or None}
        body.update((name, value) for name, value in given.items() if value is not None)
        if self._region == "us":
            body["inference_geo"] = "us"
        headers = {"content-type": "application/json", "anthropic-version": API_VERSION}
        if self._key is not None:
            headers["x-api-key"] = self._key.reveal()
        return WireRequest(url=f"{self._base_url}/v1/messages", headers=headers, body=to_json(body))

    def _spoken(self, payload: Mapping[str, object], headers: Mapping[str, str]) -> Spoken | None:
        blocks, reason = payload.get("content"), payload.get("stop_reason")
        if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
            return None
        if not isinstance(reason, str):
            return None
        texts = (block.get("text") for block in blocks if block.get("type") == "text")
        region = text_of(object_of(payload.get("usage")).get("inference_geo"))
        return Spoken(
            content="".join(text_of(text) or "" for text in texts),
            finish=_FINISHES.get(reason, Finish.BROKEN),
            finish_reason=reason,
            model=text_of(payload.get("model")),
            region=region if region not in _NOWHERE else None,
        )

    def _usage(self, payload: Mapping[str, object]) -> Usage | None:
        # Unlike OpenAI's, input_tokens leaves out what was written to the cache and read from it.
        usage = object_of(payload.get("usage"))
        fresh, said = count_of(usage.get("input_tokens")), count_of(usage.get("output_tokens"))
        written = count_of(usage.get("cache_creation_input_tokens") or 0)
        cached = count_of(usage.get("cache_read_input_tokens") or 0)
        if fresh is None or said is None or written is None or cached is None:
            return None
        return Usage(input_tokens=fresh + written + cached, output_tokens=said, cached_input_tokens=cached)


def _opening(job: Job) -> int:
    """How many messages stand before the conversation proper."""
    roles = [message.role for message in job.messages]
    return next((n for n, role in enumerate(roles) if role in ("user", "assistant")), len(roles))


def _problems(job: Job, turns: tuple[Message, ...]) -> Iterator[str]:
    if job.seed is not None:
        yield "seed: Anthropic has no such parameter"
    if job.temperature is not None and job.temperature > 1:
        yield f"temperature: Anthropic takes 0 to 1, the job asks for {job.temperature}"
    if any(not stop.strip() for stop in job.stop or ()):
        yield "stop: Anthropic takes no sequence of white space only"
    if not turns:
        yield "messages: Anthropic needs a message of the user"
    elif turns[0].role != "user" or turns[-1].role != "user":
        yield "messages: for Anthropic a conversation starts and ends with the user"
    if any(turn.role in ("system", "developer") for turn in turns):
        yield "messages: Anthropic has no system message in the middle of a conversation"
    if any(not message.text.strip() for message in job.messages):
        yield "messages: Anthropic takes no empty message"


def _system(messages: tuple[Message, ...]) -> str | list[dict[str, str]]:
    if len(messages) == 1:
        return _content(messages[0])
    return [{"type": "text", "text": message.text} for message in messages]


def _content(message: Message) -> str | list[dict[str, str]]:
    if isinstance(message.content, str):
        return message.content
    return [{"type": "text", "text": part.text} for part in message.parts if isinstance(part, TextPart)]


class AnthropicCompatibleCodec(AnthropicCodec):
    """Anthropic's messages as others speak them."""
