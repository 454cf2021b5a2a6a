"""Google's errors: what each of them becomes, and when a quota returns."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from google.genai import errors
from google_samples import TIER, error, gemini, quota_failure, read, retry_info
from provider_samples import KEY, NOW, raw

from pointsman_routes import Exhausted, OutcomeKind, Throttled
from pointsman_worker.providers.google import GEMINI_URL, GoogleCodec

PER_MINUTE = quota_failure("generate_content_free_tier_requests", "GenerateRequestsPerMinutePerProjectPerModel", "15")
TOKENS = quota_failure(
    "generate_content_free_tier_input_token_count", "GenerateContentInputTokensPerModelPerMinute-FreeTier", "250000"
)
PER_DAY = quota_failure(
    "generate_content_free_tier_requests", "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "250"
)
NO_KEY = {
    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
    "reason": "API_KEY_INVALID",
    "domain": "googleapis.com",
    "metadata": {"service": "generativelanguage.googleapis.com"},
}
QUOTA = "You exceeded your current quota, please check your plan and billing details."


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (error(400, "INVALID_ARGUMENT", "Request contains an invalid argument."), OutcomeKind.INVALID),
        (error(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", NO_KEY),
         OutcomeKind.UNAUTHORIZED),
        (error(400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
         OutcomeKind.UNAUTHORIZED),
        (error(400, "INVALID_ARGUMENT",
               "The input token count (1200293) exceeds the maximum number of tokens allowed (1048576)."),
         OutcomeKind.UNSUPPORTED),
        (error(400, "INVALID_ARGUMENT", "Unable to submit request because it has a maxOutputTokens value of 100000 but"
               " the supported range is from 1 (inclusive) to 65537 (exclusive)."),
         OutcomeKind.UNSUPPORTED),
        (error(400, "INVALID_ARGUMENT", "Budget 0 is invalid. This model only works in thinking mode."),
         OutcomeKind.UNSUPPORTED),
        (error(400, "INVALID_ARGUMENT", "Invalid value at 'generation_config.thinking_config.thinking_level'"),
         OutcomeKind.UNSUPPORTED),
        (error(400, "INVALID_ARGUMENT", "Function call is missing a thought_signature in functionCall parts."),
         OutcomeKind.UNSUPPORTED),
        (error(400, "INVALID_ARGUMENT", "The specified schema produces a constraint that has too many states"),
         OutcomeKind.UNSUPPORTED),
        (error(400, "INVALID_ARGUMENT", "Please ensure that function call turn comes immediately after a user turn"),
         OutcomeKind.UNSUPPORTED),
        (error(400, "INVALID_ARGUMENT", "Invalid JSON payload received. Unknown name \"serviceTier\": Cannot find"
               " field."), OutcomeKind.UNSUPPORTED),
        (error(400, "INVALID_ARGUMENT", "Cannot fetch content from the provided URL."), OutcomeKind.UNSUPPORTED),
        (error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials."), OutcomeKind.UNAUTHORIZED),
        (error(402, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted."), OutcomeKind.EXHAUSTED),
        (error(403, "PERMISSION_DENIED", "Permission denied on resource project acme-1."), OutcomeKind.UNAUTHORIZED),
        (error(404, "NOT_FOUND", "models/gemini-0 is not found for API version v1beta"), OutcomeKind.UNSUPPORTED),
        (error(429, "RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later."), OutcomeKind.THROTTLED),
        (error(429, "RESOURCE_EXHAUSTED", QUOTA, PER_MINUTE), OutcomeKind.THROTTLED),
        (error(429, "RESOURCE_EXHAUSTED", QUOTA, PER_DAY), OutcomeKind.EXHAUSTED),
        (error(429, "RESOURCE_EXHAUSTED", "Your project has exceeded its monthly spending cap."),
         OutcomeKind.EXHAUSTED),
        (error(429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted."), OutcomeKind.EXHAUSTED),
        (error(499, "CANCELLED", "The operation was cancelled."), OutcomeKind.TRANSIENT),
        (error(500, "INTERNAL", "An internal error has occurred."), OutcomeKind.TRANSIENT),
        (error(501, "UNIMPLEMENTED", "Operation is not implemented."), OutcomeKind.UNSUPPORTED),
        (error(503, "UNAVAILABLE", "The model is overloaded. Please try again later."), OutcomeKind.OVERLOADED),
        (error(504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."), OutcomeKind.TRANSIENT),
    ],
)  # fmt: skip
def test_each_error_signal_has_its_outcome(body: dict[str, dict[str, object]], kind: OutcomeKind) -> None:
    """The table of statuses, reasons and messages, in an object or in a list of one."""
    status = body["error"]["code"]
    assert isinstance(status, int)
    assert errors.APIError(status, body).status == body["error"]["status"]
    assert read(body, status).outcome.kind is kind
    assert read([body], status).outcome.kind is kind


def test_a_throttle_waits_as_long_as_it_is_told_and_names_the_limit() -> None:
    """RetryInfo says how long, the quota's metric which limit."""
    body = error(429, "RESOURCE_EXHAUSTED", QUOTA, TOKENS, retry_info("45.25s"))
    assert read(body, 429).outcome == Throttled(
        detail=f"HTTP 429 RESOURCE_EXHAUSTED: {QUOTA}", retry_after_s=45.25, limit="tokens"
    )
    requests = read(error(429, "RESOURCE_EXHAUSTED", QUOTA, PER_MINUTE), 429).outcome
    assert requests == Throttled(detail=f"HTTP 429 RESOURCE_EXHAUSTED: {QUOTA}", retry_after_s=None, limit="requests")


@pytest.mark.parametrize(
    ("message", "limit"),
    [
        ("generativelanguage.googleapis.com/generate_content_paid_tier_input_token_count, limit: 1000000", "tokens"),
        ("generativelanguage.googleapis.com/generate_content_free_tier_requests, limit: 5", "requests"),
        ("aiplatform.googleapis.com/generate_content_requests_per_minute_per_project_per_base_model", "requests"),
        ("aiplatform.googleapis.com/generate_content_input_tokens_per_minute_per_base_model", "tokens"),
        ("another, limit: 5", None),
    ],
)
def test_a_message_names_the_limit_too(message: str, limit: str | None) -> None:
    """Where the details are missing, the metric stands in the message."""
    outcome = read(error(429, "RESOURCE_EXHAUSTED", f"Quota exceeded for metric: {message}"), 429).outcome
    assert isinstance(outcome, Throttled)
    assert outcome.limit == limit


@pytest.mark.parametrize(
    ("now", "seconds"),
    [
        # 31 October, 18:00 UTC is 11:00 in California, still on summer time.
        (NOW, 13 * 3600.0),
        # The night in which the clocks go back: from 00:30 to midnight there are 24 and a half hours.
        (datetime(2026, 11, 1, 7, 30, tzinfo=UTC), 24.5 * 3600),
        (datetime(2026, 12, 1, 7, 59, 59, tzinfo=UTC), 1.0),
        (datetime(2026, 12, 1, 8, 0, tzinfo=UTC), 24 * 3600.0),
    ],
)
def test_a_quota_per_day_returns_at_midnight_in_california(now: datetime, seconds: float) -> None:
    """The wait that comes with it is not believed: it is far too short."""
    codec = GoogleCodec(GEMINI_URL, KEY, now=lambda: now)
    body = error(429, "RESOURCE_EXHAUSTED", f"{QUOTA} Please retry in 19.4s.", PER_DAY, TOKENS, retry_info("19s"))
    outcome = codec.read(TIER, raw(body, 429)).outcome
    assert isinstance(outcome, Exhausted)
    assert outcome.reset_after_s == seconds


def test_midnight_is_counted_from_the_vendors_clock() -> None:
    """A worker's own clock may be off."""
    body = error(429, "RESOURCE_EXHAUSTED", QUOTA, PER_DAY)
    outcome = read(body, 429, {"date": "Sun, 01 Nov 2026 06:59:00 GMT"}).outcome
    assert isinstance(outcome, Exhausted)
    assert outcome.reset_after_s == 60


@pytest.mark.parametrize(
    "body",
    [
        error(429, "RESOURCE_EXHAUSTED", QUOTA, quota_failure("x_requests", "RequestsPerDay", "0"), retry_info("25s")),
        error(429, "RESOURCE_EXHAUSTED", f"{QUOTA}\n* Quota exceeded for metric: generativelanguage.googleapis.com/"
              "generate_content_free_tier_requests, limit: 0, model: gemini-3.1-pro\nPlease retry in 25.4s.", PER_DAY),
    ],
)  # fmt: skip
def test_a_quota_of_nothing_never_returns_by_itself(body: object) -> None:
    """The account has none for this model: no wait helps, and no midnight."""
    outcome = read(body, 429).outcome
    assert isinstance(outcome, Exhausted)
    assert outcome.reset_after_s is None


@pytest.mark.parametrize(
    ("message", "details"),
    [
        ("Quota exceeded for quota metric 'Gemini 2.5 Pro Requests' and limit 'Gemini 2.5 Pro Requests per day'", []),
        ("no", [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED",
                 "metadata": {"quota_limit": "RequestsPerDayPerProject"}}]),
    ],
)  # fmt: skip
def test_a_quota_per_day_is_known_by_any_of_its_names(message: str, details: list[Mapping[str, object]]) -> None:
    """Not every error has a QuotaFailure."""
    outcome = read(error(429, "RESOURCE_EXHAUSTED", message, *details), 429).outcome
    assert isinstance(outcome, Exhausted)
    assert outcome.reset_after_s == 13 * 3600


def test_a_limit_that_begins_with_a_zero_is_not_none() -> None:
    """Only 0 itself is no quota at all."""
    for limit in ("0.5", "05"):
        outcome = read(error(429, "RESOURCE_EXHAUSTED", f"Quota exceeded, limit: {limit}"), 429).outcome
        assert outcome.kind is OutcomeKind.THROTTLED


def test_the_detail_names_the_status_and_not_the_key() -> None:
    """What the operator needs stands in the record, and nothing of the secret, wherever Google repeats it."""
    secret = KEY.reveal()
    echo = {**NO_KEY, "reason": secret, "metadata": {"key": secret}}
    body = error(400, secret, f"API key {secret} not valid.", NO_KEY, echo)
    body["error"]["type"] = secret
    assert secret not in str(gemini().read(TIER, raw(body, 400)))
    named = read(error(400, "INVALID_ARGUMENT", "No.", {"reason": "SOME_REASON"}), 400).outcome
    assert "HTTP 400 INVALID_ARGUMENT SOME_REASON: No." in str(named)


def test_a_refused_key_leaves_no_message() -> None:
    """With 401 and 403 vendors echo the key, so the message is left out altogether."""
    outcome = read(error(403, "PERMISSION_DENIED", "Your API key was reported as leaked."), 403).outcome
    assert "leaked" not in str(outcome)
    assert "HTTP 403 PERMISSION_DENIED" in str(outcome)
