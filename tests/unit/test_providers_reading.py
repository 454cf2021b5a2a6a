"""What holds for every kind: no reply raises, no reply leaks the key, waits and redactions are right."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st
from provider_samples import KEY, NOW, anthropic, ask, compatible, completion, message, openai, raw, tier

from pointsman_routes import Ok, Outcome, OutcomeKind, Provider, ProviderKind, Tier, Truncated
from pointsman_worker.api_keys import ApiKey
from pointsman_worker.providers import DEFAULT_BASE_URLS, RawReply, Reply, WireRequest, codec_for
from pointsman_worker.providers.redaction import Redactor
from pointsman_worker.providers.retry_after import retry_after_s


class Reader(Protocol):
    def read(self, tier: Tier, raw: RawReply) -> Reply: ...


EVERY_KIND = pytest.mark.parametrize("make", [openai, compatible, anthropic])

WORDS = st.sampled_from(
    [
        "error", "type", "code", "message", "model", "choices", "content", "finish_reason", "stop_reason", "usage",
        "refusal", "text", "prompt_tokens", "completion_tokens", "prompt_tokens_details", "cached_tokens",
        "input_tokens", "output_tokens", "cache_read_input_tokens", "inference_geo", "object", "detail",
    ]
)  # fmt: skip
VALUES = st.sampled_from(
    ["stop", "length", "end_turn", "max_tokens", "text", "gpt-5-mini", "error", "429", "insufficient_quota", "us"]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20) | VALUES
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=5), inner, max_size=6),
    max_leaves=20,
)
HEADERS = st.dictionaries(
    st.sampled_from(["retry-after", "retry-after-ms", "x-request-id", "request-id", "x-ratelimit-limit-requests"]),
    st.text(alphabet=st.characters(max_codepoint=255), max_size=40),
)
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
    headers = {"x-request-id": echo, "x-ratelimit-limit-tokens": echo} if where == "header" else {}
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
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2.0),
        ({"retry-after-ms": "-1", "retry-after": "2"}, 2.0),
        ({"retry-after": "Sat, 31 Oct 2026 18:00:30 GMT"}, 30.0),
        ({"retry-after": "Sat, 31 Oct 2026 20:00:30 +0200"}, 30.0),
        ({"retry-after": "Sat, 31 Oct 2026 17:59:59 GMT"}, None),
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


@given(text=st.text())
def test_no_wait_is_negative(text: str) -> None:
    """Whatever the header says, the wait is a number from zero up, or unknown."""
    wait = retry_after_s({"retry-after": text, "retry-after-ms": text}, datetime.now(UTC))
    assert wait is None or 0 <= wait < float("inf")


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
    if kind is not ProviderKind.OPENAI_COMPATIBLE:
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
