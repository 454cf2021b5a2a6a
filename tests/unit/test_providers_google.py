"""Google's generateContent: what each answer becomes."""

import pytest
from google.genai import types
from google_samples import MODEL, TIER, as_the_sdk_reads, gemini, read, said, vertex
from hypothesis import given
from hypothesis import strategies as st
from provider_samples import raw

from pointsman_routes import (
    Answer,
    Empty,
    Misrouted,
    Ok,
    Outcome,
    OutcomeKind,
    Refused,
    Transient,
    Truncated,
    Usage,
)
from pointsman_worker.providers import Reply
from pointsman_worker.providers.google_answer import GOOGLE_FINISHES
from pointsman_worker.providers.judging import Finish


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (said({"text": "hi"}), Ok(answer=Answer(content="hi", finish_reason="stop"))),
        (said({"text": "a"}, {"text": "b", "thoughtSignature": "c2ln"}),
         Ok(answer=Answer(content="ab", finish_reason="stop"))),
        (said({"text": "hm", "thought": True}, {"text": "hi"}), Ok(answer=Answer(content="hi", finish_reason="stop"))),
        (said({"text": "hal"}, finish="MAX_TOKENS"), Truncated(answer=Answer(content="hal", finish_reason="length"))),
        (said({"text": "hm", "thought": True}, finish="MAX_TOKENS"), Empty()),
        (said({"text": " \u200b"}), Empty()),
        (said(), Empty()),
        (said() | {"candidates": []}, Empty()),
        (said() | {"candidates": [{"finishReason": "MAX_TOKENS", "index": 0}]}, Empty()),
        (said() | {"candidates": [{"content": {"role": "model"}, "finishReason": "STOP"}]}, Empty()),
        (said({"text": "partly"}, finish="SAFETY"), Refused(detail="SAFETY")),
        (said() | {"candidates": [{"finishReason": "PROHIBITED_CONTENT"}]}, Refused(detail="PROHIBITED_CONTENT")),
    ],
)  # fmt: skip
def test_what_was_said_is_judged(body: dict[str, object], expected: Outcome) -> None:
    """Only content that ended by itself is ok; thoughts are no content, and nothing empty ever is."""
    as_the_sdk_reads(body)
    assert read(body).outcome == expected


def test_an_answer_without_candidates_and_feedback_is_empty() -> None:
    """Google has been seen to answer 200 with a usage only."""
    body = {"usageMetadata": {"promptTokenCount": 12, "totalTokenCount": 12}, "modelVersion": MODEL}
    assert read(body).outcome == Empty()


@pytest.mark.parametrize("reason", [member.value for member in types.BlockedReason])
def test_a_blocked_prompt_is_refused(reason: str) -> None:
    """It comes with status 200 and without candidates; its tokens were counted all the same."""
    body = {
        "promptFeedback": {"blockReason": reason},
        "usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9},
        "modelVersion": MODEL,
    }
    as_the_sdk_reads(body)
    reply = read(body)
    assert reply.outcome == Refused(detail=reason)
    assert reply.evidence.usage == Usage(input_tokens=9, output_tokens=0)


def test_every_reason_to_stop_that_the_sdk_knows_is_mapped_on_purpose() -> None:
    """A reason that is new to the SDK shows here; one that is new to everybody is a broken answer."""
    assert set(GOOGLE_FINISHES) == {member.value for member in types.FinishReason}
    whole = {name for name, finish in GOOGLE_FINISHES.items() if finish is Finish.STOP}
    cut = {name for name, finish in GOOGLE_FINISHES.items() if finish is Finish.LENGTH}
    filtered = {name for name, finish in GOOGLE_FINISHES.items() if finish is Finish.REFUSED}
    assert whole == {"STOP"}
    assert cut == {"MAX_TOKENS", "CONTINUATION"}
    assert filtered == {
        "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR", "ESCALATION",
        "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION",
    }  # fmt: skip
    outcome = read(said({"text": "hi"}, finish="SOMETHING_NEW")).outcome
    assert isinstance(outcome, Transient)
    assert outcome.may_be_billed


@pytest.mark.parametrize(("reason", "finish"), list(GOOGLE_FINISHES.items()))
def test_each_reason_to_stop_has_its_outcome(reason: str, finish: Finish) -> None:
    """An answer that was filtered or broke off is never ok."""
    kinds = {
        Finish.STOP: OutcomeKind.OK,
        Finish.LENGTH: OutcomeKind.TRUNCATED,
        Finish.REFUSED: OutcomeKind.REFUSED,
        Finish.BROKEN: OutcomeKind.TRANSIENT,
    }
    reply = read(said({"text": "hi"}, finish=reason))
    assert reply.outcome.kind is kinds[finish]
    assert reply.evidence.finish_reason == reason


def test_calls_of_tools_are_read_with_ids_of_their_own_or_made_up_ones() -> None:
    """An id is made of the answer's, so that no two turns of a conversation share one."""
    body = said(
        {"functionCall": {"id": "fc-1", "name": "search", "args": {"q": "ü"}}, "thoughtSignature": "c2ln"},
        {"functionCall": {"name": "clock"}},
    )
    assert as_the_sdk_reads(body).function_calls is not None
    outcome = read(body).outcome
    assert isinstance(outcome, Ok)
    calls = [(call.id, call.function.name, call.function.arguments) for call in outcome.answer.tool_calls]
    assert calls == [("fc-1", "search", '{"q":"ü"}'), ("call_mAitaLmkHPPlz7IPvtfUqQ4_1", "clock", "{}")]
    assert outcome.answer.finish_reason == "tool_calls"


@pytest.mark.parametrize("response_id", [None, "", "a b", "x" * 33, 5])
def test_an_answers_id_that_is_no_good_leaves_calls_numbered(response_id: object) -> None:
    """What goes back to other vendors as an id has only characters all of them take."""
    outcome = read(said({"functionCall": {"name": "clock", "args": {}}}, responseId=response_id)).outcome
    assert isinstance(outcome, Ok)
    assert [call.id for call in outcome.answer.tool_calls] == ["call_0"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        {},
        {"choices": []},
        said({"text": 5}),
        said({"functionCall": {"args": {}}}),
        said({"functionCall": {"name": "a"}}, {"functionCall": {"name": "b", "args": "{}"}}),
        said() | {"candidates": {"0": {}}},
        said() | {"candidates": [{"content": "hi", "finishReason": "STOP"}]},
        said() | {"candidates": [{"content": {"parts": ["hi"]}, "finishReason": "STOP"}]},
        said() | {"candidates": ["hi"]},
        said({"text": "hi"}, finish=None),
        said({"text": "hi"}, finish=["STOP"]),
        said({"text": "hi"}, modelVersion=5),
    ],
)
def test_a_success_nobody_can_read_is_transient_and_may_be_billed(body: object) -> None:
    """A foreign shape or an unknown end is never an answer, and not free either."""
    outcome = read(body).outcome
    assert isinstance(outcome, Transient), outcome
    assert outcome.may_be_billed


@pytest.mark.parametrize(
    ("served", "kind"),
    [
        (MODEL, OutcomeKind.OK),
        (f"models/{MODEL}", OutcomeKind.OK),
        (f"{MODEL}-001", OutcomeKind.OK),
        (None, OutcomeKind.OK),
        ("gemini-2.5-flash-lite", OutcomeKind.MISROUTED),
        ("gemini-2.5-pro", OutcomeKind.MISROUTED),
    ],
)
def test_another_models_answer_is_withheld(served: object, kind: OutcomeKind) -> None:
    """The model that served is the answer's modelVersion."""
    reply = read(said({"text": "hi"}, modelVersion=served))
    assert reply.outcome.kind is kind
    assert reply.evidence.response_model == (served.removeprefix("models/") if isinstance(served, str) else None)


def test_the_evidence_is_taken_from_the_answer() -> None:
    """Its id, its usage and its class of service."""
    usage = {"promptTokenCount": 12, "candidatesTokenCount": 5, "totalTokenCount": 17}
    body = said({"text": "hi"}, usageMetadata={**usage, "trafficType": "ON_DEMAND_FLEX"})
    evidence = read(body).evidence
    assert evidence.provider_request_id == "mAitaLmkHPPlz7IPvtfUqQ4"
    assert evidence.service_tier == "ON_DEMAND_FLEX"
    assert read(body, headers={"x-gemini-service-tier": "standard"}).evidence.service_tier == "standard"
    assert read(said(usageMetadata={**usage, "serviceTier": "flex"})).evidence.service_tier == "flex"
    assert evidence.response_region is None
    assert evidence.allowances == ()


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"promptTokenCount": 12, "candidatesTokenCount": 5, "totalTokenCount": 17},
         Usage(input_tokens=12, output_tokens=5)),
        ({"promptTokenCount": 100, "candidatesTokenCount": 6, "thoughtsTokenCount": 190, "totalTokenCount": 326,
          "toolUsePromptTokenCount": 30, "cachedContentTokenCount": 64},
         Usage(input_tokens=130, output_tokens=196, cached_input_tokens=64, reasoning_tokens=190)),
        # Cut off while it thought.
        ({"promptTokenCount": 12, "thoughtsTokenCount": 61, "totalTokenCount": 73},
         Usage(input_tokens=12, output_tokens=61, reasoning_tokens=61)),
        # The thoughts are left out, but not from the total.
        ({"promptTokenCount": 12, "totalTokenCount": 73}, Usage(input_tokens=12, output_tokens=61)),
        ({"promptTokenCount": 12, "candidatesTokenCount": 5}, Usage(input_tokens=12, output_tokens=5)),
        ({"promptTokenCount": 12, "candidatesTokenCount": 5, "cachedContentTokenCount": 99},
         Usage(input_tokens=12, output_tokens=5, cached_input_tokens=12)),
        ({"promptTokenCount": 12}, None),
        ({"promptTokenCount": 12, "totalTokenCount": 11}, None),
        ({"promptTokenCount": 12, "thoughtsTokenCount": 61}, None),
        ({"candidatesTokenCount": 5, "totalTokenCount": 17}, None),
        ({"promptTokenCount": "12", "candidatesTokenCount": 5}, None),
        ({"promptTokenCount": -1, "candidatesTokenCount": 5}, None),
        ({"trafficType": "ON_DEMAND"}, None),
        (None, None),
        ("12", None),
    ],
)  # fmt: skip
def test_usage_is_whole_or_unknown(usage: object, expected: Usage | None) -> None:
    """Thoughts are output and results of tools are input; a count that is missing is one only if it follows."""
    assert read(said({"text": "hi"}, usageMetadata=usage)).evidence.usage == expected


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMED = st.dictionaries(
    st.sampled_from([
        "candidates", "content", "parts", "text", "thought", "functionCall", "name", "args", "id", "finishReason",
        "promptFeedback", "blockReason", "usageMetadata", "promptTokenCount", "candidatesTokenCount",
        "totalTokenCount", "thoughtsTokenCount", "modelVersion", "responseId", "error", "code", "message", "status",
        "details", "@type", "violations", "quotaId", "quotaMetric", "quotaValue", "reason", "metadata",
    ]),
    JUNK | st.lists(JUNK, max_size=2),
    max_size=6,
)  # fmt: skip
HOSTILE = st.recursive(
    NAMED,
    lambda inner: st.dictionaries(
        st.sampled_from(["candidates", "content", "parts", "functionCall", "usageMetadata", "promptFeedback", "error",
                         "details", "violations", "metadata"]),
        inner | st.lists(inner, max_size=3),
        max_size=4,
    ),
    max_leaves=6,
)  # fmt: skip


@given(body=HOSTILE | JUNK, status=st.sampled_from([200, 400, 401, 403, 429, 499, 500, 503]))
def test_reading_never_raises(body: object, status: int) -> None:
    """Whatever stands in an answer, it has an outcome."""
    for codec in (gemini(), vertex()):
        assert isinstance(codec.read(TIER, raw(body, status)), Reply)


def test_a_misrouted_answers_model_shows_in_the_detail() -> None:
    """The operator sees at once which model answered."""
    outcome = read(said({"text": "hi"}, modelVersion="gemini-9-ultra")).outcome
    assert outcome == Misrouted(detail=f"asked for {MODEL}, answered by gemini-9-ultra")
