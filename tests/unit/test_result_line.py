"""A result line holds a chat completion as OpenAI's own types have it, whichever vendor answered."""

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion
from queue_cases import make_lease
from worker_cases import make_report, run

from pointsman_routes import Answer, CalledFunction, Evidence, Message, Ok, Outcome, ToolCall, Truncated, Usage
from pointsman_worker.report import Report

CALL = ToolCall(id="call_1", function=CalledFunction(name="weather", arguments='{"town": "Zürich ☃"}'))
USAGE = Usage(input_tokens=12, output_tokens=5, cached_input_tokens=3, cache_write_tokens=2, reasoning_tokens=4)


async def _body(outcome: Outcome, **evidence: Any) -> tuple[ChatCompletion, dict[str, Any]]:
    facts: dict[str, Any] = {"http_status": 200, "response_model": "a-large-0613", "usage": USAGE, **evidence}
    settlement = await run(make_lease(), Report(outcome=outcome, evidence=Evidence(**facts)))
    body = json.loads(settlement.result)["response"]["body"]
    return ChatCompletion.model_validate(body, strict=True), body


async def test_calls_of_tools() -> None:
    """Calls stand where OpenAI has them, with null for the content that is not there."""
    answer = Answer(content="", finish_reason="tool_calls", tool_calls=(CALL, CALL))
    completion, body = await _body(Ok(answer=answer))
    (choice,) = completion.choices
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    assert body["choices"][0]["message"]["content"] is None
    assert [call.model_dump() for call in choice.message.tool_calls or ()] == [CALL.model_dump()] * 2


async def test_text_beside_calls() -> None:
    """What was said beside calls of tools is kept."""
    completion, _ = await _body(Ok(answer=Answer(content="Look:", finish_reason="tool_calls", tool_calls=(CALL,))))
    assert completion.choices[0].message.content == "Look:"


async def test_cut_answer() -> None:
    """A truncated answer, delivered as the class accepts it, says `length`."""
    completion, _ = await _body(Truncated(answer=Answer(content="Once", finish_reason="length")))
    assert completion.choices[0].finish_reason == "length"


async def test_usage_in_full() -> None:
    """Tokens of the prompt include the cached ones, those of the answer what it thought in."""
    completion, _ = await _body(Ok(answer=Answer(content="hi", finish_reason="stop")))
    usage = completion.usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (12, 5, 17)
    assert usage.prompt_tokens_details is not None
    assert usage.prompt_tokens_details.cached_tokens == 3
    assert usage.completion_tokens_details is not None
    assert usage.completion_tokens_details.reasoning_tokens == 4


@pytest.mark.parametrize("usage", [None, Usage(input_tokens=1, output_tokens=2)])
async def test_what_is_not_known_is_left_out(usage: Usage | None) -> None:
    """Usage nobody told, and thoughts nobody counted, are absent, not zero."""
    completion, body = await _body(Ok(answer=Answer(content="hi", finish_reason="stop")), usage=usage)
    assert (completion.usage is None) is (usage is None)
    assert "completion_tokens_details" not in body.get("usage", {})


async def test_a_conversation_can_be_continued() -> None:
    """The message of a result is a message of the next job."""
    for answer in (
        make_report().outcome,
        Ok(answer=Answer(content="", finish_reason="tool_calls", tool_calls=(CALL,))),
    ):
        _, body = await _body(answer)
        message = body["choices"][0]["message"]
        assert Message.model_validate(message).model_dump(exclude_none=True, mode="json") == {
            key: value for key, value in message.items() if value is not None
        }
