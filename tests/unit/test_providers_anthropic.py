"""The messages API: what is sent, what is unsupported before the call, and what each signal becomes."""

import pytest
from provider_samples import KEY, anthropic, ask, job, message, raw, sent, tier

from pointsman_routes import (
    Allowance,
    Answer,
    Empty,
    Exhausted,
    Job,
    Misrouted,
    Ok,
    Outcome,
    OutcomeKind,
    Refused,
    Throttled,
    Transient,
    Truncated,
    Unsupported,
    Usage,
)
from pointsman_worker.providers import WireRequest

MODEL = "claude-haiku-4-5"
TIER = tier(MODEL)


def outcome_of(
    body: object, status: int = 200, headers: dict[str, str] | None = None, region: str | None = None
) -> Outcome:
    """What becomes of a reply."""
    return anthropic(region).read(TIER, raw(body, status, headers)).outcome


def error(kind: str, text: str = "no", code: object = None) -> dict[str, object]:
    """An error body."""
    details = {"details": {"error_code": code}} if code is not None else {}
    return {"type": "error", "error": {"type": kind, "message": text, **details}, "request_id": "req_1"}


def test_the_job_is_sent_in_the_vendors_own_terms() -> None:
    """The leading instructions become `system`, `stop` becomes `stop_sequences`, the rest keeps its name."""
    asked = job(
        ("system", "be brief"), ("user", "a"), ("assistant", "b"), ("user", "c"), temperature=1, top_p=0.9, stop="END"
    )
    request = anthropic().build(ask(asked, MODEL))
    assert sent(request) == {
        "model": MODEL,
        "max_tokens": 64,
        "system": "be brief",
        "messages": [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"},
            {"role": "user", "content": "c"},
        ],
        "temperature": 1,
        "top_p": 0.9,
        "stop_sequences": ["END"],
    }
    assert isinstance(request, WireRequest)
    assert request.url == "https://api.anthropic.com/v1/messages"
    assert request.headers["x-api-key"] == KEY.reveal()
    assert request.headers["anthropic-version"] == "2023-06-01"
    assert KEY.reveal() not in repr(request)


def test_several_leading_instructions_stay_several() -> None:
    """System and developer messages before the first turn are blocks of `system`, in order."""
    body = sent(anthropic().build(ask(job(("system", "a"), ("developer", "b"), ("user", "c")), MODEL)))
    assert body["system"] == [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        (job(seed=0), "seed"),
        (job(temperature=1.01), "temperature"),
        (job(stop=[" \n"]), "stop"),
        (job(("user", "a"), ("system", "b"), ("user", "c")), "system message"),
        (job(("user", "a"), ("developer", "b"), ("user", "c")), "system message"),
        (job(("system", "a")), "message of the user"),
        (job(("assistant", "a"), ("user", "b")), "starts and ends"),
        (job(("user", "a"), ("assistant", "b")), "starts and ends"),
        (job(("user", "a"), ("assistant", " "), ("user", "c")), "empty message"),
        (job(("system", ""), ("user", "c")), "empty message"),
    ],
)
def test_what_cannot_be_expressed_is_unsupported_before_the_call(asked: Job, names: str) -> None:
    """Nothing is dropped: the job goes to another tier, and the detail says why."""
    problem = anthropic().build(ask(asked, MODEL))
    assert isinstance(problem, Unsupported)
    assert names in problem.detail


def test_a_declared_us_region_is_asked_for_and_no_other() -> None:
    """`us` is the one value of inference_geo that promises something."""
    assert sent(anthropic("us").build(ask(model=MODEL)))["inference_geo"] == "us"
    for region in (None, "eu", "global", "local"):
        assert "inference_geo" not in sent(anthropic(region).build(ask(model=MODEL)))


@pytest.mark.parametrize(
    ("declared", "answered", "kind"),
    [
        ("us", "us", OutcomeKind.OK),
        ("us", "global", OutcomeKind.MISROUTED),
        ("eu", "us", OutcomeKind.MISROUTED),
        ("eu", "global", OutcomeKind.MISROUTED),
        ("us", "not_available", OutcomeKind.OK),
        ("us", None, OutcomeKind.OK),
        ("global", "us", OutcomeKind.OK),
        (None, "global", OutcomeKind.OK),
    ],
)
def test_an_answer_from_another_region_is_withheld(declared: str | None, answered: object, kind: OutcomeKind) -> None:
    """Where the answer names its region, it has to be the declared one."""
    body = message(usage={"input_tokens": 1, "output_tokens": 1, "inference_geo": answered})
    assert outcome_of(body, region=declared).kind is kind


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, error("invalid_request_error"), OutcomeKind.INVALID),
        (400, error("invalid_request_error", "You have reached your API usage limits."), OutcomeKind.EXHAUSTED),
        (400, error("invalid_request_error", "Your credit balance is too low."), OutcomeKind.EXHAUSTED),
        (400, error("invalid_request_error", "prompt is too long: 210000 tokens > 200000"), OutcomeKind.UNSUPPORTED),
        (400, error("invalid_request_error", "input length and `max_tokens` exceed context limit"),
         OutcomeKind.UNSUPPORTED),
        (400, error("invalid_request_error", "max_tokens: 99999 > 8192, which is the maximum allowed number"),
         OutcomeKind.UNSUPPORTED),
        (400, error("invalid_request_error", "`temperature` and `top_p` cannot both be specified for this model"),
         OutcomeKind.UNSUPPORTED),
        (400, error("invalid_request_error", "inference_geo: not for this model"), OutcomeKind.UNSUPPORTED),
        (400, error("invalid_request_error", "Output blocked by content filtering policy"), OutcomeKind.REFUSED),
        (400, error("invalid_request_error", "`temperature` is deprecated for this model."), OutcomeKind.UNSUPPORTED),
        (400, error("invalid_request_error", "`temperature` may only be set to 1 when thinking is enabled"),
         OutcomeKind.UNSUPPORTED),
        (400, error("invalid_request_error", "Thinking may not be enabled when tool_choice forces tool use."),
         OutcomeKind.UNSUPPORTED),
        (400, error("invalid_request_error", "tool_choice.type: this model takes no forced tool"),
         OutcomeKind.UNSUPPORTED),
        (400, error("invalid_request_error", '"thinking.type.disabled" is not supported for this model.'),
         OutcomeKind.UNSUPPORTED),
        (400, error("invalid_request_error", "This model does not support the effort parameter."),
         OutcomeKind.UNSUPPORTED),
        (400, error("invalid_request_error", "output_config: Extra inputs are not permitted"), OutcomeKind.UNSUPPORTED),
        (400, error("invalid_request_error", "tools.0.custom.strict: Extra inputs are not permitted"),
         OutcomeKind.UNSUPPORTED),
        (400, error("invalid_request_error", "role 'system' is not supported on this model"), OutcomeKind.UNSUPPORTED),
        (400, error("invalid_request_error", 'messages: Unexpected role "system".'), OutcomeKind.UNSUPPORTED),
        (400, error("invalid_request_error", "Unable to download the file. Please verify the URL and try again."),
         OutcomeKind.UNSUPPORTED),
        (400, error("invalid_request_error", "This URL is disallowed by the website's robots.txt file."),
         OutcomeKind.UNSUPPORTED),
        (400, error("invalid_request_error", "messages.0.content.1.image.source.base64: image exceeds 5 MB maximum"),
         OutcomeKind.UNSUPPORTED),
        (400, error("invalid_request_error", "Too much media: 0 document pages + 102 images > 100"),
         OutcomeKind.UNSUPPORTED),
        (400, error("invalid_request_error", "too large", code="image_dimensions_too_large"), OutcomeKind.UNSUPPORTED),
        (400, error("invalid_request_error", "Could not process image"), OutcomeKind.INVALID),
        (400, error("invalid_request_error", "Image does not match the provided media type image/png"),
         OutcomeKind.INVALID),
        (400, error("invalid_request_error", "This service is not available in your region"), OutcomeKind.UNAUTHORIZED),
        (403, error("forbidden", "Request not allowed"), OutcomeKind.UNAUTHORIZED),
        (401, error("authentication_error"), OutcomeKind.UNAUTHORIZED),
        (402, error("billing_error"), OutcomeKind.EXHAUSTED),
        (403, error("permission_error"), OutcomeKind.UNAUTHORIZED),
        (404, error("not_found_error", "model: claude-nope"), OutcomeKind.UNSUPPORTED),
        (409, error("conflict_error"), OutcomeKind.TRANSIENT),
        (413, error("request_too_large"), OutcomeKind.UNSUPPORTED),
        (429, error("rate_limit_error", "would exceed your organization's rate limit"), OutcomeKind.THROTTLED),
        (429, error("rate_limit_error", "see the response headers for current usage. Please"), OutcomeKind.THROTTLED),
        (429, error("rate_limit_error", "monthly spend limit reached"), OutcomeKind.EXHAUSTED),
        (429, error("enforced_spend_limit_reached"), OutcomeKind.EXHAUSTED),
        (429, error("rate_limit_error", code="enforced_spend_limit_reached"), OutcomeKind.EXHAUSTED),
        (429, error("rate_limit_error", code="contract_spend_limit_reached"), OutcomeKind.EXHAUSTED),
        (429, error("rate_limit_error", code="ramp_limit_exceeded"), OutcomeKind.THROTTLED),
        (429, error("rate_limit_error", code=5), OutcomeKind.THROTTLED),
        (500, error("api_error"), OutcomeKind.TRANSIENT),
        (504, error("timeout_error"), OutcomeKind.TRANSIENT),
        (529, error("overloaded_error"), OutcomeKind.OVERLOADED),
        (200, error("overloaded_error"), OutcomeKind.OVERLOADED),
        (200, error("rate_limit_error"), OutcomeKind.THROTTLED),
        (200, error("api_error"), OutcomeKind.TRANSIENT),
    ],
)  # fmt: skip
def test_each_error_signal_has_its_outcome(status: int, body: object, kind: OutcomeKind) -> None:
    """The table of statuses, types and messages."""
    assert outcome_of(body, status).kind is kind


def test_a_throttle_without_a_wait_is_still_a_throttle() -> None:
    """Only words make a 429 exhausted: an absent Retry-After is common with gateways and stand-ins."""
    body = error("rate_limit_error")
    assert outcome_of(body, 429) == Throttled(detail="HTTP 429 rate_limit_error: no", retry_after_s=None)
    assert outcome_of(body, 429, {"retry-after": "9"}) == Throttled(
        detail="HTTP 429 rate_limit_error: no", retry_after_s=9.0
    )


def test_a_spend_limits_end_is_counted_from_the_vendors_clock() -> None:
    """The reply's date says what the vendor's clock showed, not ours."""
    text = "You have reached your specified API usage limits. You will regain access on 2026-11-01 at 00:00 UTC."
    outcome = outcome_of(error("invalid_request_error", text), 400, {"date": "Sat, 31 Oct 2026 17:55:00 GMT"})
    assert isinstance(outcome, Exhausted)
    assert outcome.reset_after_s == 6 * 3600 + 300


@pytest.mark.parametrize(
    ("moment", "seconds"),
    [("2026-11-01 at 00:00 UTC", 6 * 3600.0), ("2026-10-01 at 00:00 UTC", 0.0), ("2026-13-01 at 00:00 UTC", None)],
)
def test_a_spend_limit_that_names_its_end_reopens_then(moment: str, seconds: float | None) -> None:
    """The tier need not wait for the operator when the vendor says when access returns."""
    text = f"You have reached your specified API usage limits. You will regain access on {moment}."
    outcome = outcome_of(error("invalid_request_error", text), 400)
    assert isinstance(outcome, Exhausted)
    assert outcome.reset_after_s == seconds


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (message("hi"), Ok(answer=Answer(content="hi", finish_reason="stop"))),
        (message("hi", "stop_sequence"), Ok(answer=Answer(content="hi", finish_reason="stop"))),
        (message("hal", "max_tokens"), Truncated(answer=Answer(content="hal", finish_reason="length"))),
        (message("hal", "model_context_window_exceeded"),
         Truncated(answer=Answer(content="hal", finish_reason="length"))),
        (message("", "max_tokens"), Empty()),
        (message(" "), Empty()),
        (message() | {"content": []}, Empty()),
        (message() | {"content": [{"type": "thinking", "thinking": "hm"}]}, Empty()),
        (message(stop="tool_use") | {"content": [{"type": "tool_use", "id": "1"}]}, Empty()),
        (message("", "refusal"), Refused(detail="refusal")),
        (message("partly", "refusal"), Refused(detail="refusal")),
        (message() | {"content": [{"type": "text", "text": "a"}, {"type": "thinking"}, {"type": "text", "text": "b"}]},
         Ok(answer=Answer(content="ab", finish_reason="stop"))),
    ],
)  # fmt: skip
def test_what_was_said_is_judged(body: object, expected: Outcome) -> None:
    """Only content that ended by itself is ok; nothing empty ever is."""
    assert outcome_of(body) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        {},
        message() | {"content": "hi"},
        message() | {"content": ["hi"]},
        message(stop=None),
        message(stop="pause_turn"),
        message(stop=["end_turn"]),
        message() | {"model": 5},
    ],
)
def test_a_success_nobody_can_read_is_transient_and_may_be_billed(body: object) -> None:
    """A foreign shape or an unknown end is never an answer, and not free either."""
    outcome = outcome_of(body)
    assert isinstance(outcome, Transient)
    assert outcome.may_be_billed


def test_another_models_answer_is_withheld() -> None:
    """A server-side fallback shows only in the answer's model."""
    assert isinstance(outcome_of(message() | {"model": "claude-sonnet-4-5"}), Misrouted)


def test_cached_tokens_are_input_tokens() -> None:
    """Anthropic counts what it wrote to and read from its cache apart; all of it was input."""
    usage = {
        "input_tokens": 10,
        "output_tokens": 3,
        "cache_creation_input_tokens": 20,
        "cache_read_input_tokens": 30,
    }
    headers = {
        "request-id": "req_9",
        "anthropic-ratelimit-output-tokens-remaining": "7997",
        "anthropic-ratelimit-output-tokens-reset": "2026-10-31T18:00:05Z",
    }
    evidence = anthropic().read(TIER, raw(message(usage=usage), headers=headers)).evidence
    assert evidence.usage == Usage(input_tokens=60, output_tokens=3, cached_input_tokens=30, cache_write_tokens=20)
    assert evidence.provider_request_id == "req_9"
    assert evidence.finish_reason == "end_turn"
    assert evidence.allowances == (Allowance(name="otpm", limit=None, remaining=7997, reset_s=5.0),)


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {"input_tokens": 10},
        {"input_tokens": 10, "output_tokens": None},
        {"input_tokens": 10, "output_tokens": 3, "cache_read_input_tokens": "30"},
    ],
)
def test_usage_is_whole_or_unknown(usage: object) -> None:
    """A count that is missing or cannot be one makes the usage unknown, never zero."""
    assert anthropic().read(TIER, raw(message(usage=usage))).evidence.usage is None


def test_an_absent_cache_count_is_none_cached() -> None:
    """The cache fields are null for who uses no cache."""
    usage = {"input_tokens": 10, "output_tokens": 3, "cache_read_input_tokens": None}
    evidence = anthropic().read(TIER, raw(message(usage=usage))).evidence
    assert evidence.usage == Usage(input_tokens=10, output_tokens=3)
