"""Chat completions: OpenAI's own, and everybody's who speaks it.

Sources: OpenAI's API reference (chat completions), and what vLLM, Groq, Mistral and OpenRouter document where they
differ.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel

from pointsman_routes import Message, NamedTool, Unsupported, Usage

from .chat_answer import CHAT_FINISHES, content_of, first_choice, tool_calls_of, usage_of
from .chat_signals import CHAT_SIGNALS
from .json_codec import JsonCodec
from .judging import Finish, Spoken
from .payload import object_of, text_of, to_json
from .protocol import Ask, WireRequest

_LARGEST_SEED: Final = 2**63

__all__ = ["CHAT_FINISHES", "CHAT_SIGNALS", "OpenAICodec", "OpenAICompatibleCodec"]


class OpenAICompatibleCodec(JsonCodec):
    """Chat completions as everybody but OpenAI means them.

    `max_tokens` carries the limit. A `developer` message is sent as `system`: it is OpenAI's later name for the
    same role, and most servers' chat templates either refuse it or, worse, render a role their model has
    never seen. All else is sent as it stands in the job; whether a server honours `seed`, `reasoning_effort` and the
    `strict` of a schema cannot be told from here.

    A vendor that differs overrides the steps of `build`: what it cannot express, its address, its headers, its body.
    """

    _limit_field: str = "max_tokens"
    _developer_role: str = "system"
    _most_stops: int | None = None
    finishes = CHAT_FINISHES
    signals = CHAT_SIGNALS

    def build(self, ask: Ask) -> WireRequest | Unsupported:
        """See `ProviderCodec`."""
        problem = next(iter(self._problems(ask)), None)
        if problem is not None:
            return Unsupported(detail=problem)
        return WireRequest(url=self._url(ask), headers=self._headers(), body=to_json(self._body(ask)))

    def _problems(self, ask: Ask) -> Iterator[str]:
        """What of the job this vendor cannot express, as `parameter: why`."""
        stops = len(ask.job.stop or ())
        if self._most_stops is not None and stops > self._most_stops:
            yield f"stop: at most {self._most_stops} sequences, the job has {stops}"
        if not -_LARGEST_SEED <= (ask.job.seed or 0) < _LARGEST_SEED:
            yield "seed: not an integer of 64 bits"

    def _url(self, ask: Ask) -> str:
        return f"{self._base_url}/chat/completions"

    def _headers(self) -> dict[str, str]:
        headers = {"content-type": "application/json"}
        if self._key is not None:
            headers["authorization"] = f"Bearer {self._key.reveal()}"
        return headers

    def _body(self, ask: Ask) -> dict[str, object]:
        return {
            "model": ask.tier.model,
            "messages": [self._message(message) for message in ask.job.messages],
            self._limit_field: ask.max_tokens,
            **self._parameters(ask),
        }

    def _message(self, message: Message) -> dict[str, object]:
        content = message.content
        turn: dict[str, object] = {
            "role": self._developer_role if message.role == "developer" else message.role,
            # Beside tool calls it may be null, which is how the answer had it that they came in.
            "content": [_plain(part) for part in content] if isinstance(content, tuple) else content,
        }
        if message.tool_calls is not None:
            turn["tool_calls"] = [_plain(call) for call in message.tool_calls]
        if message.tool_call_id is not None:
            turn["tool_call_id"] = message.tool_call_id
        return turn

    def _parameters(self, ask: Ask) -> dict[str, object]:
        """What the job and its tier say beyond messages and limit, under the names of the chat completions API."""
        job = ask.job
        given: dict[str, object] = {
            "temperature": job.temperature,
            "top_p": job.top_p,
            "stop": list(job.stop or ()) or None,
            "seed": job.seed,
            "response_format": _plain(job.response_format) if job.response_format is not None else None,
            "tools": [_plain(tool) for tool in job.tools] if job.tools is not None else None,
            "tool_choice": _plain(job.tool_choice) if isinstance(job.tool_choice, NamedTool) else job.tool_choice,
            "reasoning_effort": job.reasoning_effort,
            "service_tier": ask.tier.service_tier,
        }
        return {name: value for name, value in given.items() if value is not None}

    def _spoken(self, payload: Mapping[str, object], headers: Mapping[str, str]) -> Spoken | None:
        model, service_tier = text_of(payload.get("model")), text_of(payload.get("service_tier"))
        if payload.get("choices") == []:
            return Spoken(content="", finish=Finish.STOP, finish_reason=None, model=model, service_tier=service_tier)
        choice = first_choice(payload)
        message, reason = choice.get("message"), choice.get("finish_reason")
        if not isinstance(reason, str | None):
            return None
        finish = self.finishes.get(reason, Finish.BROKEN)
        if message is None and finish is Finish.REFUSED:
            message = {}  # Azure leaves out what its filter took
        if not isinstance(message, dict):
            return None
        content, calls = content_of(message), tool_calls_of(message)
        if content is None or calls is None:
            return None
        if text_of(message.get("refusal")) is not None:
            finish, reason = Finish.REFUSED, "refusal"
        return Spoken(
            content=content,
            finish=finish,
            finish_reason=reason,
            model=model,
            tool_calls=calls,
            service_tier=service_tier,
        )

    def _usage(self, payload: Mapping[str, object]) -> Usage | None:
        return usage_of(object_of(payload.get("usage")))

    def _error_inside(self, payload: Mapping[str, object]) -> Mapping[str, object] | None:
        # OpenRouter: an error after generation began stands in the choice, under status 200.
        choice = first_choice(payload)
        return choice if choice.get("error") else super()._error_inside(payload)


class OpenAICodec(OpenAICompatibleCodec):
    """OpenAI's own chat completions.

    The limit is `max_completion_tokens`: `max_tokens` is deprecated, and reasoning models refuse it. At most four
    stop sequences (API reference). What a model rather than the API cannot take - a temperature or stop sequences for
    one that reasons, an effort it does not know - it refuses by name, which is `unsupported` too.

    A project of one region answers at that region's host only. At another it refuses with 401 `incorrect_hostname`,
    which is `unauthorized`: the tier is closed, and no job fails for it.
    """

    _limit_field = "max_completion_tokens"
    _developer_role = "developer"
    _most_stops = 4


def _plain(value: BaseModel) -> dict[str, Any]:
    """As JSON has it, in the spelling of the chat completions API; absent fields left out."""
    return value.model_dump(by_alias=True, exclude_none=True)
