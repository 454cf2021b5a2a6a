"""Mistral's chat completions.

Sources: docs.mistral.ai, API reference (its OpenAPI document), error glossary, priority tier, regional inference; the
types of the vendor's client, mistralai 3.7; and for what a conversation may be, the validators of mistral-common,
which its models are served with. The types and codes of errors are in no reference: those are as its users quote them.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar, Final

from pointsman_routes import Allowance, Job, Outcome, OutcomeKind, Tool

from .judging import Spoken
from .openai import CHAT_SIGNALS, OpenAICompatibleCodec
from .payload import object_of, text_of
from .protocol import Ask, RawReply
from .signal_table import Signal

_HOTTEST: Final = 1.5
_CALL_ID: Final = re.compile(r"[A-Za-z0-9]{9}")
_NO_PARAMETERS: Final[Mapping[str, Any]] = {"type": "object", "properties": {}}

_SIGNALS: Final = (
    Signal(
        says="429 `service_tier_capacity_exceeded`, 3505",
        status=frozenset({429}),
        names=frozenset({"service_tier_capacity_exceeded", "3505"}),
        outcome=OutcomeKind.OVERLOADED,
    ),
    Signal(
        says="429 whose message speaks of the service tier's capacity",
        status=frozenset({429}),
        words=re.compile(r"\bservice tier capacity exceeded\b"),
        outcome=OutcomeKind.OVERLOADED,
    ),
    Signal(
        says="`invalid_model`, `unknown_model`",
        names=frozenset({"invalid_model", "unknown_model"}),
        outcome=OutcomeKind.UNSUPPORTED,
    ),
    # Others take conversations in any order and calls of any name.
    Signal(
        says="`invalid_request_message_order`, `invalid_function_call`: a conversation its models are not made for",
        names=frozenset({"invalid_request_message_order", "invalid_function_call"}),
        outcome=OutcomeKind.UNSUPPORTED,
    ),
    Signal(
        says="400, 422 whose message is about `reasoning_effort`: its values differ by model",
        status=frozenset({400, 422}),
        words=re.compile(r"\breasoning_effort\b"),
        outcome=OutcomeKind.UNSUPPORTED,
    ),
)


class MistralCodec(OpenAICompatibleCodec):
    """Mistral's chat completions.

    `base_url` is what Mistral's client takes as `server_url`, without `/v1`; with it, it means the same. The hosts
    api.eu.mistral.ai and api.us.mistral.ai keep inference in their region, api.mistral.ai promises none.

    What it cannot express is `unsupported` before the call: a temperature above 1.5; a negative seed; a conversation
    that ends with the assistant; calls of tools whose names are not nine letters and digits, as its own are. A
    function without parameters is sent with an empty schema, since the field is required.

    Weaknesses: 401 means a key that is wrong as well as one whose plan is used up, and nothing tells them apart. A
    limit of tokens per month is a 429 like any other.
    """

    signals = (*_SIGNALS, *CHAT_SIGNALS)
    request_id_headers: ClassVar[tuple[str, ...]] = ("mistral-correlation-id", "x-request-id", "x-kong-request-id")

    def _problems(self, ask: Ask) -> Iterator[str]:
        yield from super()._problems(ask)
        job = ask.job
        if job.temperature is not None and job.temperature > _HOTTEST:
            yield f"temperature: Mistral takes 0 to {_HOTTEST}, the job asks for {job.temperature}"
        if job.seed is not None and job.seed < 0:
            yield "seed: Mistral takes none below 0"
        if job.messages[-1].role == "assistant":
            yield "messages: for Mistral a conversation does not end with the assistant"
        if any(not _CALL_ID.fullmatch(call_id) for call_id in _call_ids(job)):
            yield "messages: for Mistral the id of a tool call is nine letters and digits"

    def _url(self, ask: Ask) -> str:
        return f"{self._base_url.removesuffix('/v1')}/v1/chat/completions"

    def _parameters(self, ask: Ask) -> dict[str, object]:
        parameters = super()._parameters(ask)
        if "seed" in parameters:
            parameters["random_seed"] = parameters.pop("seed")
        if ask.job.tools is not None:
            parameters["tools"] = [_tool(tool) for tool in ask.job.tools]
        return parameters

    def _spoken(self, payload: Mapping[str, object], headers: Mapping[str, str]) -> Spoken | None:
        spoken = super()._spoken(payload, headers)
        service_tier = text_of(object_of(payload.get("usage")).get("service_tier"))
        return replace(spoken, service_tier=service_tier) if spoken is not None else None

    def _failed(
        self, raw: RawReply, error: Mapping[str, object], now: datetime, allowances: tuple[Allowance, ...]
    ) -> Outcome:
        return super()._failed(raw, _in_words(error), now, allowances)


def _call_ids(job: Job) -> Iterator[str]:
    for message in job.messages:
        yield from (call.id for call in message.tool_calls or ())
        if message.tool_call_id is not None:
            yield message.tool_call_id


def _tool(tool: Tool) -> dict[str, Any]:
    plain = tool.model_dump(exclude_none=True)
    plain["function"].setdefault("parameters", dict(_NO_PARAMETERS))
    return plain


def _in_words(error: Mapping[str, object]) -> Mapping[str, object]:
    """An error whose message is a text.

    That of a validation is a list of `{"loc", "msg", "type", "input"}`, under `detail`, `message` or `message.detail`.
    Places and reasons are kept, the input is not: it may be the prompt.
    """
    message = error.get("message")
    if isinstance(message, str):
        return error
    places = (message, object_of(message).get("detail"), error.get("detail"))
    listed = next((place for place in places if isinstance(place, list)), None)
    return error if listed is None else {**error, "message": "; ".join(map(_one_problem, listed[:8]))}


def _one_problem(entry: object) -> str:
    problem = object_of(entry)
    loc = problem.get("loc")
    place = ".".join(str(step) for step in loc if isinstance(step, str | int)) if isinstance(loc, list) else ""
    return f"{place}: {text_of(problem.get('msg')) or 'not valid'}"
