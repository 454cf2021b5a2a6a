"""OpenRouter's errors, in all the places it writes them, and the waits they name."""

import json
from typing import Any

import pytest
from openrouter.errors import (
    ForbiddenResponseErrorData,
    PaymentRequiredResponseErrorData,
    ServiceUnavailableResponseErrorData,
    TooManyRequestsResponseErrorData,
)
from provider_samples import KEY, NOW, completion, raw, tier

from pointsman_routes import Exhausted, Outcome, OutcomeKind, Overloaded, Refused, Throttled, Transient, Unauthorized
from pointsman_worker.providers.openrouter import OpenRouterCodec

MODEL = "deepseek/deepseek-v4-pro"
CODEC = OpenRouterCodec("https://openrouter.ai/api/v1", KEY, now=lambda: NOW)


def error(code: object, message: str = "no", **metadata: object) -> dict[str, object]:
    """An error as OpenRouter writes one."""
    return {"error": {"code": code, "message": message, **({"metadata": metadata} if metadata else {})}}


def unavailable(status: int, code: str, *, retryable: bool = False, **fields: object) -> dict[str, object]:
    """An error about the availability of a model, as the reference gives examples of."""
    said = {"code": code, "retryable": retryable, "requested_models": [MODEL], **fields}
    return {"error": {"message": "not available", "error_type": "x", "http_status": status, "availability": said}}


def outcome_of(body: object, status: int, headers: dict[str, str] | None = None) -> Outcome:
    """What becomes of a reply."""
    return CODEC.read(tier(MODEL), raw(body, status, headers)).outcome


MODERATED = error(403, "flagged", reasons=["violence"], flagged_input="a secret...", provider_name="OpenAI")
GUARDED = error(403, "Request blocked: prompt injection patterns detected", patterns=["ignore all previous"])
SHARED_POOL = error(
    429,
    "Provider returned error",
    raw=f"{MODEL} is temporarily rate-limited upstream. Please retry shortly, or add your own key",
    provider_name="DeepInfra",
    is_byok=False,
    provider_error_code="engine_overloaded",
    limit_source="upstream_provider_shared_pool",
)
FREE_PER_DAY = error(
    429,
    "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model requests per day",
    limit_source="openrouter_free_tier_daily",
    headers={"X-RateLimit-Limit": "50", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1793491200000"},
)
IN_FLIGHT = error(402, reason="in_flight_budget_exhausted", limit_source="openrouter_in_flight_budget")
TOO_DEAR = error(402, reason="weight_exceeds_budget", limit_source="openrouter_credits")


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, error(400, "bad"), OutcomeKind.INVALID),
        (400, error(400, "an empty message", error_type="invalid_prompt"), OutcomeKind.INVALID),
        (400, error(400, error_type="context_length_exceeded"), OutcomeKind.UNSUPPORTED),
        (400, error(400, error_type="token_limit_exceeded"), OutcomeKind.UNSUPPORTED),
        (400, error(400, error_type="string_too_long"), OutcomeKind.UNSUPPORTED),
        (400, error(400, error_type="unsupported_image_format"), OutcomeKind.UNSUPPORTED),
        (400, error(400, error_type="invalid_image"), OutcomeKind.INVALID),
        (400, error(400, error_type="image_download_failed"), OutcomeKind.TRANSIENT),
        (400, error(400, error_type="content_policy_violation"), OutcomeKind.REFUSED),
        (400, error(400, error_type="refusal"), OutcomeKind.REFUSED),
        (400, {"error": {"message": "no", "http_status": 400, "error_type": "refusal"}}, OutcomeKind.REFUSED),
        (400, error(400, "Provider returned error", raw='{"error":{"message":"maximum context length is 8192"}}'),
         OutcomeKind.UNSUPPORTED),
        (400, error(400, "acme/fake is not a valid model ID"), OutcomeKind.UNSUPPORTED),
        (400, error(400, "Reasoning is mandatory for this endpoint and cannot be disabled."), OutcomeKind.UNSUPPORTED),
        (400, unavailable(400, "model_not_found"), OutcomeKind.UNSUPPORTED),
        (400, unavailable(400, "wrong_endpoint"), OutcomeKind.UNSUPPORTED),
        (401, error(401, "No auth credentials found"), OutcomeKind.UNAUTHORIZED),
        (402, error(402, "Insufficient credits"), OutcomeKind.EXHAUSTED),
        (402, error(402, limit_source="openrouter_credits"), OutcomeKind.EXHAUSTED),
        (402, error(402, limit_source="openrouter_key_limit"), OutcomeKind.EXHAUSTED),
        (402, IN_FLIGHT, OutcomeKind.THROTTLED),
        (402, TOO_DEAR, OutcomeKind.UNSUPPORTED),
        (403, MODERATED, OutcomeKind.REFUSED),
        (403, GUARDED, OutcomeKind.REFUSED),
        (403, error(403, "Request blocked: sensitive information"), OutcomeKind.REFUSED),
        (403, error(403, "no", patterns=["ignore all previous"]), OutcomeKind.REFUSED),
        (403, error(403, error_type="content_policy_violation"), OutcomeKind.REFUSED),
        (403, error(403, "Key limit exceeded (monthly limit). Manage it using the settings"), OutcomeKind.EXHAUSTED),
        (403, error(403, "Workspace monthly budget of $500.00 exceeded."), OutcomeKind.EXHAUSTED),
        (403, error(403, limit_source="openrouter_workspace_budget"), OutcomeKind.EXHAUSTED),
        (403, error(403, limit_source="openrouter_guardrail_budget"), OutcomeKind.EXHAUSTED),
        (403, error(403, error_type="permission_denied"), OutcomeKind.UNAUTHORIZED),
        (403, error(403, "Forbidden"), OutcomeKind.UNAUTHORIZED),
        (403, unavailable(403, "region_restricted"), OutcomeKind.UNSUPPORTED),
        (404, error(404, "No endpoints found that support tool use."), OutcomeKind.UNSUPPORTED),
        (404, unavailable(404, "no_endpoints"), OutcomeKind.UNSUPPORTED),
        (404, unavailable(404, "privacy_restricted"), OutcomeKind.UNSUPPORTED),
        (404, unavailable(404, "constraint_filtered"), OutcomeKind.UNSUPPORTED),
        (404, unavailable(404, "no_endpoints", retryable=True), OutcomeKind.OVERLOADED),
        (404, error(404, error_type="image_not_found"), OutcomeKind.UNSUPPORTED),
        (408, error(408, "timed out"), OutcomeKind.TRANSIENT),
        (413, error(413), OutcomeKind.UNSUPPORTED),
        (422, error(422, error_type="unprocessable"), OutcomeKind.INVALID),
        (429, error(429, "Rate limit exceeded", error_type="rate_limit_exceeded"), OutcomeKind.THROTTLED),
        (429, error(429, limit_source="openrouter_free_models_per_min"), OutcomeKind.THROTTLED),
        (429, FREE_PER_DAY, OutcomeKind.EXHAUSTED),
        (429, error(429, "Rate limit exceeded: free-models-per-day-high-balance."), OutcomeKind.EXHAUSTED),
        (429, SHARED_POOL, OutcomeKind.OVERLOADED),
        (429, error(429, "Rate limit exceeded", provider_code="rate_limited"), OutcomeKind.OVERLOADED),
        (429, error(429, f"{MODEL} is temporarily rate-limited upstream."), OutcomeKind.OVERLOADED),
        (429, error(429, "Rate limited upstream", provider_name="DeepInfra", is_byok=True), OutcomeKind.THROTTLED),
        (429, error(429, f"All providers for {MODEL} are at capacity."), OutcomeKind.OVERLOADED),
        (429, unavailable(429, "capacity_exhausted", retryable=True), OutcomeKind.OVERLOADED),
        (500, error(500, "Internal Server Error", error_type="server"), OutcomeKind.TRANSIENT),
        (502, error(502, error_type="provider_unavailable"), OutcomeKind.OVERLOADED),
        (503, error(503, "No available model provider that meets your routing requirements"), OutcomeKind.OVERLOADED),
        (503, unavailable(503, "temporarily_unavailable", retryable=True), OutcomeKind.OVERLOADED),
        (504, error(504, error_type="timeout"), OutcomeKind.TRANSIENT),
        (524, b"<html>", OutcomeKind.TRANSIENT),
        (529, error(529, error_type="provider_overloaded"), OutcomeKind.OVERLOADED),
        (503, b"", OutcomeKind.OVERLOADED),
        (500, {"error": "text"}, OutcomeKind.TRANSIENT),
    ],
)  # fmt: skip
def test_each_error_signal_has_its_outcome(status: int, body: object, kind: OutcomeKind) -> None:
    """Statuses, types, sources and availability codes of the reference, words as users quote them."""
    assert outcome_of(body, status).kind is kind


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (ForbiddenResponseErrorData, MODERATED),
        (ForbiddenResponseErrorData, GUARDED),
        (TooManyRequestsResponseErrorData, SHARED_POOL),
        (TooManyRequestsResponseErrorData, FREE_PER_DAY),
        (PaymentRequiredResponseErrorData, IN_FLIGHT),
        (ServiceUnavailableResponseErrorData, error(503)),
    ],
)
def test_the_samples_are_of_the_vendors_shape(kind: Any, body: dict[str, Any]) -> None:
    """As the vendor's own client reads them."""
    kind.model_validate(body)


def broken_off(code: object, **metadata: object) -> dict[str, object]:
    """A completion that ended in an error, which stands in its choice."""
    body = completion("half an ans", "error", model=MODEL)
    choice = {"message": {"role": "assistant", "content": "half"}, "finish_reason": "error"}
    return {**body, "choices": [choice | error(code, "broke off", **metadata)]}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (broken_off(502, error_type="provider_unavailable"), OutcomeKind.OVERLOADED),
        (broken_off(429, error_type="rate_limit_exceeded", provider_name="DeepInfra"), OutcomeKind.OVERLOADED),
        (broken_off(400, error_type="content_policy_violation"), OutcomeKind.REFUSED),
        (broken_off(500), OutcomeKind.TRANSIENT),
        (broken_off("?"), OutcomeKind.TRANSIENT),
        (completion(model=MODEL) | error(402), OutcomeKind.EXHAUSTED),
        (MODERATED, OutcomeKind.REFUSED),
        (error(403, error_type="permission_denied"), OutcomeKind.UNAUTHORIZED),
        (unavailable(503, "temporarily_unavailable"), OutcomeKind.OVERLOADED),
    ],
)
def test_an_error_inside_a_success_is_an_error(body: object, kind: OutcomeKind) -> None:
    """Once generation began the status is 200: in the body or in the choice, beside half an answer or none."""
    assert outcome_of(body, 200).kind is kind


def test_an_answer_that_broke_off_may_be_billed() -> None:
    """What was generated was."""
    outcome = outcome_of(broken_off(500), 200)
    assert isinstance(outcome, Transient)
    assert outcome.may_be_billed


NOW_MS = int(NOW.timestamp() * 1000)


@pytest.mark.parametrize(
    ("body", "headers", "seconds"),
    [
        (error(429), {"retry-after": "7"}, 7.0),
        (error(429), {"x-ratelimit-reset": str(NOW_MS + 1500)}, 1.5),
        (error(429), {"retry-after": "7", "x-ratelimit-reset": str(NOW_MS + 1500)}, 7.0),
        (error(429, headers={"X-RateLimit-Reset": str(NOW_MS + 2000)}), {}, 2.0),
        (error(429, headers={"X-RateLimit-Reset": NOW_MS + 2000}), {}, 2.0),
        (error(429, headers={"X-RateLimit-Reset": str(NOW_MS - 2000)}), {}, None),
        (error(429, headers={"X-RateLimit-Reset": "soon"}), {}, None),
        (error(429, headers={"X-RateLimit-Reset": "17934912"}), {}, None),
        (error(429, headers="none"), {}, None),
        (error(429), {"x-ratelimit-reset": "9" * 13}, None),
        (error(429), {}, None),
    ],
)
def test_a_wait_is_read_wherever_it_stands(body: object, headers: dict[str, str], seconds: float | None) -> None:
    """The header everybody knows, OpenRouter's own in milliseconds, or the latter inside the error."""
    outcome = outcome_of(body, 429, headers)
    assert isinstance(outcome, Throttled)
    assert outcome.retry_after_s == seconds


@pytest.mark.parametrize(("told", "seconds"), [(40, 40.0), (0.5, 0.5), (-1, None), (True, None), ("40", None)])
def test_a_model_without_room_says_when_to_come_again(told: object, seconds: float | None) -> None:
    """`availability.retry_after` mirrors the header."""
    outcome = outcome_of(unavailable(429, "capacity_exhausted", retryable=True, retry_after=told), 429)
    assert isinstance(outcome, Overloaded)
    assert outcome.retry_after_s == seconds


def test_credit_in_flight_is_waited_for() -> None:
    """402 with a Retry-After is no lack of money."""
    outcome = outcome_of(IN_FLIGHT, 402, {"retry-after": "3"})
    assert isinstance(outcome, Throttled)
    assert outcome.retry_after_s == 3.0


@pytest.mark.parametrize(
    ("body", "status", "seconds"),
    [
        (FREE_PER_DAY, 429, 6 * 3600.0),
        (error(429, limit_source="openrouter_free_tier_daily"), 429, 6 * 3600.0),
        (error(429, headers={"X-RateLimit-Reset": str(NOW_MS + 9000)}, limit_source="openrouter_free_tier_daily"),
         429, 9.0),
        (error(429, "Rate limit exceeded: free-models-per-day-high-balance."), 429, 6 * 3600.0),
        (error(403, limit_source="openrouter_key_limit", resets_at="2026-11-01T00:00:00Z"), 403, 6 * 3600.0),
        (error(402, limit_source="openrouter_key_limit", resets_at="2026-10-31T18:00:05.500Z"), 402, 5.5),
        (error(403, limit_source="openrouter_key_limit", resets_at=None), 403, None),
        (error(403, limit_source="openrouter_key_limit", resets_at="2026-10-01T00:00:00Z"), 403, None),
        (error(402, "Insufficient credits"), 402, None),
    ],
)  # fmt: skip
def test_what_is_used_up_returns_when_the_vendor_says(body: object, status: int, seconds: float | None) -> None:
    """A budget at its reset, free models at UTC midnight, credit when somebody buys some."""
    outcome = outcome_of(body, status)
    assert isinstance(outcome, Exhausted)
    assert outcome.reset_after_s == seconds


def test_who_refused_is_told_and_what_was_flagged_is_not() -> None:
    """The upstream's own words stand in the detail; the prompt never does."""
    overloaded = outcome_of(SHARED_POOL, 429)
    assert isinstance(overloaded, Overloaded)
    assert "upstream DeepInfra: Provider returned error" in overloaded.detail
    assert "temporarily rate-limited upstream" in overloaded.detail
    moderated = outcome_of(MODERATED, 403)
    assert isinstance(moderated, Refused)
    assert "secret" not in moderated.detail
    guarded = outcome_of(GUARDED, 403)
    assert isinstance(guarded, Refused)
    assert "ignore all" not in guarded.detail


@pytest.mark.parametrize(
    "inner", ['{"error":{"message":"too long"}}', '{"error":"too long"}', '{"message":"too long"}']
)
@pytest.mark.parametrize("as_text", [True, False])
def test_an_upstreams_own_error_is_read(inner: str, as_text: bool) -> None:
    """As JSON in a string, or as JSON."""
    outcome = outcome_of(error(400, "Provider returned error", raw=inner if as_text else json.loads(inner)), 400)
    assert getattr(outcome, "detail", "").endswith("Provider returned error: too long")


@pytest.mark.parametrize("status", [200, 400, 401, 402, 403, 404, 429, 500, 503])
def test_the_key_is_in_no_detail(status: int) -> None:
    """Wherever it is echoed."""
    echo = f"key {KEY.reveal()} is wrong"
    for body in (
        error(status, echo),
        error(echo),
        error(status, raw=echo, provider_name=echo, error_type=echo),
        error(status, reasons=[echo], flagged_input=echo),
        unavailable(status, echo),
    ):
        assert KEY.reveal() not in repr(CODEC.read(tier(MODEL), raw(body, status)))


def test_a_key_without_permission_is_told_from_a_prompt_that_was_flagged() -> None:
    """Both are 403; the one closes the tier, the other concerns one job."""
    assert isinstance(outcome_of(error(403, "Forbidden"), 403), Unauthorized)
    assert isinstance(outcome_of(MODERATED, 403), Refused)
