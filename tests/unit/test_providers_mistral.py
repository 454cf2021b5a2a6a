"""Mistral: what is sent, checked by the types of the vendor's client, and what each of its signals becomes."""

import json
from typing import Any

import pytest
from chat_cases import CONVERSATION, SPREAD, chat_job, chat_jobs, left_out
from hypothesis import given
from hypothesis import strategies as st
from mistralai.client.models import ChatCompletionRequest, ChatCompletionResponse
from provider_samples import KEY, NOW, ask, completion, raw, sent, tier

from pointsman_routes import (
    Answer,
    Empty,
    Invalid,
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
from pointsman_worker.providers.mistral import MistralCodec

MODEL = "mistral-small-latest"
TIER = tier(MODEL)
NAMELESS = {"type": "object", "properties": {}}


def mistral(base_url: str = "https://api.eu.mistral.ai") -> MistralCodec:
    """Mistral's codec."""
    return MistralCodec(base_url, KEY, region="eu", now=lambda: NOW)


def as_mistral_takes_it(body: dict[str, Any]) -> None:
    """A body whose every field the client's own model of a request knows: read and written, it is the same."""
    read = ChatCompletionRequest.model_validate(body)
    assert json.loads(read.model_dump_json(by_alias=True, exclude_unset=True)) == body


def missing(job: Job, body: dict[str, Any]) -> list[str]:
    """What of a job is not in a body, Mistral's own names and its required schema of a function allowed for."""
    plain = {**body, "seed": body.get("random_seed")}
    if "tools" in body:
        plain["tools"] = [
            {**tool, "function": {k: v for k, v in tool["function"].items() if (k, v) != ("parameters", NAMELESS)}}
            for tool in body["tools"]
        ]
    effort = [] if body.get("reasoning_effort") == job.reasoning_effort else ["reasoning_effort"]
    return left_out(job, plain) + effort


def with_ids(call_id: str, answered_id: str | None = None) -> Job:
    """A conversation in which a tool was called under this id, and answered under the same or another."""
    _, called, answered = CONVERSATION
    call = {**called["tool_calls"][0], "id": call_id}
    return chat_job(
        CONVERSATION[0], {**called, "tool_calls": [call]}, {**answered, "tool_call_id": answered_id or call_id}
    )


def error(message: object, kind: str = "invalid_request_error", code: object = None) -> dict[str, object]:
    """An error as Mistral writes one."""
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


def outcome_of(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Outcome:
    """What becomes of a reply."""
    return mistral().read(TIER, raw(body, status, headers)).outcome


def answered(content: object = "hi", finish: object = "stop", **fields: object) -> dict[str, object]:
    """A completion of the model that was asked."""
    return completion(content, finish, object="chat.completion", created=1773842038, **{"model": MODEL, **fields})


@pytest.mark.parametrize("name", [name for name in SPREAD if name != "tool answered"])
def test_a_request_is_one_that_the_vendors_client_makes(name: str) -> None:
    """Every field is one of Mistral's, and every parameter of the job is in it."""
    job = SPREAD[name]
    body = sent(mistral().build(ask(job, MODEL)))
    as_mistral_takes_it(body)
    assert missing(job, body) == []
    assert (body["model"], body["max_tokens"]) == (MODEL, 64)


@given(job=chat_jobs())
def test_any_job_is_sent_whole_or_not_at_all(job: Job) -> None:
    """Nothing is dropped or rewritten, whatever the mixture."""
    request = mistral().build(ask(job, MODEL))
    if isinstance(request, Unsupported):
        assert request.detail.partition(":")[0] in ("temperature", "seed", "messages")
    else:
        body = sent(request)
        as_mistral_takes_it(body)
        assert missing(job, body) == []


def test_the_seed_has_mistrals_name() -> None:
    """A seed of 0 is a seed."""
    body = sent(mistral().build(ask(chat_job(seed=0), MODEL)))
    assert body["random_seed"] == 0
    assert "seed" not in body


@pytest.mark.parametrize(
    ("job", "parameter"),
    [
        (chat_job(temperature=1.51), "temperature"),
        (chat_job(seed=-1), "seed"),
        (chat_job({"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}), "messages"),
        (with_ids("call_abcdefgh"), "messages"),
        (with_ids("abcdefgh"), "messages"),
        (with_ids("aB3dE6gH9\n"), "messages"),
        (with_ids("aB3dE6gH9", "call_abcdefgh"), "messages"),
    ],
)
def test_what_mistral_cannot_express_is_unsupported_before_the_call(job: Job, parameter: str) -> None:
    """The reference ends a temperature at 1.5 and begins a seed at 0; its models read their own kind of ids."""
    request = mistral().build(ask(job, MODEL))
    assert isinstance(request, Unsupported)
    assert request.detail.startswith(f"{parameter}: ")


def test_a_conversation_with_tools_of_its_own_is_sent() -> None:
    """Nine letters and digits, as Mistral's models name a call."""
    body = sent(mistral().build(ask(with_ids("aB3dE6gH9"), MODEL)))
    as_mistral_takes_it(body)
    assert body["messages"][1]["tool_calls"][0]["id"] == body["messages"][2]["tool_call_id"] == "aB3dE6gH9"


@pytest.mark.parametrize("base_url", ["https://api.eu.mistral.ai", "https://api.eu.mistral.ai/v1/"])
def test_the_base_url_is_the_clients_or_openais(base_url: str) -> None:
    """`server_url` has no /v1; one that has it means the same. The key is in one header."""
    request = mistral(base_url).build(ask(model=MODEL))
    assert isinstance(request, WireRequest)
    assert request.url == "https://api.eu.mistral.ai/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY.reveal()}"
    assert KEY.reveal() not in repr(request)


def test_a_service_tier_is_asked_for_and_told() -> None:
    """It is asked for at the top, and told within the usage."""
    asked = Ask(job=chat_job(), tier=tier(MODEL, service_tier="auto"), max_tokens=64)
    body = sent(mistral().build(asked))
    as_mistral_takes_it(body)
    assert body["service_tier"] == "auto"
    usage = {"prompt_tokens": 22, "completion_tokens": 70, "total_tokens": 92, "service_tier": "priority"}
    assert mistral().read(TIER, raw(answered(usage=usage))).evidence.service_tier == "priority"


def test_an_answer_in_full() -> None:
    """Thinking is no part of the answer; usage, model and request id are the vendor's."""
    content = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hmm"}]},
        {"type": "text", "text": "22"},
    ]
    usage = {
        "prompt_tokens": 77,
        "total_tokens": 1191,
        "completion_tokens": 1114,
        "prompt_tokens_details": {"cached_tokens": 64},
    }
    body = answered(content, usage=usage)
    ChatCompletionResponse.model_validate(body)
    reply = mistral().read(TIER, raw(body, headers={"mistral-correlation-id": "019b98cb-9ba7"}))
    assert reply.outcome == Ok(answer=Answer(content="22", finish_reason="stop"))
    assert reply.evidence.usage == Usage(input_tokens=77, output_tokens=1114, cached_input_tokens=64)
    assert reply.evidence.response_model == MODEL
    assert reply.evidence.provider_request_id == "019b98cb-9ba7"


def test_a_call_of_a_tool_is_an_answer() -> None:
    """With the id Mistral gave it."""
    call = {"id": "D681PevKs", "function": {"name": "weather", "arguments": '{"n": 1}'}, "index": 0}
    message = {"role": "assistant", "content": "", "tool_calls": [call]}
    body = answered(choices=[{"index": 0, "finish_reason": "tool_calls", "message": message}])
    ChatCompletionResponse.model_validate(body)
    outcome = outcome_of(body)
    assert isinstance(outcome, Ok)
    assert [(made.id, made.function.name) for made in outcome.answer.tool_calls] == [("D681PevKs", "weather")]


@pytest.mark.parametrize(
    ("finish", "kind"),
    [
        ("stop", OutcomeKind.OK),
        ("length", OutcomeKind.TRUNCATED),
        ("model_length", OutcomeKind.TRUNCATED),
        ("error", OutcomeKind.TRANSIENT),
        ("something new", OutcomeKind.TRANSIENT),
    ],
)
def test_each_stop_reason_has_its_outcome(finish: str, kind: OutcomeKind) -> None:
    """All that the client's type of a choice names, and one it does not."""
    assert outcome_of(answered("hal", finish)).kind is kind


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (answered(""), Empty()),
        (answered(" \n"), Empty()),
        (answered([{"type": "thinking", "thinking": []}]), Empty()),
        (answered("hal", "length"), Truncated(answer=Answer(content="hal", finish_reason="length"))),
    ],
)
def test_what_was_said_is_judged(body: object, expected: Outcome) -> None:
    """Nothing empty is an answer, nor is thinking."""
    assert outcome_of(body) == expected


def test_another_model_is_misrouted() -> None:
    """An alias is answered under its own name; anything else must be listed."""
    assert outcome_of(answered(model="mistral-tiny")).kind is OutcomeKind.MISROUTED


FORBIDDEN = [
    {"type": "extra_forbidden", "loc": ["body", "n"], "msg": "Extra inputs are not permitted", "input": "hush"}
]
WRONG = [{"type": "int_parsing", "loc": ["body", "index"], "msg": "Input should be an integer", "input": "hush"}]
TOO_LONG = "Prompt contains 65673 tokens, too large for model with 32768 maximum context length"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, error("Invalid model: mistral-nano", "invalid_model", "1500"), OutcomeKind.UNSUPPORTED),
        (400, error("no such model", code="unknown_model"), OutcomeKind.UNSUPPORTED),
        (400, error(TOO_LONG), OutcomeKind.UNSUPPORTED),
        (400, error("Unexpected role 'user' after role 'tool'", "invalid_request_message_order", "3230"),
         OutcomeKind.UNSUPPORTED),
        (400, error("Tool call id was x but must be", "invalid_function_call", "3280"), OutcomeKind.UNSUPPORTED),
        (400, error("reasoning_effort is not supported by this model"), OutcomeKind.UNSUPPORTED),
        (400, error("Invalid JSON"), OutcomeKind.INVALID),
        (401, {"detail": "Unauthorized"}, OutcomeKind.UNAUTHORIZED),
        (401, {"message": "Unauthorized", "request_id": "r"}, OutcomeKind.UNAUTHORIZED),
        (402, error("Payment required"), OutcomeKind.EXHAUSTED),
        (403, error("Forbidden"), OutcomeKind.UNAUTHORIZED),
        (404, error("Not found"), OutcomeKind.UNSUPPORTED),
        (422, {"detail": WRONG}, OutcomeKind.INVALID),
        (422, {"detail": FORBIDDEN}, OutcomeKind.UNSUPPORTED),
        (422, error({"detail": FORBIDDEN}), OutcomeKind.UNSUPPORTED),
        (422, {"object": "Error", "detail": FORBIDDEN, "message": FORBIDDEN, "code": 3001}, OutcomeKind.UNSUPPORTED),
        (429, {"message": "Requests rate limit exceeded"}, OutcomeKind.THROTTLED),
        (429, error("Rate limit exceeded", "rate_limited", "1300"), OutcomeKind.THROTTLED),
        (429, error("Service tier capacity exceeded for this model."), OutcomeKind.OVERLOADED),
        (429, error("full", "service_tier_capacity_exceeded", "3505"), OutcomeKind.OVERLOADED),
        (500, error("Internal server error", "internal_server_error"), OutcomeKind.TRANSIENT),
        (502, b"<html>", OutcomeKind.OVERLOADED),
        (503, error("unreachable_backend"), OutcomeKind.OVERLOADED),
        (504, b"", OutcomeKind.TRANSIENT),
    ],
)  # fmt: skip
def test_each_error_signal_has_its_outcome(status: int, body: object, kind: OutcomeKind) -> None:
    """Statuses of the error glossary, types and codes as users quote them."""
    assert outcome_of(body, status).kind is kind


def test_a_rate_limit_carries_its_wait_and_its_limit() -> None:
    """The glossary says to read Retry-After."""
    outcome = outcome_of({"message": "Requests rate limit exceeded"}, 429, {"retry-after": "7"})
    assert isinstance(outcome, Throttled)
    assert (outcome.retry_after_s, outcome.limit) == (7.0, "requests")


def test_no_capacity_is_not_the_accounts_limit() -> None:
    """It waits like any vendor without room."""
    assert isinstance(outcome_of(error("full", code="3505"), 429, {"retry-after": "7"}), Overloaded)


@pytest.mark.parametrize("body", [{"detail": WRONG}, error({"detail": WRONG})])
def test_a_validation_is_told_by_place_and_reason_and_not_by_its_input(body: object) -> None:
    """What was wrong with a prompt must not put the prompt on record."""
    outcome = outcome_of(body, 422)
    assert isinstance(outcome, Invalid)
    assert "body.index: Input should be an integer" in outcome.detail
    assert "hush" not in outcome.detail


def test_an_error_inside_a_success_is_an_error() -> None:
    """Status 200 proves nothing."""
    assert isinstance(outcome_of(error("broke", "internal_server_error")), Transient)
    assert isinstance(outcome_of(error("broke")), Invalid)


NOISE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["detail", "loc", "msg", "message", "error", "choices", "usage", "service_tier", "content"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=15,
)


@given(status=st.sampled_from([200, 200, 400, 401, 422, 429, 500]), body=NOISE, spoilt=st.sampled_from(["usage", "x"]))
def test_reading_never_raises(status: int, body: object, spoilt: str) -> None:
    """Whatever stands where a list of faults or a usage is expected."""
    for sample in (body, error(body), {"detail": body}, {"detail": [body]}, {**answered(), spoilt: body}):
        reply = mistral().read(TIER, RawReply(status=status, headers={}, body=json.dumps(sample).encode()))
        assert reply.evidence.http_status == status


@pytest.mark.parametrize("status", [200, 400, 401, 422, 429, 500])
def test_the_key_is_in_no_detail(status: int) -> None:
    """Wherever it is echoed."""
    echo = f"key {KEY.reveal()} is wrong"
    for body in (error(echo), {"detail": [{"loc": ["body", echo], "msg": echo}]}, {"message": echo}):
        assert KEY.reveal() not in repr(mistral().read(TIER, raw(body, status)))
