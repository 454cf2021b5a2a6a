"""Ollama's chat API: what its answers and errors become, and that nothing it sends can break the reading of it."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama import ChatResponse
from provider_samples import KEY, NOW, raw, tier

from pointsman_routes import (
    Answer,
    CalledFunction,
    Empty,
    Exhausted,
    Misrouted,
    Ok,
    Outcome,
    OutcomeKind,
    ToolCall,
    Transient,
    Truncated,
    Usage,
)
from pointsman_worker.providers import Reply
from pointsman_worker.providers.ollama import OllamaCodec

TIER = tier("qwen3:8b")


def answer(content: object = "hi", **fields: object) -> dict[str, object]:
    """An answer as docs/api.md has it; a field set to `...` is left out."""
    message = {"role": "assistant", "content": content, **dict.fromkeys(fields.keys() & {"tool_calls", "thinking"})}
    message |= {name: fields.pop(name) for name in ("tool_calls", "thinking") if name in fields}
    given = {
        "model": "qwen3:8b",
        "created_at": "2026-10-31T17:59:58.196249Z",
        "message": message,
        "done": True,
        "done_reason": "stop",
        "total_duration": 4_883_583_458,
        "load_duration": 1_334_875,
        "prompt_eval_count": 26,
        "prompt_eval_duration": 342_546_000,
        "eval_count": 282,
        "eval_duration": 4_535_599_000,
        **fields,
    }
    return {name: value for name, value in given.items() if value is not ...}


def read(payload: object, status: int = 200, region: str | None = None, headers: Mapping[str, str] = {}) -> Reply:
    """What becomes of a reply."""
    return OllamaCodec("http://localhost:11434", KEY, region=region, now=lambda: NOW).read(
        TIER, raw(payload, status, headers)
    )


def outcome(payload: object, status: int = 200, region: str | None = None) -> Outcome:
    """The outcome of a reply."""
    return read(payload, status, region).outcome


def test_an_answer() -> None:
    """What is said, by which model, with both counts."""
    payload = answer(thinking="the user greets me")
    assert ChatResponse.model_validate(payload).message.content == "hi"
    reply = read(payload)
    assert reply.outcome == Ok(answer=Answer(content="hi", finish_reason="stop"))
    assert reply.evidence.response_model == "qwen3:8b"
    assert reply.evidence.finish_reason == "stop"
    assert reply.evidence.usage == Usage(input_tokens=26, output_tokens=282)
    assert reply.evidence.http_status == 200


@pytest.mark.parametrize("content", ["", "  \n", "\u200b", None])
def test_nothing_said_is_empty_also_if_much_was_thought(content: object) -> None:
    """What a model thought is no answer."""
    assert outcome(answer(content, thinking="hm")) == Empty()


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"done_reason": "stop"}, OutcomeKind.OK),
        ({"done_reason": "length"}, OutcomeKind.TRUNCATED),
        ({"done_reason": "load"}, OutcomeKind.TRANSIENT),
        ({"done_reason": "unload"}, OutcomeKind.TRANSIENT),
        ({"done_reason": "new"}, OutcomeKind.TRANSIENT),
        ({"done_reason": ...}, OutcomeKind.TRANSIENT),
        ({"done_reason": 7}, OutcomeKind.TRANSIENT),
        ({"done": False}, OutcomeKind.TRANSIENT),
        ({"done": ...}, OutcomeKind.TRANSIENT),
        ({"message": ...}, OutcomeKind.TRANSIENT),
        ({"message": "hi"}, OutcomeKind.TRANSIENT),
        ({"model": "llama3.2"}, OutcomeKind.MISROUTED),
        ({"model": "qwen3:8b-cloud"}, OutcomeKind.MISROUTED),
        ({"model": "qwen3"}, OutcomeKind.MISROUTED),
        ({"model": 7}, OutcomeKind.TRANSIENT),
    ],
)
def test_how_an_answer_ends(fields: dict[str, object], kind: OutcomeKind) -> None:
    """An answer counts only if the server says that it is whole, and is the model's that was asked for, tag and all."""
    assert outcome(answer(**fields)).kind is kind


def test_a_cut_answer_is_kept() -> None:
    """With the reason in our words and in the server's."""
    reply = read(answer("half an", done_reason="length"))
    assert reply.outcome == Truncated(answer=Answer(content="half an", finish_reason="length"))
    assert reply.evidence.finish_reason == "length"


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt_eval_count": ...},
        {"prompt_eval_count": 0},
        {"prompt_eval_count": -1},
        {"prompt_eval_count": "26"},
        {"eval_count": ...},
        {"eval_count": True},
    ],
)
def test_a_count_that_is_missing_is_unknown(fields: dict[str, object]) -> None:
    """Older servers leave out a prompt they had cached; no prompt has no tokens."""
    assert read(answer(**fields)).evidence.usage is None


def test_tool_calls() -> None:
    """Arguments become JSON text; a call without an id gets one that no other turn has."""
    named = {"id": "call_x", "function": {"index": 0, "name": "weather", "arguments": {"city": "Zürich", "n": 1}}}
    unnamed = {"function": {"name": "time", "arguments": {}}}
    payload = answer("", tool_calls=[named, unnamed])
    assert ChatResponse.model_validate(payload).message.tool_calls is not None
    expected = (
        ToolCall(id="call_x", function=CalledFunction(name="weather", arguments='{"city":"Zürich","n":1}')),
        ToolCall(id="call_20261031175958196249_1", function=CalledFunction(name="time", arguments="{}")),
    )
    assert outcome(payload) == Ok(answer=Answer(content="", finish_reason="tool_calls", tool_calls=expected))


@pytest.mark.parametrize(
    "calls",
    [
        "weather",
        [7],
        [{"function": {"arguments": {}}}],
        [{"function": {"name": "f", "arguments": "{}"}}],
        [{"function": {"name": "f", "arguments": {}}}, {}],
    ],
)
def test_half_the_tool_calls_are_no_answer(calls: object) -> None:
    """One call that cannot be read breaks the answer."""
    assert isinstance(outcome(answer("hi", tool_calls=calls)), Transient)


def test_a_local_model_that_was_run_elsewhere_is_misrouted() -> None:
    """The server names the host it handed the prompt on to; only a provider that is local promised otherwise."""
    handed_on = answer(remote_model="qwen3:8b", remote_host="https://ollama.com:443")
    assert isinstance(outcome(handed_on, region="local"), Misrouted)
    for region in (None, "us"):
        reply = read(handed_on, region=region)
        assert isinstance(reply.outcome, Ok)
        assert reply.evidence.upstream == "https://ollama.com:443"
    assert isinstance(outcome(answer(), region="local"), Ok)


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, '"qwen3:8b" does not support thinking', OutcomeKind.UNSUPPORTED),
        (400, "registry.ollama.ai/library/gemma3:1b does not support tools", OutcomeKind.UNSUPPORTED),
        (400, '"all-minilm" does not support chat', OutcomeKind.UNSUPPORTED),
        (
            400,
            "the prompt is longer than the context length currently available to the model; shorten the prompt",
            OutcomeKind.UNSUPPORTED,
        ),
        (
            400,
            '{"error":{"code":400,"message":"request (9000 tokens) exceeds the available context size (4096 tokens)"}}',
            OutcomeKind.UNSUPPORTED,
        ),
        (400, "JSON schema conversion failed: unresolved ref", OutcomeKind.UNSUPPORTED),
        (400, "failed to parse grammar", OutcomeKind.UNSUPPORTED),
        (400, "this server cannot run this remote model", OutcomeKind.UNSUPPORTED),
        (400, "invalid model name", OutcomeKind.UNSUPPORTED),
        (400, "model is required", OutcomeKind.INVALID),
        (401, "unauthorized", OutcomeKind.UNAUTHORIZED),
        (402, "payment required", OutcomeKind.EXHAUSTED),
        (403, "ollama cloud is disabled: remote inference is unavailable", OutcomeKind.UNAUTHORIZED),
        (403, "this model requires a subscription, upgrade for access", OutcomeKind.UNAUTHORIZED),
        (404, "model 'qwen3:8b' not found", OutcomeKind.UNSUPPORTED),
        (429, "you (acme) have reached your session usage limit, upgrade for higher limits", OutcomeKind.EXHAUSTED),
        (429, "you've reached your weekly usage limit, please wait or upgrade", OutcomeKind.EXHAUSTED),
        (429, "too many concurrent requests", OutcomeKind.THROTTLED),
        (499, "request canceled", OutcomeKind.TRANSIENT),
        (500, "model requires more system memory (8.1 GiB) than is available (5.2 GiB)", OutcomeKind.OVERLOADED),
        (500, "llama runner process has terminated: cudaMalloc failed: out of memory", OutcomeKind.OVERLOADED),
        (500, "CUDA error: out of memory", OutcomeKind.OVERLOADED),
        (500, "llama runner process has terminated: exit status 2", OutcomeKind.TRANSIENT),
        (500, "model runner has unexpectedly stopped, this may be due to resource limitations", OutcomeKind.TRANSIENT),
        (500, "error parsing tool call: raw='{', err=unexpected end of JSON input", OutcomeKind.TRANSIENT),
        (500, 'invalid format: "xml"; expected "json" or a valid JSON Schema object', OutcomeKind.UNSUPPORTED),
        (500, "this model only supports one image while more than one image requested", OutcomeKind.UNSUPPORTED),
        (502, "dial tcp: lookup ollama.com: no such host", OutcomeKind.OVERLOADED),
        (503, "server busy, please try again.  maximum pending requests exceeded", OutcomeKind.OVERLOADED),
        (200, "an error was encountered while running the model", OutcomeKind.TRANSIENT),
    ],
)
def test_errors(status: int, message: str, kind: OutcomeKind) -> None:
    """What the server says is wrong becomes what is to be done; sources in the module."""
    assert outcome({"error": message}, status).kind is kind


@pytest.mark.parametrize(
    ("message", "headers", "reset_s"),
    [
        ("you have reached your session usage limit", {}, 3600.0),
        ("you've reached your hourly usage limit", {"retry-after": "90"}, 90.0),
        ("you have reached your weekly usage limit", {}, 6 * 3600.0),
        ("you have reached your monthly usage limit", {"retry-after": "90"}, 90.0),
    ],
)
def test_a_usage_limit_is_asked_about_again(message: str, headers: dict[str, str], reset_s: float) -> None:
    """ollama.com names no time: a window of hours is tried every hour, a longer one once a day."""
    reply = read({"error": message}, 429, headers=headers)
    assert isinstance(reply.outcome, Exhausted)
    assert reply.outcome.reset_after_s == reset_s


def test_an_error_inside_a_success_may_be_billed() -> None:
    """Generation had begun."""
    broken = outcome({"error": "model runner has unexpectedly stopped"})
    assert isinstance(broken, Transient)
    assert broken.may_be_billed


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_HOSTILE = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("model", "created_at", "done", "done_reason", "prompt_eval_count", "eval_count", "remote_host"), _JSON
    )
    | {
        "error": _JSON,
        "message": _JSON | st.fixed_dictionaries({}, optional={"content": _JSON, "tool_calls": _JSON, "role": _JSON}),
    },
)


@given(_JSON | _HOSTILE, st.sampled_from([200, 204, 302, 400, 403, 404, 429, 499, 500, 503]))
def test_reading_never_raises(payload: object, status: int) -> None:
    """Whatever the server sends, there is an outcome."""
    assert read(payload, status, region="local").outcome.kind in OutcomeKind


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 500, 503])
def test_the_key_is_never_shown(status: int) -> None:
    """Not even if the server says it."""
    reply = read({"error": f"key {KEY.reveal()} is wrong"}, status)
    assert KEY.reveal() not in repr(reply)
