"""Chat completions: what is sent, and what each of the vendor's signals becomes."""

import json
from typing import Any

import pytest
from provider_samples import KEY, ask, compatible, completion, job, openai, raw, sent, tier

from pointsman_routes import (
    Allowance,
    Answer,
    Empty,
    Exhausted,
    Invalid,
    Job,
    Misrouted,
    Ok,
    Outcome,
    OutcomeKind,
    Overloaded,
    Refused,
    Throttled,
    Transient,
    Truncated,
    Unauthorized,
    Unsupported,
    Usage,
)
from pointsman_worker.providers import WireRequest

TIER = tier()


def outcome_of(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Outcome:
    """What becomes of a reply."""
    return openai().read(TIER, raw(body, status, headers)).outcome


def error(message: str = "no", kind: str | None = None, code: object = None) -> dict[str, object]:
    """An error body."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def test_every_parameter_of_the_job_is_sent_and_nothing_else() -> None:
    """OpenAI gets the limit as max_completion_tokens, all parameters, and none of the metadata."""
    asked = job(
        ("developer", "be brief"),
        ("user", "hello"),
        temperature=0.5,
        top_p=0.9,
        stop=["END"],
        seed=7,
        metadata={"team": "x"},
    )
    assert sent(openai().build(ask(asked))) == {
        "model": "gpt-5-mini",
        "messages": [{"role": "developer", "content": "be brief"}, {"role": "user", "content": "hello"}],
        "max_completion_tokens": 64,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["END"],
        "seed": 7,
    }


def test_a_compatible_server_gets_max_tokens_and_system() -> None:
    """Everybody but OpenAI knows the limit as max_tokens and the instructions as system."""
    assert sent(compatible().build(ask(job(("developer", "be brief"), ("user", "hello"))))) == {
        "model": "gpt-5-mini",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}],
        "max_tokens": 64,
    }


def test_a_zero_is_a_parameter_not_an_absence() -> None:
    """Temperature 0 and seed 0 are sent."""
    body = sent(openai().build(ask(job(temperature=0, seed=0))))
    assert (body["temperature"], body["seed"]) == (0, 0)


def test_text_parts_stay_parts() -> None:
    """Content given in parts is sent in parts."""
    parts: list[dict[str, str]] = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    asked = Job.model_validate({"custom_id": "t", "class": "c", "messages": [{"role": "user", "content": parts}]})
    assert sent(openai().build(ask(asked)))["messages"] == [{"role": "user", "content": parts}]


def test_a_fifth_stop_sequence_is_unsupported_by_openai_only() -> None:
    """OpenAI takes four; what others take they say themselves."""
    asked = ask(job(stop=["1", "2", "3", "4", "5"]))
    assert isinstance(openai().build(asked), Unsupported)
    assert sent(compatible().build(asked))["stop"] == ["1", "2", "3", "4", "5"]


def test_the_request_goes_to_the_base_url_with_the_key_and_its_repr_shows_neither_key_nor_prompt() -> None:
    """The key is in one header and nowhere else."""
    request = openai().build(ask(job(("user", "a private matter"))))
    assert isinstance(request, WireRequest)
    assert request.url == "https://api.openai.com/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY.reveal()}"
    assert KEY.reveal() not in repr(request)
    assert "private" not in repr(request)
    assert KEY.reveal().encode() not in request.body


def test_a_server_without_a_key_gets_no_authorization() -> None:
    """No key, no header."""
    request = compatible(key=None).build(ask())
    assert isinstance(request, WireRequest)
    assert "authorization" not in request.headers


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, error(code="context_length_exceeded"), OutcomeKind.UNSUPPORTED),
        (400, error(code="unsupported_parameter"), OutcomeKind.UNSUPPORTED),
        (400, error(code="unsupported_value"), OutcomeKind.UNSUPPORTED),
        (400, error(code="model_decommissioned"), OutcomeKind.UNSUPPORTED),
        (400, error("This model's maximum context length is 8192 tokens."), OutcomeKind.UNSUPPORTED),
        (400, error("invalid model ID"), OutcomeKind.UNSUPPORTED),
        (400, error("max_tokens is too large: 99999."), OutcomeKind.UNSUPPORTED),
        (400, error(code="content_policy_violation"), OutcomeKind.REFUSED),
        (400, error(code="content_filter"), OutcomeKind.REFUSED),
        (400, error(code="invalid_prompt"), OutcomeKind.REFUSED),
        (400, error("flagged as violating our usage policy"), OutcomeKind.REFUSED),
        (400, error("'messages' is a required property"), OutcomeKind.INVALID),
        (400, error(code="billing_hard_limit_reached"), OutcomeKind.EXHAUSTED),
        (400, b"", OutcomeKind.UNSUPPORTED),
        (401, error(code="invalid_api_key"), OutcomeKind.UNAUTHORIZED),
        (401, error(code="insufficient_quota"), OutcomeKind.UNAUTHORIZED),
        (402, b"no money", OutcomeKind.EXHAUSTED),
        (403, error(code="unsupported_country_region_territory"), OutcomeKind.UNAUTHORIZED),
        (404, error(code="model_not_found"), OutcomeKind.UNSUPPORTED),
        (404, b"<html>not found</html>", OutcomeKind.UNSUPPORTED),
        (405, b"", OutcomeKind.UNSUPPORTED),
        (408, b"", OutcomeKind.TRANSIENT),
        (409, b"", OutcomeKind.TRANSIENT),
        (410, b"", OutcomeKind.UNSUPPORTED),
        (413, b"", OutcomeKind.UNSUPPORTED),
        (418, b"", OutcomeKind.TRANSIENT),
        (422, {"detail": "bad field"}, OutcomeKind.INVALID),
        (424, b"", OutcomeKind.TRANSIENT),
        (429, error(code="rate_limit_exceeded"), OutcomeKind.THROTTLED),
        (429, error(code="slow_down"), OutcomeKind.THROTTLED),
        (429, b"", OutcomeKind.THROTTLED),
        (429, error(kind="insufficient_quota"), OutcomeKind.EXHAUSTED),
        (429, error(code="insufficient_quota"), OutcomeKind.EXHAUSTED),
        (429, error(code="credit_balance_exhausted"), OutcomeKind.EXHAUSTED),
        (429, error(code="organization_spend_limit_exceeded"), OutcomeKind.EXHAUSTED),
        (429, error(code="project_spend_limit_exceeded"), OutcomeKind.EXHAUSTED),
        (429, error(code="organization_usage_limit_exceeded"), OutcomeKind.EXHAUSTED),
        (429, error("Rate limit reached on tokens per min (TPM): Limit 0, Used 0"), OutcomeKind.EXHAUSTED),
        (429, error("Rate limit reached on tokens per min (TPM): Limit 0.5"), OutcomeKind.THROTTLED),
        (429, error("Request too large for gpt-4o on tokens per min (TPM)"), OutcomeKind.UNSUPPORTED),
        (429, error("Resource Unavailable", code="resource_unavailable"), OutcomeKind.OVERLOADED),
        (498, error(code="capacity_exceeded"), OutcomeKind.THROTTLED),
        (500, error(code="insufficient_quota"), OutcomeKind.TRANSIENT),
        (502, b"<html>", OutcomeKind.OVERLOADED),
        (503, b"", OutcomeKind.OVERLOADED),
        (504, b"", OutcomeKind.TRANSIENT),
        (520, b"", OutcomeKind.TRANSIENT),
        (529, b"", OutcomeKind.OVERLOADED),
        (301, b"", OutcomeKind.TRANSIENT),
        (307, b"", OutcomeKind.TRANSIENT),
        (101, b"", OutcomeKind.TRANSIENT),
        (999, b"", OutcomeKind.TRANSIENT),
    ],
)
def test_each_error_signal_has_its_outcome(status: int, body: object, kind: OutcomeKind) -> None:
    """The table of statuses and codes."""
    assert outcome_of(body, status).kind is kind


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"error": {"code": 502, "message": "provider"}}, OutcomeKind.OVERLOADED),
        ({"error": {"code": "429"}}, OutcomeKind.THROTTLED),
        ({"error": {"code": 402}}, OutcomeKind.EXHAUSTED),
        ({"error": {"type": "insufficient_quota"}}, OutcomeKind.EXHAUSTED),
        ({"error": {"type": "invalid_request_error", "code": "context_length_exceeded"}}, OutcomeKind.UNSUPPORTED),
        ({"error": {"type": "invalid_request_error"}}, OutcomeKind.INVALID),
        ({"error": {"type": "invalid_api_key"}}, OutcomeKind.UNAUTHORIZED),
        ({"error": {"code": 200}}, OutcomeKind.TRANSIENT),
        ({"error": "something broke"}, OutcomeKind.TRANSIENT),
        ({"object": "error", "message": "broke", "code": 400}, OutcomeKind.INVALID),
        ([{"error": {"code": 503}}], OutcomeKind.OVERLOADED),
        (completion("half an ans") | {"error": {"code": 502}}, OutcomeKind.OVERLOADED),
        (completion() | {"choices": [{"error": {"code": 429}, "message": {"content": "hi"}}]}, OutcomeKind.THROTTLED),
    ],
)
def test_an_error_inside_a_success_is_an_error(body: object, kind: OutcomeKind) -> None:
    """Status 200 proves nothing; an error beside an answer wins."""
    assert outcome_of(body).kind is kind


def test_an_unclear_error_inside_a_success_may_have_been_billed() -> None:
    """Generation had begun when the error was written into a 200."""
    assert outcome_of({"error": {"message": "?"}}) == Transient(detail="HTTP 200: ?", may_be_billed=True)


def test_an_absent_error_is_no_error() -> None:
    """`"error": null` stands in many an answer."""
    assert outcome_of(completion(error=None)).kind is OutcomeKind.OK


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (completion("hi"), Ok(answer=Answer(content="hi", finish_reason="stop"))),
        (completion("hi", None), Ok(answer=Answer(content="hi", finish_reason="stop"))),
        (completion("hi", "eos"), Ok(answer=Answer(content="hi", finish_reason="stop"))),
        (completion([{"type": "text", "text": "a"}, {"type": "thinking"}, {"type": "text", "text": "b"}]),
         Ok(answer=Answer(content="ab", finish_reason="stop"))),
        (completion("hal", "length"), Truncated(answer=Answer(content="hal", finish_reason="length"))),
        (completion("hal", "model_length"), Truncated(answer=Answer(content="hal", finish_reason="length"))),
        (completion("", "length"), Empty()),
        (completion(""), Empty()),
        (completion(None), Empty()),
        (completion(" \n\t"), Empty()),
        (completion("\u200b\ufeff"), Empty()),
        (completion(None, "tool_calls"), Empty()),
        (completion() | {"choices": []}, Empty()),
        (completion("parts of it", "content_filter"), Refused(detail="content_filter")),
        (completion("", "content_filter"), Refused(detail="content_filter")),
        (completion() | {"choices": [{"message": {"content": None, "refusal": "No."}, "finish_reason": "stop"}]},
         Refused(detail="refusal")),
    ],
)  # fmt: skip
def test_what_was_said_is_judged(body: object, expected: Outcome) -> None:
    """Only content that ended by itself is ok; nothing empty ever is."""
    assert outcome_of(body) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"model": "gpt-5-mini", "choices": [{"message": {"content": "\\ud800"}}]}',
        b"[" * 100_000,
        {},
        {"choices": None},
        {"choices": {"0": {}}},
        {"choices": ["hi"]},
        {"choices": [{"message": None}]},
        {"choices": [{"message": {"content": 5}}]},
        {"choices": [{"message": {"content": ["hi"]}}]},
        completion("hi", {"reason": "stop"}),
        completion("hi", "insufficient_system_resource"),
        completion("hi", "error"),
        completion("hi") | {"model": {"name": "gpt-5-mini"}},
    ],
)
def test_a_success_nobody_can_read_is_transient_and_may_be_billed(body: object) -> None:
    """Broken JSON, a foreign shape, an unknown end: never an answer, and not free either."""
    outcome = outcome_of(body)
    assert isinstance(outcome, Transient)
    assert outcome.may_be_billed


@pytest.mark.parametrize(
    "body",
    [
        completion("hi") | {"model": "gpt-4o"},
        completion("") | {"model": "gpt-4o"},
        completion("no", "content_filter") | {"model": "gpt-4o"},
        completion("hi") | {"model": "gpt-5-mini-turbo"},
    ],
)
def test_another_models_answer_is_withheld(body: object) -> None:
    """Whatever else it says, an answer of another model is misrouted, and carries no content."""
    outcome = outcome_of(body)
    assert isinstance(outcome, Misrouted)
    assert "gpt-5-mini" in outcome.detail


def test_a_listed_name_or_none_at_all_is_the_right_model() -> None:
    """`served_as` names more; a server that names no model is taken at its word."""
    listed = tier(served_as=("house-model",))
    assert openai().read(listed, raw(completion() | {"model": "house-model"})).outcome.kind is OutcomeKind.OK
    for absent in (None, ""):
        reply = openai().read(TIER, raw(completion() | {"model": absent}))
        assert reply.outcome.kind is OutcomeKind.OK
        assert reply.evidence.response_model is None


@pytest.mark.parametrize(
    ("headers", "wait"),
    [({"retry-after": "107"}, 107.0), ({"retry-after-ms": "250", "retry-after": "1"}, 0.25), ({}, None)],
)
def test_a_throttle_carries_the_vendors_wait(headers: dict[str, str], wait: float | None) -> None:
    """The wait is what the vendor asked for, uncapped, or None when it asked for none."""
    outcome = outcome_of(error("slow", code="rate_limit_exceeded"), 429, headers)
    assert outcome == Throttled(detail="HTTP 429 rate_limit_exceeded: slow", retry_after_s=wait)


def test_an_overload_carries_the_vendors_wait() -> None:
    """503 with Retry-After: RFC 9110 allows it, vendors send it."""
    assert outcome_of(b"", 503, {"retry-after": "5"}) == Overloaded(detail="HTTP 503", retry_after_s=5.0)


def test_a_daily_limit_closes_the_tier_until_the_vendors_time_or_midnight() -> None:
    """Waiting for a day in the queue of one tier helps nobody."""
    body = error("Rate limit reached for gpt-5-mini on requests per day (RPD): Limit 200, Used 200", code="x")
    with_time, without = outcome_of(body, 429, {"retry-after": "432"}), outcome_of(body, 429)
    assert isinstance(with_time, Exhausted)
    assert with_time.reset_after_s == 432.0
    assert isinstance(without, Exhausted)
    assert without.reset_after_s == 6 * 3600


def test_a_gateways_timeout_may_have_been_billed() -> None:
    """504: the gateway gave up, the model behind it may not have."""
    assert outcome_of(b"", 504) == Transient(detail="HTTP 504", may_be_billed=True)
    assert outcome_of(b"", 500) == Transient(detail="HTTP 500", may_be_billed=False)


def test_a_refused_key_leaves_no_message() -> None:
    """With 401 and 403 vendors echo the key in the message, so only type and code are kept."""
    body = error("Incorrect API key provided: sk-proj-***WcLd", "invalid_request_error", "invalid_api_key")
    assert outcome_of(body, 401) == Unauthorized(detail="HTTP 401 invalid_request_error invalid_api_key")


def test_a_detail_is_one_short_line_without_the_key() -> None:
    """Whatever the vendor writes, a record stays readable and holds no secret."""
    outcome = outcome_of(error(f"bad\r\n\x1b[31m {KEY.reveal()} " + "x" * 5000), 400)
    assert isinstance(outcome, Invalid)
    assert KEY.reveal() not in outcome.detail
    assert "[redacted]" in outcome.detail
    assert outcome.detail.isprintable()
    assert len(outcome.detail) <= 320


def test_the_evidence_is_complete() -> None:
    """Status, ids, served model, usage and limits are kept as the vendor gave them."""
    usage = {"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 60}}
    headers = {
        "x-request-id": "req_abc",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-limit-tokens": "150000",
        "x-ratelimit-reset-tokens": "6m0s",
        "set-cookie": "no",
    }
    evidence = openai().read(TIER, raw(completion(usage=usage), headers=headers)).evidence
    assert evidence.http_status == 200
    assert evidence.provider_request_id == "req_abc"
    assert evidence.response_model == "gpt-5-mini-2025-08-07"
    assert evidence.finish_reason == "stop"
    assert evidence.usage == Usage(input_tokens=100, output_tokens=7, cached_input_tokens=60)
    assert evidence.allowances == (
        Allowance(name="rpm", limit=None, remaining=59, reset_s=None),
        Allowance(name="tpm", limit=150_000, remaining=None, reset_s=360.0),
    )


def test_a_throttled_call_shows_its_limits_too() -> None:
    """Buckets learn most from the answers that say no."""
    evidence = openai().read(TIER, raw(b"", 429, {"x-ratelimit-remaining-tokens": "0"})).evidence
    assert evidence.allowances == (Allowance(name="tpm", limit=None, remaining=0, reset_s=None),)
    assert evidence.usage is None


@pytest.mark.parametrize(
    "usage",
    [
        None,
        [],
        {},
        {"prompt_tokens": 5},
        {"prompt_tokens": "5", "completion_tokens": 5},
        {"prompt_tokens": -1, "completion_tokens": 5},
        {"prompt_tokens": True, "completion_tokens": 5},
        {"prompt_tokens": 10**12, "completion_tokens": 5},
        {"prompt_tokens": 5.5, "completion_tokens": 5},
    ],
)
def test_usage_is_whole_or_unknown(usage: Any) -> None:
    """A count that is missing or cannot be one makes the usage unknown, never zero."""
    reply = openai().read(TIER, raw(json.dumps(completion(usage=usage)).encode()))
    assert reply.evidence.usage is None
    assert reply.outcome.kind is OutcomeKind.OK


def test_more_cached_tokens_than_tokens_are_not_believed() -> None:
    """The cached share is at most the whole, or the cost would be negative."""
    usage = {"prompt_tokens": 10, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 99}}
    evidence = openai().read(TIER, raw(completion(usage=usage))).evidence
    assert evidence.usage == Usage(input_tokens=10, output_tokens=1, cached_input_tokens=10)
