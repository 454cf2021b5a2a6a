"""Lines written from requests and answers of the chat completions API: what asks for nothing may stand in them."""

import json
from typing import Any

import pytest
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming

from pointsman_producer import Job, LineProblem
from pointsman_producer.line_parser import LineParser

USER = {"role": "user", "content": "What is the weather?"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
TOOL = {"type": "function", "function": {"name": "weather"}}
# As `model_dump_json()` of OpenAI's SDK writes the message of an answer.
SPOKEN: dict[str, Any] = {
    "role": "assistant", "content": "Which town?", "refusal": None, "annotations": [], "audio": None,
    "function_call": None, "tool_calls": None,
}  # fmt: skip
CALLING = {**SPOKEN, "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "rain"}
CARRIED = {
    "messages", "model", "max_tokens", "max_completion_tokens", "metadata", "reasoning_effort", "response_format",
    "seed", "stop", "temperature", "tool_choice", "tools", "top_p",
}  # fmt: skip


def _native(*messages: object, **fields: object) -> dict[str, object]:
    return {"custom_id": "t-1", "class": "triage", "messages": list(messages) or [USER], **fields}


def _batch(*messages: object, **fields: object) -> dict[str, object]:
    body = {"model": "triage", "messages": list(messages) or [USER], **fields}
    return {"custom_id": "t-1", "method": "POST", "url": "/v1/chat/completions", "body": body}


FORMS = pytest.mark.parametrize("form", [_native, _batch])


def _parse(line: object) -> Job | LineProblem:
    return LineParser(["triage"]).parse(7, json.dumps(line).encode())


def _job(line: object) -> Job:
    job = _parse(line)
    assert isinstance(job, Job), job
    return job


@pytest.mark.parametrize(
    ("key", "harmless", "asks"),
    [
        ("audio", None, {"voice": "alloy", "format": "wav"}),
        ("frequency_penalty", 0.0, 0.5),
        ("function_call", "none", "auto"),
        ("functions", [], [{"name": "f"}]),
        ("logit_bias", {}, {"50256": -100}),
        ("logprobs", False, True),
        ("modalities", ["text"], ["text", "audio"]),
        ("n", 1, 2),
        ("parallel_tool_calls", True, False),
        ("prediction", None, {"type": "content", "content": "x"}),
        ("presence_penalty", 0, -1),
        ("prompt_cache_key", None, "k"),
        ("safety_identifier", None, "k"),
        ("service_tier", "auto", "flex"),
        ("store", False, True),
        ("stream", False, True),
        ("stream_options", None, {"include_usage": True}),
        ("top_logprobs", None, 3),
        ("user", None, "user-1"),
        ("verbosity", "medium", "low"),
        ("web_search_options", None, {}),
    ],
)
def test_parameter_that_no_job_has(key: str, harmless: object, asks: object) -> None:
    """It may ask for what happens anyway; asking for more is refused with its name and its line."""
    assert _job(_batch(**{key: harmless})) == _job(_batch())
    assert _job(_batch(**{key: None})) == _job(_batch())
    problem = _parse(_batch(**{key: asks}))
    assert isinstance(problem, LineProblem)
    assert str(problem).startswith(f'line 7: "body.{key}" must be ')


@pytest.mark.parametrize("key", sorted(CompletionCreateParamsNonStreaming.__annotations__.keys() - CARRIED))
def test_nothing_of_the_api_is_dropped(key: str) -> None:
    """Whatever OpenAI's own types have beyond a job's parameters, a value of it is refused, naming key and line."""
    problem = _parse(_batch(**{key: {"something": "asked"}}))
    assert isinstance(problem, LineProblem)
    assert str(problem).startswith("line 7: ")
    assert f'"body.{key}"' in str(problem)


@FORMS
def test_conversation_taken_from_answers(form: Any) -> None:
    """Messages as the SDK writes them out are those without their nulls and empty lists."""
    asking = {"role": "assistant", "content": "Which town?"}
    plain = [USER, asking, USER, {"role": "assistant", "content": None, "tool_calls": [CALL]}, RESULT]
    written = [USER, SPOKEN, {**USER, "name": None}, CALLING, {**RESULT, "tool_calls": []}]
    assert _job(form(*written)) == _job(form(*plain))


@FORMS
def test_reasoning_that_is_empty(form: Any) -> None:
    """DeepSeek's and OpenRouter's answers have it; empty it says nothing, and anything else is refused."""
    empty = {**SPOKEN, "reasoning_content": None, "reasoning": ""}
    assert _job(form(USER, empty, USER)) == _job(form(USER, SPOKEN, USER))
    problem = _parse(form(USER, {**SPOKEN, "reasoning_content": "hmm"}, USER))
    assert isinstance(problem, LineProblem)
    assert 'messages[1].reasoning_content"' in str(problem)


@FORMS
def test_name_beside_a_tools_result(form: Any) -> None:
    """The name of the function that was called says nothing new; another name, or anybody's, is refused."""
    assert _job(form(USER, CALLING, {**RESULT, "name": "weather"})) == _job(form(USER, CALLING, RESULT))
    for messages in ((USER, CALLING, {**RESULT, "name": "time"}), ({**USER, "name": "Ada"},)):
        problem = _parse(form(*messages))
        assert isinstance(problem, LineProblem)
        assert f'messages[{len(messages) - 1}].name"' in str(problem)


@FORMS
@pytest.mark.parametrize("key", sorted(CARRIED - {"messages", "model", "max_completion_tokens"}))
def test_null_is_absent(form: Any, key: str) -> None:
    """A parameter that is null is one that is not there."""
    assert _job(form(**{key: None})) == _job(form())


@FORMS
def test_no_tools(form: Any) -> None:
    """An empty list of tools offers none; a choice among them is still refused."""
    assert _job(form(tools=[])) == _job(form())
    assert _job(form(tools=[TOOL])).tools is not None
    assert isinstance(_parse(form(tools=[], tool_choice="required")), LineProblem)


@FORMS
@pytest.mark.parametrize("content", [None, ""])
def test_an_answer_that_said_nothing(form: Any, content: str | None) -> None:
    """A message without content says what is missing; an empty one is taken as it stands."""
    parsed = _parse(form(USER, {**SPOKEN, "content": content}, USER))
    assert isinstance(parsed, LineProblem if content is None else Job)


@pytest.mark.parametrize("messages", [None, 3, [], [3, None], [{"tool_calls": [3, {"function": 4}]}]])
@FORMS
def test_odd_messages(form: Any, messages: object) -> None:
    """Whatever stands where messages should be is a problem of that line, never a crash."""
    line = json.loads(json.dumps(form()))
    line.get("body", line)["messages"] = messages
    assert isinstance(_parse(line), LineProblem)
