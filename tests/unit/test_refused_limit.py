"""Which of a vendor's limits refused a call: by its words, or by what its headers show spent."""

import pytest
from provider_samples import anthropic, compatible, openai, raw, tier

from pointsman_routes import Throttled


def error(message: str, kind: str | None = None, code: str | None = None) -> dict[str, object]:
    """An error body."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        (error("Rate limit reached for gpt-5-mini on requests per min (RPM): Limit 3, Used 3"), "requests"),
        (error("Rate limit reached for gpt-5-mini on tokens per min (TPM): Limit 9, Requested 8"), "tokens"),
        (error("Rate limit reached for requests"), "requests"),
        (error("Rate limit reached for tokens per minute"), "tokens"),
        (error("slow", kind="requests", code="rate_limit_exceeded"), "requests"),
        (error("slow", kind="tokens", code="rate_limit_exceeded"), "tokens"),
        (error("have exceeded call rate limit of your current OpenAI S0 pricing tier."), "requests"),
        (error("have exceeded token rate limit of your current OpenAI S0 pricing tier."), "tokens"),
        ({"object": "error", "message": "Requests rate limit exceeded", "code": "1300"}, "requests"),
        (error("Too many requests"), None),
        (error("requests per min (RPM) or tokens per min (TPM)"), None),
        (error("This request would need 80 tokens"), None),
        (b"", None),
    ],
)
def test_the_limit_that_refused_is_told_by_words_type_or_code(body: object, limit: str | None) -> None:
    """Requests or tokens, by the error's words, type or code; both or neither is unknown."""
    for codec in (openai(), compatible()):
        outcome = codec.read(tier(), raw(body, 429)).outcome
        assert isinstance(outcome, Throttled)
        assert outcome.limit == limit


@pytest.mark.parametrize(
    ("requests", "tokens", "limit"),
    [("0", "9", "requests"), ("9", "0", "tokens"), ("0", "0", "tokens"), ("9", "9", "tokens"), ("x", "9", "tokens")],
)
def test_a_limit_shown_as_spent_decides(requests: str, tokens: str, limit: str) -> None:
    """What the headers show beats the words, unless they show both spent or neither; no codec leaves that out."""
    headers = {
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": requests,
        "x-ratelimit-remaining-tokens": tokens,
    }
    for status in (429, 498):
        outcome = openai().read(tier(), raw(error("on tokens per min (TPM)"), status, headers)).outcome
        assert isinstance(outcome, Throttled)
        assert outcome.limit == limit


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("This request would exceed your organization's rate limit of 50 requests per minute", "requests"),
        ("This request would exceed your organization's rate limit of 8,000 output tokens per minute", "tokens"),
        ("Number of requests has exceeded your per-minute rate limit", "requests"),
        ("Number of request tokens has exceeded your per-minute rate limit", "tokens"),
        ("Number of concurrent connections has exceeded your rate limit", None),
    ],
)
def test_anthropics_words_tell_the_limit_that_refused(text: str, limit: str | None) -> None:
    """Requests or tokens, in the vendor's words; what is neither is neither."""
    outcome = anthropic().read(tier(), raw({"type": "error", "error": {"message": text}}, 429)).outcome
    assert isinstance(outcome, Throttled)
    assert outcome.limit == limit
