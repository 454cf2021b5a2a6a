"""Chat completions in full: every parameter of a job, tool calls, usage; checked by OpenAI's own types."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from chat_cases import (
    CALLED,
    CONVERSATION,
    JSON_SCHEMA,
    SPREAD,
    as_openai_reads_it,
    as_openai_takes_it,
    chat_job,
    chat_jobs,
    left_out,
    picture,
)
from hypothesis import given
from provider_samples import ask, compatible, completion, openai, raw, sent, tier

from pointsman_routes import (
    Answer,
    CalledFunction,
    Empty,
    Job,
    Misrouted,
    Ok,
    Outcome,
    OutcomeKind,
    Refused,
    ToolCall,
    Transient,
    Truncated,
    Unauthorized,
    Unsupported,
    Usage,
)
from pointsman_worker.providers import Ask
from pointsman_worker.providers.openai import OpenAICompatibleCodec

TIER = tier()
EITHER = pytest.mark.parametrize("make", [openai, compatible])
WEATHER_CALL = ToolCall(id="c1", function=CalledFunction(name="weather", arguments='{"n":1}'))


def calling(*calls: object, content: object = None, finish: object = "tool_calls", **message: object) -> dict[str, Any]:
    """A completion that calls tools."""
    turn = {"role": "assistant", "content": content, "tool_calls": list(calls), **message}
    whole = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-5-mini-2025-08-07"}
    return whole | {"choices": [{"index": 0, "message": turn, "finish_reason": finish}]}


def outcome_of(body: object, status: int = 200) -> Outcome:
    """What becomes of a reply."""
    return openai().read(TIER, raw(body, status)).outcome


@EITHER
@pytest.mark.parametrize("name", sorted(set(SPREAD) - {"many stops"}))
def test_a_job_is_sent_as_openais_types_have_it(make: Callable[[], OpenAICompatibleCodec], name: str) -> None:
    """Each kind of job gives a request that OpenAI's SDK could have built, and nothing of the job is missing."""
    body = sent(make().build(ask(SPREAD[name])))
    as_openai_takes_it(body)
    assert left_out(SPREAD[name], body) == []
    assert body.get("reasoning_effort") == SPREAD[name].reasoning_effort


@EITHER
@given(job=chat_jobs())
def test_any_job_is_sent_whole_or_not_at_all(make: Callable[[], OpenAICompatibleCodec], job: Job) -> None:
    """No parameter is dropped or rewritten, whatever the job."""
    request = make().build(ask(job))
    if isinstance(request, Unsupported):
        assert len(job.stop or ()) > 4
        return
    body = sent(request)
    as_openai_takes_it(body)
    assert left_out(job, body) == []
    assert body.get("reasoning_effort") == job.reasoning_effort


def test_a_conversation_with_tools_is_sent_as_it_was_held() -> None:
    """Calls, answers to them, and the null that stands beside a call."""
    assert sent(openai().build(ask(chat_job(*CONVERSATION))))["messages"] == list(CONVERSATION)


def test_an_image_keeps_its_detail_and_a_schema_its_nulls() -> None:
    """What is left out is what the job leaves out, not what it says is null."""
    body = sent(openai().build(ask(chat_job(picture(detail="high"), response_format=JSON_SCHEMA))))
    assert body["messages"] == [picture(detail="high")]
    assert body["response_format"] == JSON_SCHEMA


def test_a_tiers_class_of_service_is_asked_for_and_the_one_served_is_kept() -> None:
    """The two may differ, and the price with them."""
    flex = tier(service_tier="flex")
    body = sent(openai().build(Ask(job=chat_job(), tier=flex, max_tokens=64)))
    as_openai_takes_it(body)
    assert body["service_tier"] == "flex"
    reply = openai().read(flex, raw(completion(service_tier="default")))
    assert reply.evidence.service_tier == "default"


@pytest.mark.parametrize("seed", [2**63, -(2**63) - 1])
def test_a_seed_of_more_than_64_bits_is_unsupported(seed: int) -> None:
    """Servers refuse it as a malformed request, which would fail the job."""
    assert openai().build(ask(chat_job(seed=seed))) == Unsupported(detail="seed: not an integer of 64 bits")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (calling(CALLED), Ok(answer=Answer(content="", finish_reason="tool_calls", tool_calls=(WEATHER_CALL,)))),
        (calling(CALLED, content="let me see"),
         Ok(answer=Answer(content="let me see", finish_reason="tool_calls", tool_calls=(WEATHER_CALL,)))),
        (calling(CALLED, finish="stop"),
         Ok(answer=Answer(content="", finish_reason="tool_calls", tool_calls=(WEATHER_CALL,)))),
        (calling(CALLED, finish="length"),
         Truncated(answer=Answer(content="", finish_reason="length", tool_calls=(WEATHER_CALL,)))),
        (calling(CALLED, {**CALLED, "id": "c2"}),
         Ok(answer=Answer(content="", finish_reason="tool_calls",
                          tool_calls=(WEATHER_CALL, WEATHER_CALL.model_copy(update={"id": "c2"}))))),
        (calling(finish="stop"), Empty()),
        (calling(CALLED, refusal="No."), Refused(detail="refusal")),
        (calling(CALLED) | {"model": "gpt-4o"}, Misrouted(detail="asked for gpt-5-mini, answered by gpt-4o")),
    ],
)  # fmt: skip
def test_a_tool_call_is_an_answer(body: dict[str, Any], expected: Outcome) -> None:
    """With or without words beside it; the samples are answers to OpenAI's SDK too."""
    as_openai_reads_it(body)
    assert outcome_of(body) == expected


@pytest.mark.parametrize("arguments", ["", "{", '{"n": 1, "n": 2}'])
def test_arguments_are_what_the_model_wrote(arguments: str) -> None:
    """Whether they are JSON is for whoever runs the tool to see."""
    outcome = outcome_of(calling({**CALLED, "function": {"name": "weather", "arguments": arguments}}))
    assert isinstance(outcome, Ok)
    assert outcome.answer.tool_calls[0].function.arguments == arguments


def test_a_call_may_omit_its_type() -> None:
    """Some servers do; there is but one type that a job offers."""
    untyped = {name: value for name, value in CALLED.items() if name != "type"}
    for call in (untyped, {**untyped, "type": None, "index": 0}):
        outcome = outcome_of(calling(call))
        assert isinstance(outcome, Ok)
        assert outcome.answer.tool_calls == (WEATHER_CALL,)


@pytest.mark.parametrize(
    "call",
    [
        None,
        "weather",
        {},
        {**CALLED, "id": None},
        {**CALLED, "id": ""},
        {**CALLED, "id": 7},
        {**CALLED, "type": "custom", "custom": {"name": "weather", "input": "x"}},
        {**CALLED, "function": None},
        {**CALLED, "function": {"name": "", "arguments": "{}"}},
        {**CALLED, "function": {"name": "weather"}},
        {**CALLED, "function": {"name": "weather", "arguments": {"n": 1}}},
    ],
)
def test_a_call_nobody_can_read_breaks_the_answer(call: object) -> None:
    """Half the calls of an answer are no answer, and they may have been billed."""
    for calls in ([call], [CALLED, call]):
        outcome = outcome_of(calling(*calls, content="hi"))
        assert isinstance(outcome, Transient)
        assert outcome.may_be_billed


@pytest.mark.parametrize("calls", ["c1", {"0": CALLED}, 3, True])
def test_calls_that_are_no_list_break_the_answer(calls: object) -> None:
    """A shape that nobody documents."""
    body = calling()
    body["choices"][0]["message"]["tool_calls"] = calls
    assert outcome_of(body).kind is OutcomeKind.TRANSIENT


def test_what_a_filter_took_is_refused_with_or_without_a_message() -> None:
    """Azure leaves the content out; the reason says why."""
    for message in ({"role": "assistant"}, {"role": "assistant", "content": None}, None):
        body = completion() | {"choices": [{"index": 0, "message": message, "finish_reason": "content_filter"}]}
        assert outcome_of(body) == Refused(detail="content_filter")


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (
            {
                "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
                "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
                "completion_tokens_details": {"reasoning_tokens": 40},
            },
            Usage(input_tokens=100, output_tokens=50, cached_input_tokens=60, cache_write_tokens=30,
                  reasoning_tokens=40),
        ),
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
             "prompt_tokens_details": None, "completion_tokens_details": {"reasoning_tokens": 0}},
            Usage(input_tokens=10, output_tokens=5, reasoning_tokens=0),
        ),
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
             "prompt_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 8},
             "completion_tokens_details": {"reasoning_tokens": 9}},
            Usage(input_tokens=10, output_tokens=5, cached_input_tokens=8, cache_write_tokens=2, reasoning_tokens=5),
        ),
        (
            {"prompt_tokens": 12, "completion_tokens": 1, "total_tokens": 241,
             "completion_tokens_details": {"reasoning_tokens": 228}},
            Usage(input_tokens=12, output_tokens=229, reasoning_tokens=228),
        ),
    ],
)  # fmt: skip
def test_usage_is_whole_and_its_parts_are_no_more_than_the_whole(usage: dict[str, Any], expected: Usage) -> None:
    """Cached, written and reasoning tokens are shares; where the total says that reasoning comes on top, it does."""
    body = completion(usage=usage, object="chat.completion", created=1)
    as_openai_reads_it(body)
    assert openai().read(TIER, raw(body)).evidence.usage == expected


@pytest.mark.parametrize("detail", [None, "60", -1, True, 5.5, [], {}])
def test_a_share_that_cannot_be_one_is_unknown(detail: object) -> None:
    """Reasoning that nobody tells is None, not zero."""
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": detail, "cache_write_tokens": detail},
        "completion_tokens_details": {"reasoning_tokens": detail},
    }
    evidence = openai().read(TIER, raw(completion(usage=usage))).evidence
    assert evidence.usage == Usage(input_tokens=10, output_tokens=5)


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, {"message": "Invalid service_tier argument", "type": "invalid_request_error"}, OutcomeKind.UNSUPPORTED),
        (400, {"message": "Unrecognized request argument supplied: reasoning_effort"}, OutcomeKind.UNSUPPORTED),
        (400, {"message": "Unknown parameter: 'seed'.", "code": "unknown_parameter"}, OutcomeKind.UNSUPPORTED),
        (422, {"message": "Extra inputs are not permitted"}, OutcomeKind.UNSUPPORTED),
        (400, {"message": "Unsupported parameter: 'stop' is not supported with this model.",
               "code": "unsupported_parameter"}, OutcomeKind.UNSUPPORTED),
        (400, {"message": "Unsupported value: 'temperature' does not support 0.2 with this model.",
               "code": "unsupported_value"}, OutcomeKind.UNSUPPORTED),
        (400, {"message": "Invalid schema for response_format 'n'", "code": "invalid_value"}, OutcomeKind.UNSUPPORTED),
        (429, {"message": "Resource unavailable", "code": "resource_unavailable"}, OutcomeKind.OVERLOADED),
    ],
)  # fmt: skip
def test_what_one_model_cannot_take_another_may(status: int, error: dict[str, str], kind: OutcomeKind) -> None:
    """A parameter unknown here, or a class of service, fails no job for good."""
    assert outcome_of({"error": error}, status).kind is kind


def test_a_project_of_another_region_closes_the_tier() -> None:
    """The wrong host is a mistake of the configuration; its name is in the record, what the vendor wrote is not."""
    error = {
        "message": "Attempted to access resource with incorrect regional hostname. Please make your request to us.api",
        "type": "invalid_request_error",
        "code": "incorrect_hostname",
        "param": None,
    }
    expected = Unauthorized(detail="HTTP 401 invalid_request_error incorrect_hostname")
    assert outcome_of({"error": error, "status": 401}, 401) == expected


def test_bodies_are_compact_utf8() -> None:
    """What is sent is JSON in UTF-8 without escapes, so its length is that of the text."""
    request = openai().build(ask(chat_job({"role": "user", "content": "日本"})))
    assert not isinstance(request, Unsupported)
    assert "日本".encode() in request.body
    assert json.loads(request.body)["messages"] == [{"role": "user", "content": "日本"}]
