"""Anthropic's messages as others speak them: what is sent and read otherwise than for Anthropic."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from provider_samples import KEY, NOW, ask, job, message, raw, sent, tier

from pointsman_routes import Answer, Evidence, Job, Ok, Outcome, OutcomeKind, Provider, Unsupported, Usage
from pointsman_worker.api_keys import ApiKey
from pointsman_worker.providers import WireRequest, codec_for
from pointsman_worker.providers.anthropic import AnthropicCompatibleCodec

MODEL = "deepseek-flash"
TIER = tier(MODEL)
CALL = {"id": "functions.search:0", "type": "function", "function": {"name": "search", "arguments": "{}"}}


def compatible(
    region: str | None = None, key: ApiKey | None = KEY, base_url: str = "https://api.deepseek.com/anthropic/"
) -> AnthropicCompatibleCodec:
    """Somebody's codec."""
    return AnthropicCompatibleCodec(base_url, key, region=region, now=lambda: NOW)


def outcome_of(body: object, status: int = 200, region: str | None = None) -> Outcome:
    """What becomes of a reply."""
    return compatible(region).read(TIER, raw(body, status)).outcome


def evidence_of(body: object) -> Evidence:
    """The facts of a reply."""
    return compatible().read(TIER, raw(body)).evidence


def test_the_path_is_that_of_the_vendors_sdk() -> None:
    """base_url is what ANTHROPIC_BASE_URL would be, and /v1/messages comes after it."""
    request = compatible().build(ask(model=MODEL))
    assert isinstance(request, WireRequest)
    assert request.url == "https://api.deepseek.com/anthropic/v1/messages"
    assert request.headers["anthropic-version"] == "2023-06-01"


def test_the_key_goes_both_ways_in_use_or_none() -> None:
    """DeepSeek reads x-api-key, vLLM only Authorization; a server of one's own may ask for neither."""
    request, anonymous = compatible().build(ask(model=MODEL)), compatible(key=None).build(ask(model=MODEL))
    assert isinstance(request, WireRequest)
    assert isinstance(anonymous, WireRequest)
    assert request.headers["x-api-key"] == KEY.reveal()
    assert request.headers["authorization"] == f"Bearer {KEY.reveal()}"
    assert KEY.reveal() not in repr(request)
    assert not anonymous.headers.keys() & {"x-api-key", "authorization"}


def test_a_provider_needs_an_address_and_no_key() -> None:
    """The kind is made of a provider as any other."""
    fields = {"kind": "anthropic-compatible", "owner": "me", "tiers": {"t": {"model": MODEL}}}
    provider = Provider.model_validate({**fields, "base_url": "http://localhost:8000"})
    request = codec_for(provider, None).build(ask(model=MODEL))
    assert isinstance(request, WireRequest)
    assert request.url == "http://localhost:8000/v1/messages"
    with pytest.raises(ValueError, match="base_url"):
        Provider.model_validate(fields)


@pytest.mark.parametrize("region", [None, "us", "eu", "global", "local"])
def test_a_region_is_never_asked_for(region: str | None) -> None:
    """Only Anthropic knows inference_geo."""
    assert "inference_geo" not in sent(compatible(region).build(ask(model=MODEL)))


@pytest.mark.parametrize("told", [{}, {"inference_geo": None}, {"inference_geo": ""}, {"inference_geo": "us"}])
def test_a_region_that_is_told_is_checked(told: dict[str, Any]) -> None:
    """A gateway in front of Anthropic hands on where it was; who says nothing is taken at the declaration."""
    usage = {"input_tokens": 1, "output_tokens": 1, **told}
    kind = OutcomeKind.MISROUTED if told.get("inference_geo") else OutcomeKind.OK
    assert outcome_of(message(model=MODEL, usage=usage), region="eu").kind is kind


def test_a_temperature_may_be_above_one() -> None:
    """It may for vLLM and DeepSeek; who refuses it says so."""
    assert sent(compatible().build(ask(job(temperature=2), MODEL)))["temperature"] == 2
    refused = {"type": "error", "error": {"type": "invalid_request_error", "message": "temperature: must be below 1"}}
    assert outcome_of(refused, 400).kind is OutcomeKind.UNSUPPORTED


def test_an_effort_is_sent_as_it_stands() -> None:
    """Adaptive thinking is Anthropic's alone; thinking can be disabled for DeepSeek and MiniMax too."""
    body = sent(compatible().build(ask(job(reasoning_effort="high"), MODEL)))
    assert body["output_config"] == {"effort": "high"}
    assert "thinking" not in body
    assert sent(compatible().build(ask(job(reasoning_effort="none"), MODEL)))["thinking"] == {"type": "disabled"}


def test_ids_of_calls_are_those_the_vendor_gave() -> None:
    """Moonshot's hold a dot and a colon, which Anthropic refuses and Moonshot does not."""
    turns: list[dict[str, Any]] = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "functions.search:0", "content": "b"},
    ]
    asked = Job.model_validate({"custom_id": "t-1", "class": "triage", "messages": turns})
    blocks = [turn["content"] for turn in sent(compatible().build(ask(asked, MODEL)))["messages"][1:]]
    assert blocks[0][0]["id"] == blocks[1][0]["tool_use_id"] == "functions.search:0"


@pytest.mark.parametrize(
    "asked",
    [
        job(seed=1),
        job(("user", "a"), ("system", "b")),
        job(response_format={"type": "json_object"}),
        job(reasoning_effort="minimal"),
        job(("user", "a"), ("assistant", "b")),
    ],
)
def test_what_the_format_has_no_place_for_is_unsupported(asked: Job) -> None:
    """A system message in the conversation is Anthropic's own, and new; the rest nobody has."""
    assert isinstance(compatible().build(ask(asked, MODEL)), Unsupported)


def test_the_least_a_server_says_is_an_answer() -> None:
    """VLLM leaves out whatever is null; who names no model is taken at its word."""
    body = {"content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn"}
    assert outcome_of(body) == Ok(answer=Answer(content="hi", finish_reason="stop"))
    evidence = evidence_of(body)
    assert (evidence.response_model, evidence.usage, evidence.service_tier) == (None, None, None)


def test_the_model_that_answered_must_be_the_one_asked_for() -> None:
    """DeepSeek maps names it does not know to a model of its own choice."""
    assert outcome_of(message(model="deepseek-v4-pro")).kind is OutcomeKind.MISROUTED


def test_an_answer_that_does_not_say_why_it_ended_may_not_be_whole() -> None:
    """VLLM sends no reason for an end it has no word for."""
    outcome = outcome_of({"model": MODEL, "content": [{"type": "text", "text": "hi"}]})
    assert outcome.kind is OutcomeKind.TRANSIENT


def test_counts_nobody_knows_do_not_matter() -> None:
    """Two counts are enough, and null is what vLLM sends without a cache."""
    usage = {
        "input_tokens": 9,
        "output_tokens": 2,
        "cache_read_input_tokens": None,
        "prompt_tokens": 9,
        "server_tool_use": {"web_search_requests": 0},
    }
    assert evidence_of(message(model=MODEL, usage=usage)).usage == Usage(input_tokens=9, output_tokens=2)


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, {"type": "BadRequestError", "message": "This model's maximum context length is 8 tokens"}, "unsupported"),
        (400, {"type": "BadRequestError", "message": "vllm: llama is not a multimodal model"}, "unsupported"),
        (400, {"type": "BadRequestError", "message": "At most 0 image(s) may be provided"}, "unsupported"),
        (400, {"type": "invalid_request_error", "message": "Model Not Exist"}, "unsupported"),
        (400, {"type": "invalid_request_error", "message": "no such thing"}, "invalid"),
        (401, {"type": "authentication_error", "message": "no"}, "unauthorized"),
        (402, {"type": "unknown_error", "message": "Insufficient Balance"}, "exhausted"),
        (404, {"type": "NotFoundError", "message": "The model `x` does not exist."}, "unsupported"),
        (429, {"type": "rate_limit_error", "message": "no"}, "throttled"),
        (429, {"type": "exceeded_current_quota_error", "message": "no"}, "exhausted"),
        (429, {"code": "1113", "message": "Insufficient balance or no resource package."}, "exhausted"),
        (429, {"code": "1302", "message": "High concurrency usage of this API"}, "throttled"),
        (429, {"type": "rate_limit_error", "message": "Insufficient balance"}, "exhausted"),
        (500, {"type": "internal_error", "message": "no"}, "transient"),
        (503, {"type": "api_error", "message": "no"}, "overloaded"),
        (529, {"type": "overloaded_error", "message": "no"}, "overloaded"),
        (200, {"type": "overloaded_error", "message": "no"}, "overloaded"),
    ],
)  # fmt: skip
def test_each_error_signal_has_its_outcome(status: int, error: dict[str, str], kind: str) -> None:
    """What vLLM, DeepSeek, Moonshot and Z.ai say, besides all that Anthropic says."""
    assert outcome_of({"type": "error", "error": error}, status).kind is OutcomeKind(kind)


KEYS = st.sampled_from(["content", "stop_reason", "model", "usage", "error", "details", "error_code", "type", "text"])
BODIES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["text", "tool_use", "end_turn"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=15,
)


@given(body=BODIES, status=st.sampled_from([200, 301, 400, 403, 429, 500, 529]))
def test_reading_never_raises(body: object, status: int) -> None:
    """Any JSON gives a reply, and only a 2xx an answer."""
    reply = compatible().read(TIER, raw(json.dumps(body).encode("utf-8", "surrogatepass"), status))
    assert status == 200 or reply.outcome.kind not in (OutcomeKind.OK, OutcomeKind.TRUNCATED, OutcomeKind.EMPTY)


@pytest.mark.parametrize("status", [200, 400, 401, 429, 500])
def test_the_key_is_in_no_detail(status: int) -> None:
    """Wherever a server echoes the key, a record does not hold it."""
    echo = f"you sent {KEY.reveal()}"
    body = {"type": "error", "error": {"type": echo, "message": echo, "details": {"error_code": KEY.reveal()}}}
    reply = compatible().read(TIER, raw({**body, "request_id": KEY.reveal()}, status))
    assert KEY.reveal() not in repr(reply)
