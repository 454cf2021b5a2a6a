"""The presets: what each vendor's errors mean."""

import pytest
from provider_samples import KEY, NOW, raw, tier

from pointsman_routes import Exhausted, Outcome, OutcomeKind, ProviderKind, Throttled, Transient
from pointsman_worker.providers.presets import PRESETS, PresetCodec


def outcome_of(kind: ProviderKind, body: object, status: int = 200) -> Outcome:
    """What becomes of a reply."""
    codec = PresetCodec(PRESETS[kind], PRESETS[kind].base_url, KEY, now=lambda: NOW)
    return codec.read(tier("m"), raw(body, status)).outcome


def error(message: str, kind: str | None = None, code: object = None) -> dict[str, object]:
    """An error as OpenAI writes it."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def xai(message: str, code: str = "The caller does not have permission to execute the specified operation") -> object:
    """An error as xAI writes it."""
    return {"code": code, "error": message}


@pytest.mark.parametrize(
    ("kind", "status", "body", "expected"),
    [
        (ProviderKind.DEEPSEEK, 400, error("Content Exists Risk", "invalid_request_error"), OutcomeKind.REFUSED),
        (ProviderKind.DEEPSEEK, 400, error("The `reasoning_content` in the thinking mode must be passed back to the "
                                           "API."), OutcomeKind.UNSUPPORTED),
        (ProviderKind.DEEPSEEK, 400, error("This model's maximum context length is 131072 tokens."),
         OutcomeKind.UNSUPPORTED),
        (ProviderKind.DEEPSEEK, 401, error("Authentication Fails"), OutcomeKind.UNAUTHORIZED),
        (ProviderKind.DEEPSEEK, 402, error("Insufficient Balance"), OutcomeKind.EXHAUSTED),
        (ProviderKind.DEEPSEEK, 422, error("Failed to deserialize the JSON body"), OutcomeKind.UNSUPPORTED),
        (ProviderKind.DEEPSEEK, 429, error("Rate limit reached"), OutcomeKind.THROTTLED),
        (ProviderKind.DEEPSEEK, 503, error("overloaded"), OutcomeKind.OVERLOADED),
        (ProviderKind.XAI, 400, xai("Incorrect API key provided: xa***23."), OutcomeKind.UNAUTHORIZED),
        (ProviderKind.XAI, 400, xai("Argument not supported on this model: stop"), OutcomeKind.UNSUPPORTED),
        (ProviderKind.XAI, 400, xai("Each message must have at least one content element"), OutcomeKind.INVALID),
        (ProviderKind.XAI, 403, xai("Your newly created team doesn't have any credits or licenses yet."),
         OutcomeKind.EXHAUSTED),
        (ProviderKind.XAI, 403, xai("You have run out of credits or need a Grok subscription."), OutcomeKind.EXHAUSTED),
        (ProviderKind.XAI, 429, xai("Your team 16f2 has either used all available credits or reached its monthly "
                                    "spending limit."), OutcomeKind.EXHAUSTED),
        (ProviderKind.XAI, 429, xai("Too many requests", "Some resource has been exhausted"), OutcomeKind.THROTTLED),
        (ProviderKind.XAI, 403, xai("Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO"),
         OutcomeKind.REFUSED),
        (ProviderKind.XAI, 403, xai("Access to the chat endpoint is denied."), OutcomeKind.UNAUTHORIZED),
        (ProviderKind.XAI, 404, xai("The model grok-0 does not exist"), OutcomeKind.UNSUPPORTED),
        (ProviderKind.XAI, 200, xai("Timed out waiting for first token", "The service is currently unavailable"),
         OutcomeKind.TRANSIENT),
        (ProviderKind.CEREBRAS, 402, {"message": "Payment required"}, OutcomeKind.EXHAUSTED),
        (ProviderKind.CEREBRAS, 429, {"message": "We're experiencing high traffic right now! Please try again soon.",
                                      "type": "too_many_requests_error", "param": "queue", "code": "queue_exceeded"},
         OutcomeKind.OVERLOADED),
        (ProviderKind.CEREBRAS, 429, {"message": "Tokens per day limit exceeded - too many tokens processed.",
                                      "type": "too_many_tokens_error", "code": "token_quota_exceeded"},
         OutcomeKind.EXHAUSTED),
        (ProviderKind.MOONSHOT, 400, error("The request was rejected because it was considered high risk",
                                           "content_filter"), OutcomeKind.REFUSED),
        (ProviderKind.MOONSHOT, 400, error("invalid temperature: only 0.6 is allowed for this model",
                                           "invalid_request_error"), OutcomeKind.UNSUPPORTED),
        (ProviderKind.MOONSHOT, 400, error("tool_choice 'required' is incompatible with thinking enabled",
                                           "invalid_request_error"), OutcomeKind.UNSUPPORTED),
        (ProviderKind.MOONSHOT, 400, error("Invalid request: response_format.json_schema is not a valid moonshot "
                                           "flavored json schema", "invalid_request_error"), OutcomeKind.UNSUPPORTED),
        (ProviderKind.MOONSHOT, 400, error("Invalid request: Your request exceeded model token limit: 262144",
                                           "invalid_request_error"), OutcomeKind.UNSUPPORTED),
        (ProviderKind.MOONSHOT, 400, error("Input token length too long", "invalid_request_error"),
         OutcomeKind.UNSUPPORTED),
        (ProviderKind.MOONSHOT, 400, error("thinking is enabled but reasoning_content is missing"),
         OutcomeKind.UNSUPPORTED),
        (ProviderKind.MOONSHOT, 400, error("Invalid request: bad", "invalid_request_error"), OutcomeKind.INVALID),
        (ProviderKind.MOONSHOT, 403, error("insufficient balance"), OutcomeKind.EXHAUSTED),
        (ProviderKind.MOONSHOT, 403, error("no", "permission_denied_error"), OutcomeKind.UNAUTHORIZED),
        (ProviderKind.MOONSHOT, 429, error("You exceeded your current token quota", "exceeded_current_quota_error"),
         OutcomeKind.EXHAUSTED),
        (ProviderKind.MOONSHOT, 429, error("The engine is currently overloaded", "engine_overloaded_error"),
         OutcomeKind.OVERLOADED),
        (ProviderKind.MOONSHOT, 429, error("reached organization max RPM: 3", "rate_limit_reached_error"),
         OutcomeKind.THROTTLED),
        (ProviderKind.MOONSHOT, 429, error("request reached TPD rate limit, current: 1500001, limit: 1500000",
                                           "rate_limit_reached_error"), OutcomeKind.EXHAUSTED),
        (ProviderKind.TOGETHER, 402, error("monthly spending limit"), OutcomeKind.EXHAUSTED),
        (ProviderKind.TOGETHER, 403, error("Input token count + max_tokens parameter must be less than the context "
                                           "length of the model"), OutcomeKind.UNSUPPORTED),
        (ProviderKind.TOGETHER, 403, error("no access"), OutcomeKind.UNAUTHORIZED),
        (ProviderKind.TOGETHER, 422, error("Input validation error: `inputs` tokens + `max_new_tokens` must be < 9"),
         OutcomeKind.UNSUPPORTED),
        (ProviderKind.TOGETHER, 400, error("Unable to access non-serverless model", "invalid_request_error",
                                           "model_not_available"), OutcomeKind.UNSUPPORTED),
        (ProviderKind.TOGETHER, 503, error("Engine overloaded"), OutcomeKind.OVERLOADED),
        (ProviderKind.FIREWORKS, 402, error("usage limits"), OutcomeKind.EXHAUSTED),
        (ProviderKind.FIREWORKS, 412, error("account is suspended"), OutcomeKind.EXHAUSTED),
        (ProviderKind.FIREWORKS, 400, error("The prompt is too long: 9000, model maximum context length: 4096"),
         OutcomeKind.UNSUPPORTED),
        (ProviderKind.VLLM, 400, error('"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser '
                                       "to be set", "BadRequestError", 400), OutcomeKind.UNSUPPORTED),
        (ProviderKind.VLLM, 400, error("This model's maximum context length is 4096 tokens.", "BadRequestError", 400),
         OutcomeKind.UNSUPPORTED),
        (ProviderKind.VLLM, 404, {"object": "error", "message": "Model `x` does not exist.", "type": "NotFoundError",
                                  "param": None, "code": 404}, OutcomeKind.UNSUPPORTED),
        (ProviderKind.VLLM, 400, error("'loc': ('body', 'messages')", "Bad Request", 400), OutcomeKind.INVALID),
    ],
)  # fmt: skip
def test_each_error_signal_has_its_outcome(
    kind: ProviderKind, status: int, body: object, expected: OutcomeKind
) -> None:
    """The vendors' own errors, in their own words."""
    assert outcome_of(kind, body, status).kind is expected


def test_moonshots_day_ends_with_the_day_and_its_wait_is_read() -> None:
    """A limit per day closes the tier until then; a limit per minute says in words how long to wait."""
    day = outcome_of(ProviderKind.MOONSHOT, error("request reached TPD rate limit"), 429)
    assert isinstance(day, Exhausted)
    assert day.reset_after_s == 6 * 3600
    minute = error("reached organization max RPM: 3, please try again after 1 seconds", "rate_limit_reached_error")
    outcome = outcome_of(ProviderKind.MOONSHOT, minute, 429)
    assert isinstance(outcome, Throttled)
    assert outcome.retry_after_s == 1.0


def test_an_error_inside_a_success_may_have_been_billed() -> None:
    """One is written into a 200 by xAI when a model does not answer in time."""
    body = xai("Timed out waiting for first token", "The service is currently unavailable")
    outcome = outcome_of(ProviderKind.XAI, body)
    assert isinstance(outcome, Transient)
    assert outcome.may_be_billed
