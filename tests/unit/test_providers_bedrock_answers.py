"""Converse's answers: what was said, what was used, and that nothing a vendor sends breaks the reading."""

import json
from typing import Any

import pytest
from bedrock_samples import CORAL, MODEL, TIER, USE, answer, codec, outcome_of
from bedrock_shape import enumerated, parsed
from hypothesis import given
from hypothesis import strategies as st
from provider_samples import KEY, raw, tier

from pointsman_routes import (
    Answer,
    CalledFunction,
    Empty,
    Misrouted,
    Ok,
    Outcome,
    OutcomeKind,
    Refused,
    ToolCall,
    Transient,
    Truncated,
    Usage,
)
from pointsman_worker.providers import RawReply
from pointsman_worker.providers.bedrock_answer import FINISHES

CALL = ToolCall(id="tooluse_0", function=CalledFunction(name="get_weather", arguments='{"place":"Köln"}'))
THOUGHT = {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (answer({"text": "hi"}), Ok(answer=Answer(content="hi", finish_reason="stop"))),
        (answer({"text": "a"}, THOUGHT, {"text": "b"}), Ok(answer=Answer(content="ab", finish_reason="stop"))),
        (answer({"text": "hal"}, stop="max_tokens"), Truncated(answer=Answer(content="hal", finish_reason="length"))),
        (answer(USE, stop="tool_use"), Ok(answer=Answer(content="", finish_reason="tool_calls", tool_calls=(CALL,)))),
        (answer({"text": "so"}, USE, stop="tool_use"),
         Ok(answer=Answer(content="so", finish_reason="tool_calls", tool_calls=(CALL,)))),
        (answer({"text": "Sorry, blocked."}, stop="guardrail_intervened"), Refused(detail="guardrail_intervened")),
        (answer({"text": "part"}, stop="content_filtered"), Refused(detail="content_filtered")),
        (answer(), Empty()),
        (answer({"text": " \n"}), Empty()),
        (answer(THOUGHT), Empty()),
        (answer(stop="max_tokens"), Empty()),
    ],
)  # fmt: skip
def test_what_was_said_is_judged(body: dict[str, object], expected: Outcome) -> None:
    """AWS's own parser reads the same bytes as an answer of Converse, and the judgement is ours."""
    assert parsed(body)["stopReason"] == body["stopReason"]
    assert outcome_of(body) == expected


def test_every_reason_aws_knows_has_its_meaning() -> None:
    """The table is AWS's list, no more and no less; those that are broken are no answers, and may be billed."""
    assert set(FINISHES) == enumerated("StopReason")
    kinds = {str(reason): outcome_of(answer({"text": "hi"}, stop=reason)).kind.value for reason in FINISHES}
    assert kinds == {
        "end_turn": "ok", "stop_sequence": "ok", "tool_use": "ok",
        "max_tokens": "truncated", "model_context_window_exceeded": "truncated",
        "guardrail_intervened": "refused", "content_filtered": "refused",
        "malformed_model_output": "transient", "malformed_tool_use": "transient",
    }  # fmt: skip
    broken = outcome_of(answer({"text": "hi"}, stop="malformed_tool_use"))
    assert isinstance(broken, Transient)
    assert broken.may_be_billed


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        {},
        {"message": "hi"},
        {"Output": {"__type": "com.amazon.coral.service#UnknownOperationException"}, "Version": "1.0"},
        answer({"text": "hi"}) | {"output": {}},
        answer({"text": "hi"}) | {"output": {"message": {"content": "hi"}}},
        answer("hi"),
        answer({"text": "hi"}, stop=None),
        answer({"text": "hi"}, stop=["end_turn"]),
        answer({"text": "hi"}, stop="something new"),
        answer({"toolUse": None}, stop="tool_use"),
        answer({"toolUse": {"toolUseId": "a", "name": "b", "input": "{}"}}, stop="tool_use"),
        answer(USE, {"toolUse": {"toolUseId": "", "name": "b", "input": {}}}, stop="tool_use"),
        b'{"output":{"message":{"content":[{"toolUse":{"toolUseId":"a","name":"b","input":{"n":%s}}}]}},'
        b'"stopReason":"tool_use"}' % (b"9" * 5000),
    ],
)
def test_a_success_nobody_can_read_is_transient_and_may_be_billed(body: object) -> None:
    """A foreign shape, half the calls or an unknown end is never an answer, and not free either."""
    outcome = outcome_of(body)
    assert isinstance(outcome, Transient)
    assert outcome.may_be_billed


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"inputTokens": 12, "outputTokens": 5, "totalTokens": 17}, Usage(input_tokens=12, output_tokens=5)),
        ({"inputTokens": 2, "outputTokens": 5, "totalTokens": 1007, "cacheReadInputTokens": 600,
          "cacheWriteInputTokens": 400, "cacheDetails": [{"ttl": "5m", "inputTokens": 400}]},
         Usage(input_tokens=1002, output_tokens=5, cached_input_tokens=600, cache_write_tokens=400)),
        ({"inputTokens": 2, "outputTokens": 5, "totalTokens": 7, "cacheReadInputTokens": None},
         Usage(input_tokens=2, output_tokens=5)),
        ({"inputTokens": 12}, None),
        ({"inputTokens": 12, "outputTokens": None}, None),
        ({"inputTokens": 12, "outputTokens": -1}, None),
        ({"inputTokens": 12, "outputTokens": 5, "cacheReadInputTokens": "600"}, None),
        (None, None),
        ([], None),
    ],
)  # fmt: skip
def test_usage_is_whole_or_unknown(usage: object, expected: Usage | None) -> None:
    """What was read from the cache and written to it was input too; a count nobody can read makes all unknown."""
    reply = codec().read(TIER, raw(answer({"text": "hi"}, usage=usage)))
    assert reply.evidence.usage == expected
    assert reply.outcome.kind is OutcomeKind.OK


def test_the_evidence_is_what_the_vendor_told() -> None:
    """Request id, reason and service tier; no model, since Converse names none."""
    body = answer({"text": "hi"}, serviceTier={"type": "default"})
    assert parsed(body)["serviceTier"] == {"type": "default"}
    evidence = codec().read(TIER, raw(body, headers={"x-amzn-requestid": "4ab7"})).evidence
    assert evidence.provider_request_id == "4ab7"
    assert evidence.finish_reason == "end_turn"
    assert evidence.service_tier == "default"
    assert evidence.response_model is None
    assert evidence.response_region is None


def test_a_router_names_the_model_it_chose() -> None:
    """It is misrouted unless the tier lists it: a router's answer may come from several models."""
    chosen = "arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.amazon.nova-lite-v1:0"
    body = answer({"text": "hi"}, trace={"promptRouter": {"invokedModelId": chosen}})
    assert parsed(body)["trace"]["promptRouter"]["invokedModelId"] == chosen
    reply = codec().read(TIER, raw(body))
    assert isinstance(reply.outcome, Misrouted)
    assert reply.evidence.response_model == chosen
    listed = tier(MODEL, served_as=["*eu.amazon.nova-*"])
    assert codec().read(listed, raw(body)).outcome.kind is OutcomeKind.OK


WORDS = st.sampled_from(
    [
        "output", "message", "Message", "content", "text", "toolUse", "toolUseId", "name", "input", "stopReason",
        "usage", "inputTokens", "outputTokens", "cacheReadInputTokens", "serviceTier", "type", "trace", "promptRouter",
        "invokedModelId", "error", "__type", "code",
    ]
)  # fmt: skip
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9)
    | st.sampled_from(["end_turn", "tool_use", "ThrottlingException", "Too many tokens per day", KEY.reveal()])
)  # fmt: skip
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=15,
)


@st.composite
def damaged(draw: st.DrawFn) -> object:
    """A proper answer with one value, at any depth, replaced by anything."""
    body: Any = answer({"text": "hi"}, json.loads(json.dumps(USE)), serviceTier={"type": "flex"})
    spot, keys = body, list(body)
    while True:
        key = draw(st.sampled_from(keys))
        inner = spot[key]
        keys = list(inner) if isinstance(inner, dict) else list(range(len(inner))) if isinstance(inner, list) else []
        if not keys or draw(st.booleans()):
            spot[key] = draw(JSON)
            return body
        spot = inner


@given(
    status=st.sampled_from([200, 200, 400, 403, 404, 408, 429, 500, 503]) | st.integers(0, 999),
    headers=st.dictionaries(
        st.sampled_from(["x-amzn-errortype", "x-amzn-requestid", "date", "retry-after"]),
        st.text(max_size=20) | st.just(KEY.reveal()) | st.just(f"ThrottlingException:{CORAL}"),
    ),
    body=st.binary(max_size=50)
    | (JSON | damaged()).map(lambda body: json.dumps(body).encode("utf-8", "surrogatepass")),
)
def test_reading_never_raises_and_never_shows_the_key(status: int, headers: dict[str, str], body: bytes) -> None:
    """Any status, headers and body give a reply; success only for a 2xx, and the key is in no record."""
    reply = codec().read(TIER, RawReply(status=status, headers=headers, body=body))
    answered = isinstance(reply.outcome, Ok | Truncated)
    assert not answered or 200 <= status < 300
    assert KEY.reveal() not in repr(reply.evidence) + ("" if answered else repr(reply.outcome))
