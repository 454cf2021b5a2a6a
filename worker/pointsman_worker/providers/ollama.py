"""Ollama's own chat API.

Sources: ollama/ollama: api/types.go, server/routes.go, server/sched.go, server/images.go, llm/status.go, docs/api;
docs.ollama.com, cloud. What ollama.com says of its limits is in no reference: that is as its users quote it.
"""

import re
from collections.abc import Mapping
from typing import Final

from pointsman_routes import CalledFunction, OutcomeKind, ToolCall, Unsupported, Usage

from .chat_signals import day_ends_after
from .failure import Failure
from .json_codec import JsonCodec
from .judging import Finish, Spoken
from .ollama_request import body_of, problems
from .payload import count_of, object_of, text_of, to_json, write_arguments
from .protocol import Ask, WireRequest
from .signal_table import Signal

_FINISHES: Final[Mapping[str | None, Finish]] = {"stop": Finish.STOP, "length": Finish.LENGTH}
"""`load` and `unload` are answers to nothing. None comes of a connection to the model that broke."""

_TOO_MANY: Final = frozenset({429})
_AN_HOUR_S: Final = 3600.0


def _asked_again_in(failure: Failure) -> float:
    return failure.retry_after_s if failure.retry_after_s is not None else _AN_HOUR_S


_SIGNALS: Final = (
    Signal(
        says='429 "reached your session usage limit", or hourly: asked again after an hour, or the time it names',
        status=_TOO_MANY,
        words=re.compile(r"\b(?:session|hourly) usage limit"),
        outcome=OutcomeKind.EXHAUSTED,
        reset_s=_asked_again_in,
    ),
    Signal(
        says='429 "reached your weekly usage limit", or monthly: asked again after UTC midnight, or the time it names',
        status=_TOO_MANY,
        words=re.compile(r"\busage limit"),
        outcome=OutcomeKind.EXHAUSTED,
        reset_s=day_ends_after,
    ),
    Signal(
        says="400 whose message says that the schema cannot be made a grammar, or that the model is run elsewhere",
        status=frozenset({400}),
        words=re.compile(r"\bgrammar\b|json schema|cannot run this remote model|more than one image"),
        outcome=OutcomeKind.UNSUPPORTED,
    ),
)
_ANY_STATUS: Final = (
    # It passes as other models are unloaded; if it never does, the breaker keeps the tier closed.
    Signal(
        says="500 whose message says that memory is short",
        status=frozenset({500}),
        words=re.compile(
            r"requires more system memory|out of (?:device )?memory|(?:not enough|insufficient) memory"
            r"|malloc failed|failed to allocate|allocation failed"
        ),
        outcome=OutcomeKind.OVERLOADED,
    ),
    Signal(
        says="500 whose message says that the format or the number of images is not this model's",
        status=frozenset({500}),
        words=re.compile("invalid format|only supports one image"),
        outcome=OutcomeKind.UNSUPPORTED,
    ),
)


class OllamaCodec(JsonCodec):
    """Ollama's own chat API.

    A prompt longer than the context is never cut. With the tier's `context_window` the context is asked for at that
    length (`num_ctx`); without it, it is the server's default, often 4,096 tokens. Either way the request says
    `truncate: false` and `shift: false`: a prompt that does not fit is refused, which is `unsupported`, and an answer
    that reaches the end of the context ends there, with `length`. Weaknesses: servers from before those two fields
    (2025) ignore them and cut. A window longer than the model's own is lowered without a word, but what does not fit is
    refused all the same. A server loads a model anew when another client asks for another `num_ctx` or `shift`.

    What it cannot express is `unsupported` before the call: an image by its address, one in the midst of text, or with
    a `detail`; a `tool_choice` other than `auto`; a `strict` tool, and words of a tool's schema that the server drops,
    such as `$ref` or `pattern`; tools together with a form of the answer; the description of a schema; a seed of more
    than 32 bits; a conversation that ends with the assistant. Of `reasoning_effort` only `none` has a meaning, except
    for gpt-oss, which knows `low`, `medium` and `high` and always thinks. A `developer` message is sent as `system`.
    The stop sequences of a job take the place of those in the model's own file.

    The model named in an answer is the request's own, tag and all. One run at ollama.com (`-cloud`, `:cloud`) answers
    without that suffix, so its tier lists the plain name in `served_as`. A model can be handed on to ollama.com
    whatever it is called; the answer then names the host, and at a provider in region `local` that is misrouted.

    Usage is unknown without `prompt_eval_count`, or if it is zero: older servers leave out what they had cached, and
    may count only the uncached part of a prompt. Where a model thinks before a JSON answer, the server asks it twice,
    and counts what it thought as input.
    """

    finishes = _FINISHES
    signals = _SIGNALS
    signals_any_status = _ANY_STATUS

    def build(self, ask: Ask) -> WireRequest | Unsupported:
        """See `ProviderCodec`."""
        problem = next(problems(ask), None)
        if problem is not None:
            return Unsupported(detail=problem)
        headers = {"content-type": "application/json"}
        if self._key is not None:
            headers["authorization"] = f"Bearer {self._key.reveal()}"
        return WireRequest(url=f"{self._base_url}/api/chat", headers=headers, body=to_json(body_of(ask)))

    def _spoken(self, payload: Mapping[str, object], headers: Mapping[str, str]) -> Spoken | None:
        message, reason = object_of(payload.get("message")), payload.get("done_reason")
        content, calls = message.get("content"), _tool_calls(message.get("tool_calls"), payload.get("created_at"))
        if not message or not isinstance(content, str | None) or calls is None or not isinstance(reason, str | None):
            return None
        # A model that repeats itself is stopped without a last word: `done` is not true then.
        finish = self.finishes.get(reason, Finish.BROKEN) if payload.get("done") is True else Finish.BROKEN
        host = text_of(payload.get("remote_host"))
        return Spoken(
            content=content or "",
            finish=finish,
            finish_reason=reason,
            model=text_of(payload.get("model")),
            region=host if self._region == "local" else None,
            tool_calls=calls,
            upstream=host,
        )

    def _usage(self, payload: Mapping[str, object]) -> Usage | None:
        read, said = count_of(payload.get("prompt_eval_count")), count_of(payload.get("eval_count"))
        return Usage(input_tokens=read, output_tokens=said) if read and said is not None else None


def _tool_calls(listed: object, created_at: object) -> tuple[ToolCall, ...] | None:
    """The functions a message calls; None when one of them cannot be read, since half the calls are no answer."""
    if listed is None:
        return ()
    if not isinstance(listed, list):
        return None
    # Older servers give calls no id. One that is made up must differ from those of other turns.
    moment = re.sub(r"[^0-9]", "", text_of(created_at) or "")[:20]
    calls = [_tool_call(object_of(call), f"call_{moment}_{n}") for n, call in enumerate(listed)]
    return tuple(call for call in calls if call is not None) if None not in calls else None


def _tool_call(call: Mapping[str, object], made_up_id: str) -> ToolCall | None:
    function = object_of(call.get("function"))
    name, arguments = text_of(function.get("name")), function.get("arguments", {})
    if name is None or not isinstance(arguments, dict):
        return None
    written = write_arguments(arguments)
    if written is None:
        return None
    return ToolCall(id=text_of(call.get("id")) or made_up_id, function=CalledFunction(name=name, arguments=written))
