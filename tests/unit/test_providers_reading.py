"""What holds for every kind: no reply raises, no reply leaks the key, waits and redactions are right."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st
from provider_samples import KEY, NOW, anthropic, ask, compatible, completion, message, openai, raw, tier

from pointsman_routes import Exhausted, Ok, Outcome, OutcomeKind, Provider, ProviderKind, Throttled, Tier, Truncated
from pointsman_worker.api_keys import ApiKey
from pointsman_worker.providers import DEFAULT_BASE_URLS, RawReply, Reply, WireRequest, codec_for
from pointsman_worker.providers.redaction import Redactor
from pointsman_worker.providers.retry_after import retry_after_s, told_wait_s


class Reader(Protocol):
    def read(self, tier: Tier, raw: RawReply) -> Reply: ...


EVERY_KIND = pytest.mark.parametrize("make", [openai, compatible, anthropic])

WORDS = st.sampled_from(
    [
        "error", "type", "code", "message", "model", "choices", "content", "finish_reason", "stop_reason", "usage",
        "refusal", "text", "prompt_tokens", "completion_tokens", "prompt_tokens_details", "cached_tokens",
        "input_tokens", "output_tokens", "cache_read_input_tokens", "inference_geo", "object", "detail", "details",
        "@type", "retryDelay",
    ]
)  # fmt: skip
VALUES = st.sampled_from(
    [
        "stop", "length", "end_turn", "max_tokens", "text", "gpt-5-mini", "error", "429", "insufficient_quota", "us",
        "type.googleapis.com/google.rpc.RetryInfo", "27s", "on requests per day. Please try again in 6m0s",
        "You have reached your API usage limits. You will regain access on 2026-11-01 at 00:00 UTC",
    ]
)  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20) | VALUES
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=5), inner, max_size=6),
    max_leaves=20,
)
DATES = st.datetimes(timezones=st.just(UTC)).map(lambda moment: f"{moment:%a, %d %b %Y %H:%M:%S} +1200")
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "retry-after", "retry-after-ms", "date", "x-request-id", "request-id", "x-ratelimit-limit-requests",
            "x-ratelimit-remaining-tokens", "anthropic-ratelimit-tokens-reset",
        ]
    ),
    st.text(alphabet=st.characters(max_codepoint=255), max_size=40) | DATES,
)  # fmt: skip
STATUSES = st.sampled_from([200, 200, 200, 204, 302, 400, 401, 403, 404, 413, 429, 500, 503, 529]) | st.integers(0, 999)


@st.composite
def damaged(draw: st.DrawFn, whole: Callable[[], dict[str, object]]) -> object:
    """A proper answer with one value, at any depth, replaced by anything."""
    body: Any = whole()
    spot, keys = body, list(body)
    while True:
        key = draw(st.sampled_from(keys))
        inner = spot[key]
        keys = list(inner) if isinstance(inner, dict) else list(range(len(inner))) if isinstance(inner, list) else []
        if not keys or draw(st.booleans()):
            spot[key] = draw(JSON)
            return body
        spot = inner


BODIES = st.binary(max_size=200) | (JSON | damaged(completion) | damaged(message)).map(
    lambda body: json.dumps(body).encode("utf-8", "surrogatepass")
)


def texts_of(reply: Reply) -> str:
    """Everything of a reply that goes into a record; the answer itself does not."""
    answered = isinstance(reply.outcome, Ok | Truncated)
    return repr(reply.evidence) + ("" if answered else repr(reply.outcome))


@EVERY_KIND
@given(status=STATUSES, headers=HEADERS, body=BODIES)
def test_reading_never_raises_and_never_invents(
    make: Callable[[], Reader], status: int, headers: dict[str, str], body: bytes
) -> None:
    """Any status, headers and body give a reply; success only for a 2xx, and never without content."""
    reply = make().read(tier(), RawReply(status=status, headers=headers, body=body))
    assert reply.evidence.http_status == status
    outcome: Outcome = reply.outcome
    if isinstance(outcome, Ok | Truncated):
        assert 200 <= status < 300
        assert outcome.answer.content.strip()
        assert outcome.answer.finish_reason == ("stop" if isinstance(outcome, Ok) else "length")
    else:
        assert len(getattr(outcome, "detail", "")) <= 500
    for text in (reply.evidence.response_model, reply.evidence.provider_request_id, reply.evidence.finish_reason):
        assert text is None or (text.isprintable() and len(text) <= 128)


@EVERY_KIND
@given(status=STATUSES, where=st.sampled_from(["message", "type", "code", "model", "stop", "header"]), noise=st.text())
def test_the_key_is_in_no_record(make: Callable[[], Reader], status: int, where: str, noise: str) -> None:
    """Wherever a vendor echoes the key, it does not reach the outcome or the evidence."""
    echo = f"{noise}{KEY.reveal()}{noise}"
    error: dict[str, object] = {"error": {name: echo if where == name else "x" for name in ("message", "type", "code")}}
    body = error if where in ("message", "type", "code") else completion() | message()
    if where == "model":
        body |= {"model": echo}
    if where == "stop":
        body |= {"stop_reason": echo, "choices": [{"message": {"content": "hi"}, "finish_reason": echo}]}
    names = ("x-request-id", "x-ratelimit-limit-tokens", "retry-after", "date")
    headers = dict.fromkeys(names, echo) if where == "header" else {}
    reply = make().read(tier(), raw(body, status, headers))
    assert KEY.reveal() not in texts_of(reply)


@EVERY_KIND
def test_every_kind_judges_the_empty_alike(make: Callable[[], Reader]) -> None:
    """An answer without content is empty for every kind."""
    body = completion("") | {"content": [], "stop_reason": "end_turn"}
    assert make().read(tier(), raw(body)).outcome.kind is OutcomeKind.EMPTY


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": " 12 "}, 12.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "86400"}, 86400.0),
        ({"retry-after": "604800"}, 604800.0),
        ({"retry-after": "999999999"}, 999999999.0),
        ({"retry-after": "1000000000"}, None),
        ({"retry-after": "26.28409242630005"}, 26.28409242630005),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2.0),
        ({"retry-after-ms": "-1", "retry-after": "2"}, 2.0),
        ({"retry-after": "Sat, 31 Oct 2026 18:00:30 GMT"}, 30.0),
        ({"retry-after": "Sat, 31 Oct 2026 20:00:30 +0200"}, 30.0),
        ({"retry-after": "Sat, 07 Nov 2026 18:00:00 GMT"}, 604800.0),
        ({"retry-after": "Saturday, 31-Oct-26 18:00:30 GMT"}, 30.0),
        ({"retry-after": "Sat Oct 31 18:00:30 2026"}, 30.0),
        ({"retry-after": "Sat, 31 Oct 2026 17:59:59 GMT"}, None),
        ({"retry-after": "Fri, 31 Oct 2110 18:00:00 GMT"}, None),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 -2359"}, None),
        ({"retry-after": "Sat, 31 Oct 2026 18:00:30 GMT", "date": "soon"}, 30.0),
        ({"retry-after": "Sat, 31 Oct 2026 18:00:30 GMT", "date": "Sat, 31 Oct 2026 18:00:31 GMT"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e9"}, None),
        ({"retry-after": "1_000"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "1\x1f"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "Sat, 99 Oct 2026 99:00:30 GMT"}, None),
    ],
)
def test_a_wait_is_read_or_unknown(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, milliseconds and dates are understood; anything else is no wait at all."""
    assert retry_after_s(headers, NOW) == seconds


@pytest.mark.parametrize("minutes_off", [-5, 0, 5])
def test_a_date_is_counted_from_the_vendors_clock(minutes_off: int) -> None:
    """Two workers whose clocks are minutes apart read the same wait from the same reply."""
    headers = {"retry-after": "Sat, 31 Oct 2026 18:00:30 GMT", "date": "Sat, 31 Oct 2026 18:00:00 GMT"}
    assert retry_after_s(headers, NOW + timedelta(minutes=minutes_off)) == 30.0


@given(text=st.text() | DATES, date=st.text() | DATES)
def test_no_wait_is_negative(text: str, date: str) -> None:
    """Whatever the headers say, the wait is a number from zero up to nine digits, or unknown."""
    wait = retry_after_s({"retry-after": text, "retry-after-ms": text, "date": date}, datetime.now(UTC))
    assert wait is None or 0 <= wait < 1e9


def retry_info(delay: object, kind: object = "type.googleapis.com/google.rpc.RetryInfo") -> dict[str, object]:
    """Google's error, with the delay in its details."""
    quota = {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": "PerDay"}]}
    return {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [quota, {"@type": kind, "retryDelay": delay}]}


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (retry_info("27s"), 27.0),
        (retry_info("45.25s"), 45.25),
        (retry_info("52758s"), 52758.0),
        (retry_info("0s"), 0.0),
        (retry_info("45.25s") | {"message": "Please retry in 9s."}, 45.25),
        (retry_info("soon") | {"message": "Please retry in 9s."}, 9.0),
        (retry_info("-1s"), None),
        (retry_info("1e9s"), None),
        (retry_info("9" * 10 + "s"), None),
        (retry_info("999999999h"), None),
        (retry_info("27"), None),
        (retry_info(27), None),
        (retry_info({"seconds": 27}), None),
        (retry_info(None), None),
        (retry_info("27s", kind="type.googleapis.com/google.rpc.Help"), None),
        (retry_info("27s", kind=None), None),
        (retry_info("27s", kind=["google.rpc.RetryInfo"]), None),
        ({"details": {"@type": "google.rpc.RetryInfo", "retryDelay": "27s"}}, None),
        ({"details": [None, "google.rpc.RetryInfo", 5, [{}]]}, None),
        ({"details": "27s"}, None),
        ({"message": "Please try again in 1.2s. Visit the page."}, 1.2),
        ({"message": "Please try again in 20ms"}, 0.02),
        ({"message": "please TRY AGAIN IN 6m0s."}, 360.0),
        ({"message": "Please try again in 7m12.5s. "}, 432.5),
        ({"message": "Please try again in 1h2m3s"}, 3723.0),
        ({"message": "Please retry after 38 seconds. Please go here: x"}, 38.0),
        ({"message": "Please retry after 1 second."}, 1.0),
        ({"message": "Please retry in 45.253312s."}, 45.253312),
        ({"message": "Please try again in -5s"}, None),
        ({"message": "Please try again in 1e9s"}, None),
        ({"message": "Please try again in 1.2.3s"}, None),
        ({"message": "Please try again in 9999999999s"}, None),
        ({"message": "Please try again in 5 minutes"}, None),
        ({"message": "Please try again in s"}, None),
        ({"message": "Please try again in 5sec"}, None),
        ({"message": "Please try again later"}, None),
        ({"message": "never retry in " + "1h" * 900}, None),
        ({}, None),
    ],
)
def test_a_wait_in_the_error_is_read_or_unknown(error: dict[str, object], seconds: float | None) -> None:
    """Google's RetryInfo and the words of OpenAI, Azure and Google; any other shape says nothing."""
    message = error.get("message")
    wait = told_wait_s(error, message if isinstance(message, str) else "")
    assert wait == (pytest.approx(seconds) if seconds is not None else None)


@given(error=st.dictionaries(WORDS, JSON), message=st.text())
def test_no_wait_in_an_error_is_negative(error: dict[str, object], message: str) -> None:
    """Whatever the error is, the wait is a number from zero up to nine digits, or unknown."""
    wait = told_wait_s(error, message)
    assert wait is None or 0 <= wait < 1e9


@pytest.mark.parametrize("make", [openai, compatible])
@pytest.mark.parametrize("wrapped", [True, False])
def test_a_throttle_carries_the_wait_of_its_retry_info(make: Callable[[], Reader], *, wrapped: bool) -> None:
    """Google's error is found in a body that is a list of one, too, and a header still comes first."""
    body: object = {"error": retry_info("45.25s")}
    body = [body] if wrapped else body
    for headers, wait in (({}, 45.25), ({"retry-after": "3"}, 3.0)):
        outcome = make().read(tier(), raw(body, 429, headers)).outcome
        assert isinstance(outcome, Throttled)
        assert outcome.retry_after_s == wait


@pytest.mark.parametrize(
    ("headers", "wait"),
    [({}, 1.2), ({"retry-after": "soon"}, 1.2), ({"retry-after": "7"}, 7.0), ({"retry-after": "0"}, 0.0)],
)
def test_a_wait_in_words_counts_when_no_header_names_one(headers: dict[str, str], wait: float) -> None:
    """The header is what the vendor's own clients obey; the message is read only in its absence."""
    outcome = (
        openai().read(tier(), raw({"error": {"message": "Please try again in 1.2s. Visit us."}}, 429, headers)).outcome
    )
    assert isinstance(outcome, Throttled)
    assert outcome.retry_after_s == wait


def test_a_daily_limits_own_words_say_when_it_reopens() -> None:
    """OpenAI's requests of the day come back one by one; the message says when the next does."""
    error = {"message": "Rate limit reached on requests per day (RPD): Limit 200. Please try again in 7m12s."}
    outcome = openai().read(tier(), raw({"error": error}, 429)).outcome
    assert isinstance(outcome, Exhausted)
    assert outcome.reset_after_s == 432.0


@pytest.mark.parametrize(
    "echo",
    [
        KEY.reveal(),
        f"'{KEY.reveal()}'",
        f"key={KEY.reveal()}.",
        f"Bearer {KEY.reveal()}",
        KEY.reveal()[:14],
        KEY.reveal()[-12:],
        "sk-...WcLd",
        "sk-proj-********************WcLd",
        "sk-p***WcLd.",
        "**********WcLd",
        "sk-other-persons-key-123",
    ],
)
def test_whole_partial_and_masked_keys_are_hidden(echo: str) -> None:
    """A key is hidden whole, in pieces of eight, and in the masked forms vendors echo; the rest stays readable."""
    cleaned = Redactor(KEY).clean(f"Incorrect API key provided: {echo} was given, disk-management is fine", 300)
    assert cleaned.startswith("Incorrect API key provided:")
    assert cleaned.endswith("was given, disk-management is fine")
    assert "[redacted]" in cleaned
    assert not any(piece in cleaned for piece in ("WcLd", "4f9X", "other"))


def test_a_short_key_is_hidden_without_mangling_words() -> None:
    """A local server's key may be one letter; it is hidden as a word, not as a letter."""
    assert Redactor(ApiKey("a")).clean("a bad key", 300) == "[redacted] bad key"
    assert Redactor(ApiKey("hunter2")).clean("key:hunter2!", 300) == "key:[redacted]"
    assert Redactor(None).clean("a bad key", 300) == "a bad key"


def test_a_long_text_is_cut() -> None:
    """The cut shows."""
    assert Redactor(None).clean("ab" * 500, 10) == "ababababa…"


@pytest.mark.parametrize("kind", list(ProviderKind))
def test_every_kind_has_a_codec(kind: ProviderKind) -> None:
    """Each kind builds a request to its default base URL, or to the given one."""
    fields: dict[str, Any] = {"kind": kind, "owner": "me", "api_key": {"env": "K"}, "tiers": {"t": {"model": "m"}}}
    given_url = Provider.model_validate({**fields, "base_url": "http://127.0.0.1:9/x/"})
    request = codec_for(given_url, KEY).build(ask())
    assert isinstance(request, WireRequest)
    assert request.url.startswith("http://127.0.0.1:9/x/")
    if kind in DEFAULT_BASE_URLS:
        request = codec_for(Provider.model_validate(fields), KEY).build(ask())
        assert isinstance(request, WireRequest)
        assert request.url.startswith(DEFAULT_BASE_URLS[kind])


def test_the_region_reaches_the_codec() -> None:
    """A provider's declared region is what its answers are checked against."""
    fields: dict[str, Any] = {"kind": "anthropic", "owner": "me", "api_key": {"env": "K"}, "region": "us"}
    provider = Provider.model_validate({**fields, "tiers": {"t": {"model": "m"}}})
    request = codec_for(provider, KEY).build(ask())
    assert isinstance(request, WireRequest)
    assert json.loads(request.body)["inference_geo"] == "us"
