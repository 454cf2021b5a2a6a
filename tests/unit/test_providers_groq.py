"""Groq: what is sent, checked by the types of the vendor's client, and what each of its signals becomes."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from chat_cases import SPREAD, chat_job, chat_jobs, left_out
from groq.types.chat import ChatCompletion
from groq.types.chat.completion_create_params import CompletionCreateParams
from hypothesis import given
from hypothesis import strategies as st
from provider_samples import KEY, NOW, ask, completion, raw, sent, tier
from pydantic import ConfigDict, TypeAdapter

from pointsman_routes import (
    Allowance,
    Answer,
    Empty,
    Exhausted,
    Job,
    Ok,
    Outcome,
    OutcomeKind,
    Overloaded,
    Throttled,
    Transient,
    Truncated,
    Unsupported,
    Usage,
)
from pointsman_worker.providers import Ask, RawReply, WireRequest
from pointsman_worker.providers.groq import GroqCodec

MODEL = "openai/gpt-oss-20b"
TIER = tier(MODEL)
REQUESTS = TypeAdapter(list[CompletionCreateParams], config=ConfigDict(extra="forbid", strict=True))


def groq(base_url: str = "https://api.groq.com") -> GroqCodec:
    """Groq's codec."""
    return GroqCodec(base_url, KEY, now=lambda: NOW)


def whole(value: Any) -> Any:
    """A validated value with its lists read: the client's types check them only then."""
    if isinstance(value, dict):
        return {name: whole(inner) for name, inner in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [whole(inner) for inner in value]
    return value


def as_groq_takes_it(body: dict[str, Any]) -> None:
    """A body whose every field is of the type the client declares, and declared by it."""
    assert whole(REQUESTS.validate_python([body])) == [body]


def missing(job: Job, body: dict[str, Any]) -> list[str]:
    """What of a job is not in a body."""
    effort = [] if body.get("reasoning_effort") == job.reasoning_effort else ["reasoning_effort"]
    return left_out(job, body) + effort


def error(message: str = "no", code: str | None = None, kind: str = "invalid_request_error") -> dict[str, object]:
    """An error as Groq writes one."""
    return {"error": {"message": message, "type": kind, **({"code": code} if code else {})}}


def answered(content: object = "hi", finish: object = "stop", **fields: object) -> dict[str, object]:
    """A completion of the model that was asked."""
    return completion(content, finish, object="chat.completion", created=1773842038, **{"model": MODEL, **fields})


def outcome_of(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Outcome:
    """What becomes of a reply."""
    return groq().read(TIER, raw(body, status, headers)).outcome


@pytest.mark.parametrize("name", [name for name in SPREAD if name not in ("many stops", "most effort")])
def test_a_request_is_one_that_the_vendors_client_makes(name: str) -> None:
    """Every field is one of Groq's, and every parameter of the job is in it."""
    job = SPREAD[name]
    body = sent(groq().build(ask(job, MODEL)))
    as_groq_takes_it(body)
    assert missing(job, body) == []
    assert (body["model"], body["max_completion_tokens"]) == (MODEL, 64)
    assert "max_tokens" not in body


@given(job=chat_jobs())
def test_any_job_is_sent_whole_or_not_at_all(job: Job) -> None:
    """Nothing is dropped or rewritten, whatever the mixture."""
    request = groq().build(ask(job, MODEL))
    if isinstance(request, Unsupported):
        assert request.detail.partition(":")[0] in ("stop", "reasoning_effort")
    else:
        body = sent(request)
        as_groq_takes_it(body)
        assert missing(job, body) == []


@pytest.mark.parametrize(
    ("job", "parameter"),
    [
        (chat_job(stop=["1", "2", "3", "4", "5"]), "stop"),
        (chat_job(reasoning_effort="minimal"), "reasoning_effort"),
        (chat_job(reasoning_effort="xhigh"), "reasoning_effort"),
    ],
)
def test_what_groq_cannot_express_is_unsupported_before_the_call(job: Job, parameter: str) -> None:
    """The client's types end at four stop sequences and have no such effort."""
    request = groq().build(ask(job, MODEL))
    assert isinstance(request, Unsupported)
    assert request.detail.startswith(f"{parameter}: ")


@pytest.mark.parametrize("base_url", ["https://api.groq.com", "https://api.groq.com/openai/v1/"])
def test_the_base_url_is_groqs_clients_or_openais(base_url: str) -> None:
    """Groq's client adds /openai/v1; OpenAI's client is given it. The key is in one header."""
    request = groq(base_url).build(ask(model=MODEL))
    assert isinstance(request, WireRequest)
    assert request.url == "https://api.groq.com/openai/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY.reveal()}"
    assert KEY.reveal() not in repr(request)


def test_a_service_tier_is_asked_for_and_told() -> None:
    """The vendor may answer at another than was asked for."""
    body = sent(groq().build(Ask(job=chat_job(), tier=tier(MODEL, service_tier="flex"), max_tokens=64)))
    as_groq_takes_it(body)
    assert body["service_tier"] == "flex"
    assert groq().read(TIER, raw(answered(service_tier="on_demand"))).evidence.service_tier == "on_demand"


def test_an_answer_in_full() -> None:
    """Reasoning is no part of the answer; times are no tokens; usage, model and request id are the vendor's."""
    usage = {
        "queue_time": 0.05,
        "prompt_tokens": 77,
        "prompt_time": 0.01,
        "completion_tokens": 40,
        "completion_time": 0.1,
        "total_tokens": 117,
        "total_time": 0.11,
        "prompt_tokens_details": {"cached_tokens": 64},
        "completion_tokens_details": {"reasoning_tokens": 30},
    }
    message = {"role": "assistant", "content": "22", "reasoning": "hmm"}
    choices = [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}]
    body = answered(usage=usage, choices=choices, x_groq={"id": "req_01kesv7291eqf85rpfh3w5xf4g"})
    ChatCompletion.model_validate(body, strict=True)
    reply = groq().read(TIER, raw(body))
    assert reply.outcome == Ok(answer=Answer(content="22", finish_reason="stop"))
    assert reply.evidence.usage == Usage(input_tokens=77, output_tokens=40, cached_input_tokens=64, reasoning_tokens=30)
    assert reply.evidence.response_model == MODEL
    assert reply.evidence.provider_request_id == "req_01kesv7291eqf85rpfh3w5xf4g"


def test_the_header_names_the_request_before_the_body_does() -> None:
    """An error has no body to name it in."""
    reply = groq().read(TIER, raw(error(), 400, {"x-request-id": "req_1"}))
    assert reply.evidence.provider_request_id == "req_1"


def test_a_call_of_a_tool_is_an_answer() -> None:
    """With the id Groq gave it."""
    call = {"id": "fc_7a3", "type": "function", "function": {"name": "weather", "arguments": '{"n": 1}'}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    body = answered(choices=[{"index": 0, "finish_reason": "tool_calls", "message": message}])
    ChatCompletion.model_validate(body, strict=True)
    outcome = outcome_of(body)
    assert isinstance(outcome, Ok)
    assert [(made.id, made.function.name) for made in outcome.answer.tool_calls] == [("fc_7a3", "weather")]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (answered("hi", "stop"), Ok(answer=Answer(content="hi", finish_reason="stop"))),
        (answered("hal", "length"), Truncated(answer=Answer(content="hal", finish_reason="length"))),
        (answered("", "length"), Empty()),
        (answered(" \n"), Empty()),
        (answered(None), Empty()),
    ],
)
def test_what_was_said_is_judged(body: object, expected: Outcome) -> None:
    """Only content that ended by itself is ok; nothing empty ever is."""
    assert outcome_of(body) == expected


def test_another_model_is_misrouted() -> None:
    """Anything but the model that was asked for must be listed."""
    assert outcome_of(answered(model="llama-3.1-8b-instant")).kind is OutcomeKind.MISROUTED


@pytest.mark.parametrize("base_url", ["https://api.groq.com", "http://127.0.0.1:9000"])
def test_requests_are_counted_by_the_day_and_tokens_by_the_minute(base_url: str) -> None:
    """Whatever host stands before Groq's, its headers mean what they mean."""
    headers = {
        "x-ratelimit-limit-requests": "14400",
        "x-ratelimit-remaining-requests": "14370",
        "x-ratelimit-reset-requests": "2m59.56s",
        "x-ratelimit-limit-tokens": "18000",
        "x-ratelimit-remaining-tokens": "17997",
        "x-ratelimit-reset-tokens": "7.66s",
    }
    assert set(groq(base_url).read(TIER, raw(answered(), headers=headers)).evidence.allowances) == {
        Allowance(name="rpd", limit=14400, remaining=14370, reset_s=179.56),
        Allowance(name="tpm", limit=18000, remaining=17997, reset_s=7.66),
    }


LIMIT = "Rate limit reached for model `m` in organization `o` service tier `on_demand` on"
TOO_LARGE = "Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 12328"
EFFORT = "`reasoning_effort` must be one of `none` or `default`"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, error("Failed to generate JSON.", "json_validate_failed"), OutcomeKind.TRANSIENT),
        (400, error("Failed to call a function.", "tool_use_failed"), OutcomeKind.TRANSIENT),
        (400, error("gone", "model_decommissioned"), OutcomeKind.UNSUPPORTED),
        (400, error("property 'reasoning_effort' is unsupported"), OutcomeKind.UNSUPPORTED),
        (400, error(EFFORT), OutcomeKind.UNSUPPORTED),
        (400, error("service_tier `flex` is not available"), OutcomeKind.UNSUPPORTED),
        (400, error("json mode cannot be combined with tool/function calling"), OutcomeKind.UNSUPPORTED),
        (400, error("blocked", "blocked_api_access"), OutcomeKind.EXHAUSTED),
        (400, error("Your organization has reached its spend limit"), OutcomeKind.EXHAUSTED),
        (400, error("Organization has been restricted.", "organization_restricted"), OutcomeKind.UNAUTHORIZED),
        (400, error("requires terms acceptance", "model_terms_required"), OutcomeKind.UNAUTHORIZED),
        (400, error("'messages' : minimum number of items is 1"), OutcomeKind.INVALID),
        (401, error("Invalid API Key", "invalid_api_key"), OutcomeKind.UNAUTHORIZED),
        (403, error("blocked", "model_permission_blocked_org"), OutcomeKind.UNAUTHORIZED),
        (404, error("unknown", "model_not_found"), OutcomeKind.UNSUPPORTED),
        (413, error(TOO_LARGE, "rate_limit_exceeded", "tokens"), OutcomeKind.UNSUPPORTED),
        (422, error("hallucinated"), OutcomeKind.TRANSIENT),
        (424, error("remote"), OutcomeKind.TRANSIENT),
        (429, error(f"{LIMIT} tokens per minute (TPM): Limit 6000", "rate_limit_exceeded", "tokens"),
         OutcomeKind.THROTTLED),
        (429, error(f"{LIMIT} tokens per day (TPD): Limit 100000", "rate_limit_exceeded", "tokens"),
         OutcomeKind.EXHAUSTED),
        (498, error("full", "capacity_exceeded"), OutcomeKind.THROTTLED),
        (499, b"", OutcomeKind.TRANSIENT),
        (500, error("broke", kind="internal_server_error"), OutcomeKind.TRANSIENT),
        (502, b"<html>", OutcomeKind.OVERLOADED),
        (503, error("over capacity", "over_capacity"), OutcomeKind.OVERLOADED),
    ],
)  # fmt: skip
def test_each_error_signal_has_its_outcome(status: int, body: object, kind: OutcomeKind) -> None:
    """Statuses of the reference of errors, codes and words as users quote them."""
    assert outcome_of(body, status).kind is kind


@pytest.mark.parametrize("status", [400, 422])
def test_what_the_model_wrote_wrong_may_be_billed(status: int) -> None:
    """The failed generation was generated."""
    failed = {"message": "Failed to call a function.", "code": "tool_use_failed", "failed_generation": "<tool-use>"}
    outcome = outcome_of({"error": failed}, status)
    assert isinstance(outcome, Transient)
    assert outcome.may_be_billed


def test_a_rate_limit_carries_its_wait_and_its_limit() -> None:
    """Retry-After comes with 429 only; without it the message has the wait."""
    minute = error(f"{LIMIT} tokens per minute (TPM): Limit 6000", "rate_limit_exceeded", "tokens")
    throttled = outcome_of(minute, 429, {"retry-after": "2"})
    assert isinstance(throttled, Throttled)
    assert (throttled.retry_after_s, throttled.limit) == (2.0, "tokens")
    exhausted = outcome_of(error(f"{LIMIT} tokens per day (TPD): Limit 9. Please try again in 9m38.016s."), 429)
    assert isinstance(exhausted, Exhausted)
    assert exhausted.reset_after_s == pytest.approx(578.016)


def test_no_capacity_is_told_from_a_limit() -> None:
    """503 is the vendor's lack, 498 the flex tier's, which is meant to be waited for."""
    assert isinstance(outcome_of(error("over capacity"), 503, {"retry-after": "3"}), Overloaded)
    assert isinstance(outcome_of(error("full", "capacity_exceeded"), 498), Throttled)


NOISE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "message", "code", "type", "choices", "usage", "x_groq", "id", "failed_generation"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=15,
)


@given(status=st.sampled_from([200, 200, 400, 401, 413, 422, 429, 498, 500]), body=NOISE)
def test_reading_never_raises(status: int, body: object) -> None:
    """Whatever stands where an error, a usage or an id is expected."""
    for sample in (body, {"error": body}, {**answered(), "x_groq": body}, {**answered(), "usage": body}):
        reply = groq().read(TIER, RawReply(status=status, headers={}, body=json.dumps(sample).encode()))
        assert reply.evidence.http_status == status


@pytest.mark.parametrize("status", [200, 400, 401, 413, 422, 429, 500])
def test_the_key_is_in_no_detail(status: int) -> None:
    """Wherever it is echoed."""
    echo = f"key {KEY.reveal()} is wrong"
    for body in (error(echo), error(code=echo), {"error": echo}, {**answered(), "x_groq": {"id": echo}}):
        assert KEY.reveal() not in repr(groq().read(TIER, raw(body, status)))
