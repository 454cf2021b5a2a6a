"""What is read from an answer of the messages API, out of shapes that Anthropic's own SDK reads too."""

import copy
import json
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from anthropic.types import Message, StopReason
from anthropic.types.shared import ErrorResponse
from hypothesis import given
from hypothesis import strategies as st
from provider_samples import KEY, anthropic, raw, tier

from pointsman_routes import Answer, CalledFunction, Empty, Exhausted, Ok, ToolCall, Transient, Truncated, Usage
from pointsman_worker.providers import Reply
from pointsman_worker.providers.anthropic import AnthropicCodec
from pointsman_worker.providers.messages_answer import MESSAGES_FINISHES

TIER = tier("claude-opus-5-5")
USE = {"type": "tool_use", "id": "toolu_1", "name": "search", "input": {"city": "Zürich", "n": 2}}
CALL = ToolCall(id="toolu_1", function=CalledFunction(name="search", arguments='{"city":"Zürich","n":2}'))
ANSWER: dict[str, Any] = {
    "id": "msg_01",
    "type": "message",
    "role": "assistant",
    "model": "claude-opus-5-5",
    "content": [
        {"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "ZGF0YQ=="},
        {"type": "text", "text": "Looking.", "citations": None},
        USE,
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "stop_details": None,
    "container": None,
    "usage": {
        "input_tokens": 10,
        "cache_creation_input_tokens": 20,
        "cache_read_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 40,
        "output_tokens_details": {"thinking_tokens": 25},
        "server_tool_use": None,
        "service_tier": "priority",
        "inference_geo": "us",
        "speed": "standard",
    },
}


def changed(**fields: Any) -> dict[str, Any]:
    """The sample, otherwise."""
    return {**ANSWER, **fields}


def reply_to(body: object, region: str | None = None, **headers: str) -> Reply:
    """What becomes of a 200."""
    return anthropic(region).read(TIER, raw(body, headers=headers))


def usage_of(**fields: object) -> Usage | None:
    """What is read of a usage."""
    return reply_to(changed(usage={"input_tokens": 10, "output_tokens": 3, **fields})).evidence.usage


def test_the_sample_is_what_the_vendors_sdk_reads() -> None:
    """The SDK finds the same text, call and counts in it."""
    read = Message.model_validate_json(json.dumps(ANSWER))
    assert read.to_dict(exclude_unset=True) == ANSWER
    blocks = {block.type: block for block in read.content}
    assert blocks["tool_use"].to_dict() == USE
    assert read.usage.output_tokens_details is not None
    assert read.usage.output_tokens_details.thinking_tokens == 25


def test_text_and_calls_are_the_answer_and_thoughts_are_not() -> None:
    """Arguments are compact JSON, as they would be in a chat completion."""
    reply = reply_to(ANSWER, "us", **{"request-id": "req_1"})
    assert reply.outcome == Ok(answer=Answer(content="Looking.", finish_reason="tool_calls", tool_calls=(CALL,)))
    evidence = reply.evidence
    assert evidence.usage == Usage(
        input_tokens=60, output_tokens=40, cached_input_tokens=30, cache_write_tokens=20, reasoning_tokens=25
    )
    assert (evidence.response_model, evidence.response_region) == ("claude-opus-5-5", "us")
    assert (evidence.service_tier, evidence.finish_reason) == ("priority", "tool_use")
    assert evidence.provider_request_id == "req_1"


def test_a_call_alone_is_an_answer() -> None:
    """Who calls a tool need not speak; several calls keep their order."""
    outcome = reply_to(changed(content=[USE, {**USE, "id": "toolu_2", "input": {}}])).outcome
    second = ToolCall(id="toolu_2", function=CalledFunction(name="search", arguments="{}"))
    assert outcome == Ok(answer=Answer(content="", finish_reason="tool_calls", tool_calls=(CALL, second)))


def test_a_call_cut_off_at_the_limit_is_truncated() -> None:
    """The limit is told even where a call is whole: others may be missing."""
    outcome = reply_to(changed(stop_reason="max_tokens")).outcome
    assert outcome == Truncated(answer=Answer(content="Looking.", finish_reason="length", tool_calls=(CALL,)))


@pytest.mark.parametrize(
    "broken",
    [{"id": ""}, {"id": 5}, {"name": None}, {"name": ""}, {"input": None}, {"input": "{}"}, {"input": [{}]}],
)
def test_half_the_calls_are_no_answer(broken: dict[str, Any]) -> None:
    """A call nobody can read makes the answer unreadable, whatever stands beside it; alone it says nothing."""
    spoken = reply_to(changed(content=[*ANSWER["content"], {**USE, **broken}])).outcome
    assert isinstance(spoken, Transient)
    assert spoken.may_be_billed
    assert reply_to(changed(content=[{**USE, **broken}])).outcome == Empty()
    assert reply_to(changed(content=[USE, {**USE, **broken}])).outcome == Empty()


def test_an_infinite_argument_is_no_json() -> None:
    """1e999 is a number in JSON, and none that can be written again."""
    body = json.dumps(changed(content=[{**USE, "input": {"n": "here"}}])).replace('"here"', "1e999").encode()
    assert reply_to(body).outcome == Empty()


@pytest.mark.parametrize("reason", [*get_args(StopReason), "compaction", "", "tool_calls"])
def test_every_reason_to_stop_is_known_or_broken(reason: str) -> None:
    """Of the SDK's list only pause_turn, which is of server tools, is no end of ours; nor is anything unheard of."""
    assert (reason in MESSAGES_FINISHES) == (reason in set(get_args(StopReason)) - {"pause_turn"})
    outcome = reply_to(changed(stop_reason=reason)).outcome
    assert isinstance(outcome, Transient) == (reason not in MESSAGES_FINISHES)


@pytest.mark.parametrize(
    ("details", "reasoning"),
    [
        (None, None),
        ({}, None),
        ({"thinking_tokens": None}, None),
        ({"thinking_tokens": -1}, None),
        ({"thinking_tokens": "2"}, None),
        ([], None),
        ({"thinking_tokens": 0}, 0),
        ({"thinking_tokens": 2}, 2),
        ({"thinking_tokens": 9}, 3),
    ],
)
def test_thoughts_are_counted_where_the_vendor_counts_them(details: object, reasoning: int | None) -> None:
    """Unknown is None, never zero; and they are a part of the output."""
    assert usage_of(output_tokens_details=details) == Usage(
        input_tokens=10, output_tokens=3, reasoning_tokens=reasoning
    )


def test_fields_nobody_knows_do_not_matter() -> None:
    """The vendor adds outputs within a version."""
    assert usage_of(iterations=[{}], speed="fast", cache_creation=None) == Usage(input_tokens=10, output_tokens=3)


def error(status_type: str, code: str | None = None, message: str = "no") -> dict[str, Any]:
    """An error as the API sends it."""
    inner: dict[str, Any] = {"type": status_type, "message": message}
    if code is not None:
        inner["details"] = {"error_code": code}
    return {"type": "error", "error": inner, "request_id": "req_7"}


def test_an_error_names_its_call_in_the_body_too() -> None:
    """Where a proxy swallowed the header, the body has the id for the vendor's support."""
    body = error("rate_limit_error", "enforced_spend_limit_reached")
    assert ErrorResponse.model_validate(body).request_id == "req_7"
    assert anthropic().read(TIER, raw(body, 429)).evidence.provider_request_id == "req_7"
    given_both = anthropic().read(TIER, raw(body, 429, {"request-id": "req_8"}))
    assert given_both.evidence.provider_request_id == "req_8"
    assert getattr(given_both.outcome, "detail", "") == "HTTP 429 rate_limit_error enforced_spend_limit_reached: no"


@pytest.mark.parametrize(
    ("now", "seconds"),
    [
        (datetime(2026, 10, 31, 18, 0, tzinfo=UTC), 6 * 3600.0),
        (datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), 1.0),
        (datetime(2028, 2, 1, tzinfo=UTC), 29 * 86400.0),
    ],
)
def test_the_cap_of_a_usage_tier_is_lifted_on_the_first_of_the_month(now: datetime, seconds: float) -> None:
    """The 429 of a tier's monthly cap has no Retry-After, but its end is known; of other spend limits it is not."""
    codec = AnthropicCodec("https://api.anthropic.com", KEY, now=lambda: now)
    for code, expected in {"enforced_spend_limit_reached": seconds, "contract_spend_limit_reached": None}.items():
        outcome = codec.read(TIER, raw(error("rate_limit_error", code), 429)).outcome
        assert isinstance(outcome, Exhausted)
        assert outcome.reset_after_s == expected


JUNK: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4) | st.just([[]])
)
HOSTILE: st.SearchStrategy[Any] = st.recursive(
    JUNK, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner)
)


@given(data=st.data(), status=st.sampled_from([200, 200, 400, 429, 529]))
def test_no_damage_to_an_answer_or_an_error_raises(data: st.DataObject, status: int) -> None:
    """Any value at any place may be anything."""
    body = copy.deepcopy(data.draw(st.sampled_from([ANSWER, error("rate_limit_error", "x")])))
    spot: Any = body
    while True:
        key = data.draw(st.sampled_from(sorted(spot) if isinstance(spot, dict) else range(len(spot))))
        if not isinstance(spot[key], dict | list) or not spot[key] or data.draw(st.booleans()):
            break
        spot = spot[key]
    spot[key] = data.draw(HOSTILE)
    reply = anthropic("us").read(TIER, raw(json.dumps(body).encode("utf-8", "surrogatepass"), status))
    assert reply.evidence.http_status == status
    assert status == 200 or not isinstance(reply.outcome, Ok | Truncated | Empty)
