"""Whatever a vendor sends, reading it ends soon, raises nothing, and leaves nothing unfit for a record."""

import json
from typing import Any, Final

import pytest
from outcome_samples import codec_of
from provider_samples import ask, job, raw, tier

from pointsman_routes import Ok, ProviderKind, Truncated, Unsupported
from pointsman_worker.http_client import DEFAULT_MAX_BYTES
from pointsman_worker.providers.payload import parse_object

EVERY = pytest.mark.parametrize("kind", list(ProviderKind))
TIER: Final = tier("m", served_as=["*"])
_HUGE: Final = "9" * 4000
_USAGE: Final = {"prompt_tokens": 1, "completion_tokens": 1}


def _replies(value: str) -> list[bytes]:
    """An answer of each family with a value, in JSON, in its call of a tool and in its numbers; and an error."""
    call = {"id": "c", "name": "f", "input": {"x": "@"}, "toolUseId": "c"}
    shapes: list[Any] = [
        {"model": "m", "choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}],
         "usage": {**_USAGE, "cost": "@", "cost_in_usd_ticks": "@", "prompt_tokens": "@"}},
        {"model": "m", "stop_reason": "tool_use", "content": [{"type": "tool_use", **call}],
         "usage": {"input_tokens": "@", "output_tokens": 1}},
        {"stopReason": "tool_use", "output": {"message": {"content": [{"toolUse": call}]}},
         "usage": {"inputTokens": "@"}},
        {"modelVersion": "m", "usageMetadata": {"promptTokenCount": "@"}, "candidates": [
            {"finishReason": "STOP", "content": {"parts": [{"functionCall": {"name": "f", "args": {"x": "@"}}}]}}]},
        {"model": "m", "done": True, "done_reason": "stop", "prompt_eval_count": "@", "message": {
            "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"x": "@"}}}]}},
        {"error": {"code": "@", "message": "@", "metadata": {"headers": {"X-RateLimit-Reset": "@"}},
                   "availability": {"retry_after": "@"}, "details": [{"violations": "@", "metadata": "@"}]}},
    ]  # fmt: skip
    return [json.dumps(shape).replace('"@"', value).encode() for shape in shapes]


@EVERY
@pytest.mark.parametrize("value", ["1e999", "-1e999", "NaN", _HUGE, "9" * 5000, f"-{_HUGE}", '"1"', "true", "[[]]"])
def test_odd_numbers(kind: ProviderKind, value: str) -> None:
    """A number no one can count with is none; arguments of a call that hold it are JSON, or the call is not read."""
    for body in _replies(value):
        for status in (200, 400, 402, 403, 429, 500):
            outcome = codec_of(kind).read(TIER, raw(body, status)).outcome
            if isinstance(outcome, Ok | Truncated):
                for call in outcome.answer.tool_calls:
                    assert parse_object(call.function.arguments.encode()) is not None
                    assert "Infinity" not in call.function.arguments


@EVERY
@pytest.mark.parametrize("status", [200, 400, 403, 429, 500])
@pytest.mark.parametrize(
    "body", [b"[" * DEFAULT_MAX_BYTES, b'{"a":' * 3_000_000, b'{"choices":[' + b"[]," * 5_000_000 + b"[]]}"]
)
def test_nothing_but_brackets(kind: ProviderKind, status: int, body: bytes) -> None:
    """A body of millions of lists is not taken apart: it would fill the memory and stop every other call."""
    assert parse_object(body) is None
    assert not isinstance(codec_of(kind).read(TIER, raw(body, status)).outcome, Ok)


def test_long_answers_are_read() -> None:
    """The most brackets are more than the longest answers in use have: a megabyte of code is no attack."""
    code = "def f(a): return [a, {a: (a)}]\n" * 30_000
    assert parse_object(json.dumps({"content": code}).encode()) == {"content": code}


@EVERY
@pytest.mark.parametrize("body", [b"[]", b"[1,2]", b"[{},{}]", b'"x"', b"1", b"null", b'{"a":1,"a":2}', b"[{}]"])
def test_another_top_level(kind: ProviderKind, body: bytes) -> None:
    """JSON that is no object is no answer."""
    for status in (200, 400, 429):
        assert not isinstance(codec_of(kind).read(TIER, raw(body, status)).outcome, Ok)


@EVERY
def test_headers_with_control_characters(kind: ProviderKind) -> None:
    """Names and waits out of headers are on one line, and have an end."""
    names = ("x-request-id", "request-id", "apim-request-id", "x-amzn-requestid", "x-generation-id", "x-ms-region")
    headers = dict.fromkeys((*names, "mistral-correlation-id"), "a\x00\x1b[31m\n" + "z" * 5000)
    headers |= dict.fromkeys(("retry-after", "retry-after-ms", "x-ratelimit-remaining-requests"), "9" * 5000)
    for status in (200, 429):
        evidence = codec_of(kind).read(TIER, raw({"error": {"message": "m" * 9000}}, status, headers)).evidence
        name = evidence.provider_request_id or ""
        assert name.isprintable()
        assert len(name) <= 128


_LONG_WORDS: Final = {f"word{n}" + "x" * 500: 1 for n in range(200)}
_ODD_IMAGE: Final = {"type": "image_url", "image_url": {"url": f"data:image/{'x' * 5000};base64,AAAA"}}


@EVERY
@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": _LONG_WORDS}}]},
        {"messages": [{"role": "user", "content": [_ODD_IMAGE]}]},
    ],
)
def test_why_a_job_cannot_be_expressed_has_an_end(kind: ProviderKind, fields: dict[str, Any]) -> None:
    """Words of a job's own that the reason names are cut."""
    built = codec_of(kind).build(ask(job(**fields)))
    assert not isinstance(built, Unsupported) or len(built.detail) < 400


@EVERY
@pytest.mark.parametrize("arguments", ['{"x": 1e999}', '{"x": NaN}', "[1]", "", "{"])
def test_arguments_that_are_no_json(kind: ProviderKind, arguments: str) -> None:
    """Where arguments are sent as JSON, what JSON does not have cannot be expressed; elsewhere they are a text."""
    call = {"id": "abcdefghi", "type": "function", "function": {"name": "f", "arguments": arguments}}
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "abcdefghi", "content": "1"},
    ]
    tools = [{"type": "function", "function": {"name": "f"}}]
    built = codec_of(kind).build(ask(job(messages=turns, tools=tools, reasoning_effort="none")))
    if not isinstance(built, Unsupported):
        assert parse_object(built.body) is not None
        assert json.dumps(arguments) in built.body.decode()
