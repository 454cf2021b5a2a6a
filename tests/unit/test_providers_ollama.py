"""Ollama's chat API: what is sent, checked by its own client's types, and what its answers and errors become."""

import base64
import json
from typing import Any

import pytest
from chat_cases import CALLED, CONVERSATION, JSON_SCHEMA, PICTURE, SCHEMA, SPREAD, TIME, chat_job, chat_jobs, picture
from hypothesis import given
from ollama._types import ChatRequest, Options
from provider_samples import KEY, NOW, sent, tier

from pointsman_routes import (
    Job,
    Tier,
    Unsupported,
)
from pointsman_worker.api_keys import ApiKey
from pointsman_worker.providers import Ask, WireRequest
from pointsman_worker.providers.ollama import OllamaCodec

TIER = tier("qwen3:8b")
PLAIN_SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
WEATHER = {"type": "function", "function": {"name": "weather", "description": "of a place", "parameters": PLAIN_SCHEMA}}
IMAGE = {"type": "image_url", "image_url": {"url": PICTURE}}


def codec(key: ApiKey | None = None, region: str | None = None) -> OllamaCodec:
    """Ollama's codec."""
    return OllamaCodec("http://localhost:11434", key, region=region, now=lambda: NOW)


def build(job: Job, served: Tier = TIER) -> WireRequest | Unsupported:
    """What becomes of a job."""
    return codec().build(Ask(job=job, tier=served, max_tokens=64))


def body(job: Job, served: Tier = TIER) -> Any:
    """What is sent for a job."""
    return sent(build(job, served))


def why_not(job: Job, served: Tier = TIER) -> str:
    """Why a job cannot be expressed."""
    built = build(job, served)
    assert isinstance(built, Unsupported), built
    return built.detail


def as_ollama_takes_it(request: Any) -> None:
    """Check a body by the types of Ollama's client, which lacks two fields that the server has."""
    beyond = {"truncate": False, "shift": False}
    assert {name: request[name] for name in beyond} == beyond
    parsed = ChatRequest.model_validate(request)
    assert set(request) - set(beyond) <= set(ChatRequest.model_fields)
    assert set(request["options"]) <= set(Options.model_fields)
    assert Options.model_validate(request["options"], strict=True).model_dump(exclude_none=True) == request["options"]
    assert [message["role"] for message in parsed.messages or ()] == [turn["role"] for turn in request["messages"]]
    for turn in request["messages"]:
        assert isinstance(turn["content"], str)
        assert turn["role"] in ("system", "user", "assistant", "tool")
        assert set(turn) <= {"role", "content", "images", "tool_calls", "tool_call_id", "tool_name"}
        assert all(base64.b64decode(image, validate=True) for image in turn.get("images", ()))
        assert all(isinstance(call["function"]["arguments"], dict) for call in turn.get("tool_calls", ()))


def left_out(job: Job, request: Any) -> list[str]:
    """The parameters of a job that are not in the request."""
    asked = json.loads(job.to_wire())
    form = asked.get("response_format", {"type": "text"})
    fmt = {"text": None, "json_object": "json", "json_schema": form.get("json_schema", {}).get("schema")}[form["type"]]
    effort = asked.get("reasoning_effort")
    wanted: dict[str, tuple[object, object]] = {
        **{name: (asked.get(name), request["options"].get(name)) for name in ("temperature", "top_p", "seed", "stop")},
        "max_tokens": (64, request["options"]["num_predict"]),
        "response_format": (fmt, request.get("format")),
        "tools": (
            [tool["function"]["name"] for tool in asked.get("tools", ())],
            [tool["function"]["name"] for tool in request.get("tools", ())],
        ),
        "reasoning_effort": (False if effort == "none" else effort, request.get("think")),
        "messages": (len(asked["messages"]), len(request["messages"])),
    }
    wanted |= {
        f"text of message {n}": (message.text, turn["content"])
        for n, (message, turn) in enumerate(zip(job.messages, request["messages"], strict=True))
    }
    wanted |= {
        f"images of message {n}": (len(message.images), len(turn.get("images", ())))
        for n, (message, turn) in enumerate(zip(job.messages, request["messages"], strict=True))
    }
    return [name for name, (given, found) in wanted.items() if given != found]


@pytest.mark.parametrize("name", SPREAD)
def test_a_job_is_sent_whole_or_not_at_all(name: str) -> None:
    """Every parameter stands in a body that Ollama's own types take, or the job is unsupported for a named reason."""
    built = build(SPREAD[name])
    if isinstance(built, Unsupported):
        assert ": " in built.detail
    else:
        as_ollama_takes_it(sent(built))
        assert left_out(SPREAD[name], sent(built)) == []


@given(chat_jobs())
def test_any_job_is_sent_whole_or_not_at_all(job: Job) -> None:
    """The same for any job there can be."""
    built = build(job)
    if not isinstance(built, Unsupported):
        as_ollama_takes_it(sent(built))
        assert left_out(job, sent(built)) == []


def test_which_of_the_spread_can_be_sent() -> None:
    """What Ollama can express is sent: the strict rule is not an excuse."""
    assert {name for name, job in SPREAD.items() if isinstance(build(job), Unsupported)} == {
        "image by address",
        "tools",  # its schema has a default
        "tools auto",
        "tools none",
        "tools required",
        "tools named",
        "tool answered",
        "low effort",
        "medium effort",
        "most effort",
    }


def test_a_whole_request() -> None:
    """Nothing but the job is in it, and what keeps the prompt whole."""
    job = chat_job(
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "what "}, {"type": "text", "text": "is it?"}, IMAGE]},
        temperature=0,
        top_p=0.9,
        seed=0,
        stop=["END"],
        reasoning_effort="none",
        response_format=JSON_SCHEMA,
        metadata={"team": "x"},
    )
    assert body(job, tier("qwen3:8b", context_window=32_768)) == {
        "model": "qwen3:8b",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "what is it?", "images": ["iVBORw0KGgo="]},
        ],
        "stream": False,
        "truncate": False,
        "shift": False,
        "options": {
            "num_ctx": 32_768,
            "num_predict": 64,
            "temperature": 0.0,
            "top_p": 0.9,
            "stop": ["END"],
            "seed": 0,
        },
        "format": SCHEMA,
        "think": False,
    }


def test_without_a_window_the_context_is_the_servers_and_still_never_cut() -> None:
    """No num_ctx is made up, and the server is told to refuse what does not fit."""
    request = body(chat_job())
    assert "num_ctx" not in request["options"]
    assert (request["truncate"], request["shift"]) == (False, False)


def test_tools_and_their_results() -> None:
    """Arguments travel as an object, a result with the id and the name of its call."""
    request = body(chat_job(*CONVERSATION, tools=[WEATHER, {"type": "function", "function": {"name": "time"}}]))
    assert request["messages"][1:] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c1", "function": {"name": "weather", "arguments": {"n": 1}}}],
        },
        {"role": "tool", "content": "rain", "tool_call_id": "c1", "tool_name": "weather"},
    ]
    assert request["tools"] == [
        WEATHER,
        {"type": "function", "function": {"name": "time", "parameters": {"type": "object", "properties": {}}}},
    ]
    as_ollama_takes_it(request)


def test_a_result_of_an_unknown_call_keeps_its_id() -> None:
    """A conversation may begin after the call."""
    turn = {"role": "tool", "content": "rain", "tool_call_id": "c9"}
    assert body(chat_job(turn, {"role": "user", "content": "so?"}))["messages"][0] == turn


@pytest.mark.parametrize(
    ("parameters", "lost"),
    [
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"type": "string"}}}, "$ref"),
        ({"type": "object", "properties": {"a": {"type": "string", "pattern": "^x"}}}, "pattern"),
        ({"type": "object", "properties": {"a": {"anyOf": [{"const": 1}]}}}, "const"),
        ({"type": "object", "properties": {"a": {"properties": {"b": {"minimum": 1}}}}}, "minimum"),
        ({"type": "object", "properties": {"a": True}}, "a schema that is no object"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "additionalProperties"),
        ({"type": "object", "description": "a place"}, "description"),
        ({"type": ["object", "null"]}, "type"),
    ],
)
def test_words_of_a_schema_that_the_server_would_drop(parameters: dict[str, Any], lost: str) -> None:
    """A tool whose schema the model would see only in part is not sent."""
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    assert why_not(chat_job(tools=[tool])) == f"tools: Ollama drops {lost} from a tool's parameters"


def test_words_of_a_schema_that_tell_a_model_nothing_may_be_dropped() -> None:
    """Every generated schema has a title; items and definitions are kept whole."""
    parameters = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "F",
        "type": "object",
        "additionalProperties": False,
        "properties": {"a": {"title": "A", "type": ["array", "null"], "items": {"pattern": "^x"}, "description": "d"}},
    }
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    assert body(chat_job(tools=[tool]))["tools"] == [tool]


@pytest.mark.parametrize(
    ("job", "parameter"),
    [
        (chat_job(picture("https://example.com/a.png")), "messages"),
        (chat_job(picture(detail="high")), "detail"),
        (chat_job({"role": "user", "content": [{"type": "text", "text": "see [img]"}, IMAGE]}), "messages"),
        (
            chat_job(
                {"role": "user", "content": [{"type": "text", "text": "a"}, IMAGE, {"type": "text", "text": "b"}]}
            ),
            "messages",
        ),
        (chat_job({"role": "user", "content": "hi"}, {"role": "assistant", "content": "The answer is"}), "messages"),
        (chat_job(seed=-1), "seed"),
        (chat_job(seed=2**32 - 1), "seed"),
        (chat_job(tools=[WEATHER], tool_choice="none"), "tool_choice"),
        (chat_job(tools=[TIME]), "strict"),
        (chat_job(tools=[WEATHER], response_format={"type": "json_object"}), "response_format"),
        (
            chat_job(
                response_format={
                    "type": "json_schema",
                    "json_schema": {"name": "n", "schema": PLAIN_SCHEMA, "description": "d"},
                }
            ),
            "response_format",
        ),
        (
            chat_job(
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [{**CALLED, "function": {"name": "f", "arguments": "[1]"}}],
                },
                {"role": "user", "content": "hi"},
            ),
            "tool_calls",
        ),
        (chat_job(reasoning_effort="high"), "reasoning_effort"),
    ],
)
def test_what_cannot_be_expressed_is_unsupported(job: Job, parameter: str) -> None:
    """Before the call, naming the parameter."""
    assert why_not(job).startswith(f"{parameter}: ")


@pytest.mark.parametrize("model", ["gpt-oss", "gpt-oss:20b", "gpt-oss:120b-cloud", "acme/GPT-OSS-tuned:20b"])
def test_gpt_oss_has_levels_of_thinking_and_no_end_of_it(model: str) -> None:
    """The documentation of thinking: levels for gpt-oss, which ignores true and false."""
    served = tier(model)
    for effort in ("low", "medium", "high"):
        assert body(chat_job(reasoning_effort=effort), served)["think"] == effort
    for effort in ("none", "minimal", "xhigh"):
        assert why_not(chat_job(reasoning_effort=effort), served).startswith("reasoning_effort: ")


def test_a_class_of_service_is_unsupported() -> None:
    """A tier that asks for one would be answered without it."""
    assert why_not(chat_job(), tier("qwen3:8b", service_tier="flex")).startswith("service_tier: ")


def test_the_address_and_the_key() -> None:
    """A local server gets no key; ollama.com gets it as a bearer token; neither shows it."""
    local = build(chat_job())
    assert isinstance(local, WireRequest)
    assert local.url == "http://localhost:11434/api/chat"
    assert "authorization" not in local.headers
    cloud = codec(KEY).build(Ask(job=chat_job(), tier=TIER, max_tokens=64))
    assert isinstance(cloud, WireRequest)
    assert cloud.headers["authorization"] == f"Bearer {KEY.reveal()}"
    assert KEY.reveal() not in repr(cloud)
    assert KEY.reveal().encode() not in cloud.body
