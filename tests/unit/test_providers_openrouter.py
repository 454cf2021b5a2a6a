"""OpenRouter: what is sent, checked by the types of the vendor's client, and what each of its signals becomes."""

import json
from typing import Any

import pytest
from chat_cases import SPREAD, chat_job, chat_jobs, left_out
from hypothesis import given
from hypothesis import strategies as st
from openrouter.components import ChatRequest, ChatResult
from provider_samples import KEY, NOW, ask, completion, raw, sent, tier

from pointsman_routes import Answer, Empty, Job, Misrouted, Ok, Outcome, OutcomeKind, Truncated, Unsupported, Usage
from pointsman_worker.providers import Ask, RawReply, Reply, WireRequest
from pointsman_worker.providers.openrouter import OpenRouterCodec

MODEL = "deepseek/deepseek-v4-pro"
TIER = tier(MODEL)


def openrouter(*, zero_retention: bool = False) -> OpenRouterCodec:
    """OpenRouter's codec."""
    return OpenRouterCodec("https://eu.openrouter.ai/api/v1", KEY, now=lambda: NOW, zero_retention=zero_retention)


def as_openrouter_takes_it(body: dict[str, Any]) -> None:
    """A body whose every field the client's own model of a request knows: read and written, it is the same."""
    read = ChatRequest.model_validate(body)
    assert json.loads(read.model_dump_json(by_alias=True, exclude_unset=True)) == body


def missing(job: Job, body: dict[str, Any]) -> list[str]:
    """What of a job is not in a body."""
    effort = [] if body.get("reasoning_effort") == job.reasoning_effort else ["reasoning_effort"]
    return left_out(job, body) + effort


def answered(content: object = "hi", finish: object = "stop", **fields: object) -> dict[str, object]:
    """A completion of the model that was asked."""
    given = {"id": "gen-1791084135-7wgkROHX", "object": "chat.completion", "created": 1791084135, "model": MODEL}
    return completion(content, finish, **{**given, "system_fingerprint": None, **fields})


def told(**usage: object) -> dict[str, object]:
    """A completion with these fields in its usage."""
    return answered(usage={"prompt_tokens": 8, "completion_tokens": 1, "total_tokens": 9, **usage})


def read(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    """What is read from a reply."""
    return openrouter().read(TIER, raw(body, status, headers))


@pytest.mark.parametrize("name", [name for name in SPREAD if name != "many stops"])
def test_a_request_is_one_that_the_vendors_client_makes(name: str) -> None:
    """Every field is one of OpenRouter's, and every parameter of the job is in it."""
    job = SPREAD[name]
    body = sent(openrouter().build(ask(job, MODEL)))
    as_openrouter_takes_it(body)
    assert missing(job, body) == []
    assert (body["model"], body["max_tokens"]) == (MODEL, 64)


@given(job=chat_jobs(), zero_retention=st.booleans())
def test_no_job_is_routed_otherwise_than_it_says(job: Job, zero_retention: bool) -> None:
    """Sent whole or not at all; always to one provider that heeds every parameter and keeps no data to train on."""
    request = openrouter(zero_retention=zero_retention).build(ask(job, MODEL))
    if isinstance(request, Unsupported):
        assert request.detail.startswith("stop: ")
        return
    body = sent(request)
    as_openrouter_takes_it(body)
    assert missing(job, body) == []
    assert body["provider"] == {
        "allow_fallbacks": False,
        "require_parameters": True,
        "data_collection": "deny",
        **({"zdr": True} if zero_retention else {}),
    }
    assert body["plugins"] == [
        {"id": plugin, "enabled": False} for plugin in ("context-compression", "response-healing", "web")
    ]
    assert not {"models", "route", "transforms"} & body.keys()


def test_a_fifth_stop_sequence_is_unsupported() -> None:
    """The client's types say up to four."""
    request = openrouter().build(ask(chat_job(stop=["1", "2", "3", "4", "5"]), MODEL))
    assert isinstance(request, Unsupported)


def test_the_request_goes_to_the_base_url_and_asks_how_it_was_routed() -> None:
    """The key is in one header and nowhere else."""
    request = openrouter().build(ask(model=MODEL))
    assert isinstance(request, WireRequest)
    assert request.url == "https://eu.openrouter.ai/api/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY.reveal()}"
    assert request.headers["x-openrouter-metadata"] == "enabled"
    assert KEY.reveal() not in repr(request)
    assert KEY.reveal().encode() not in request.body


def test_a_service_tier_is_asked_for_and_told() -> None:
    """The response's field reports which was used."""
    body = sent(openrouter().build(Ask(job=chat_job(), tier=tier(MODEL, service_tier="flex"), max_tokens=64)))
    as_openrouter_takes_it(body)
    assert body["service_tier"] == "flex"
    assert read(answered(service_tier="default")).evidence.service_tier == "default"


def test_an_answer_in_full() -> None:
    """Usage with all its parts, the cost as it was written, and who answered."""
    details = {
        "prompt_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 8, "audio_tokens": 0, "video_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 30, "audio_tokens": 0},
        "cost": 0.0001584,
        "is_byok": False,
        "cost_details": {
            "upstream_inference_cost": 0.0001584,
            "upstream_inference_prompt_cost": 0.00014256,
            "upstream_inference_completions_cost": 0.00001584,
        },
    }
    usage = {"prompt_tokens": 135, "completion_tokens": 40, "total_tokens": 175, **details}
    body = answered(usage=usage, provider="NextBit")
    ChatResult.model_validate(body)
    reply = read(body, headers={"x-generation-id": "gen-9"})
    assert reply.outcome == Ok(answer=Answer(content="hi", finish_reason="stop"))
    assert reply.evidence.usage == Usage(
        input_tokens=135, output_tokens=40, cached_input_tokens=64, cache_write_tokens=8, reasoning_tokens=30
    )
    assert (reply.evidence.response_model, reply.evidence.upstream) == (MODEL, "NextBit")
    assert reply.evidence.provider_request_id == "gen-9"
    assert reply.evidence.told_microusd == 159  # 158.4, rounded up


def test_a_generation_is_named_by_its_body_where_no_header_does() -> None:
    """Support and the generation endpoint ask for it."""
    assert read(answered()).evidence.provider_request_id == "gen-1791084135-7wgkROHX"


@pytest.mark.parametrize(
    ("usage", "microusd"),
    [
        ({"cost": 0.000013}, 13),
        ({"cost": 0.1}, 100_000),
        ({"cost": 0.0000001}, 1),
        ({"cost": 1e-30}, 1),
        ({"cost": 0}, 0),
        ({"cost": 0.07}, 70_000),  # 0.07 * 1e6 is 70000.00000000001
        ({"cost": 3}, 3_000_000),
        ({}, None),
        ({"cost": None}, None),
        ({"cost": -0.1}, None),
        ({"cost": "0.1"}, None),
        ({"cost": True}, None),
        ({"cost": [0.1]}, None),
        ({"cost": 1e300}, None),
        ({"cost": 10**400}, None),
        ({"cost": 10**7}, None),
        ({"cost": 0.1, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.2}}, 100_000),
        ({"cost": 0.01, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.2}}, 210_000),
        ({"cost": 0.01, "is_byok": True, "cost_details": {"upstream_inference_cost": None}}, None),
        ({"cost": 0.01, "is_byok": True, "cost_details": "?"}, None),
    ],
)
def test_the_cost_is_what_was_written_rounded_up_or_unknown(usage: dict[str, object], microusd: int | None) -> None:
    """Never off by a binary fraction, never 0 for what is not known; a key of one's own is billed by its vendor too."""
    assert read(told(**usage)).evidence.told_microusd == microusd


def metadata(*, provider: str = "OpenAI", stages: list[object] | None = None) -> dict[str, object]:
    """How a call was routed, as OpenRouter tells it when asked."""
    ends = [
        {"provider": "Azure", "model": MODEL, "selected": False},
        {"provider": provider, "model": MODEL, "selected": True},
    ]
    routed = {
        "requested": MODEL,
        "strategy": "direct",
        "region": "iad",
        "summary": "available=2",
        "attempt": 1,
        "is_byok": False,
        "endpoints": {"total": 2, "available": ends},
    }
    return routed if stages is None else {**routed, "pipeline": stages}


def test_the_endpoint_that_was_selected_is_who_answered() -> None:
    """Where the answer names no provider by itself."""
    body = answered(openrouter_metadata=metadata())
    ChatResult.model_validate(body)
    assert read(body).evidence.upstream == "OpenAI"


def stage(name: str, kind: str) -> dict[str, object]:
    """A step between the request and the answer."""
    return {"type": kind, "name": name, "data": {"engine": "middle-out"}}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("context-compression", "context_compression"),
        ("response-healing", "response_healing"),
        ("web-search", "plugin"),
    ],
)
def test_an_answer_to_a_prompt_that_was_changed_is_withheld(name: str, kind: str) -> None:
    """An account can forbid calls to turn a plugin off; then what came back is not what was asked for."""
    body = answered(openrouter_metadata=metadata(stages=[stage("moderation", "guardrail"), stage(name, kind)]))
    ChatResult.model_validate(body)
    reply = read(body)
    assert isinstance(reply.outcome, Misrouted)
    assert name in reply.outcome.detail
    assert reply.evidence.usage is not None


@pytest.mark.parametrize("stages", [[], [stage("moderation", "guardrail")], "context-compression", [None, 5]])
def test_a_stage_that_only_looked_changes_nothing(stages: list[object]) -> None:
    """Nor does one nobody can read."""
    assert read(answered(openrouter_metadata=metadata(stages=stages))).outcome.kind is OutcomeKind.OK


@pytest.mark.parametrize(
    ("asked", "served_as", "served", "kind"),
    [
        ("openai/gpt-4o-mini", (), "openai/gpt-4o-mini", OutcomeKind.OK),
        ("openai/gpt-4o-mini", (), "openai/gpt-4o-mini-2024-07-18", OutcomeKind.OK),
        ("anthropic/claude-sonnet-4.5", (), "anthropic/claude-4.5-sonnet-20250929", OutcomeKind.MISROUTED),
        ("anthropic/claude-sonnet-4.5", ("anthropic/claude-4.5-sonnet-*",), "anthropic/claude-4.5-sonnet-20250929",
         OutcomeKind.OK),
        ("~anthropic/claude-opus-latest", (), "anthropic/claude-opus-4.8", OutcomeKind.MISROUTED),
        ("openrouter/auto", (), "openai/gpt-4o-mini", OutcomeKind.MISROUTED),
        ("openai/gpt-4o-mini:floor", (), "openai/gpt-4o-mini", OutcomeKind.MISROUTED),
        ("openai/gpt-4o-mini:floor", ("openai/gpt-4o-mini",), "openai/gpt-4o-mini", OutcomeKind.OK),
    ],
)  # fmt: skip
def test_an_answer_under_another_name_must_be_listed(
    asked: str, served_as: tuple[str, ...], served: str, kind: OutcomeKind
) -> None:
    """A permanent slug, an alias and a router are names like any other."""
    reply = openrouter().read(tier(asked, served_as=served_as), raw(answered(model=served)))
    assert reply.outcome.kind is kind
    assert reply.evidence.response_model == served


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (answered("hi", "stop"), Ok(answer=Answer(content="hi", finish_reason="stop"))),
        (answered("hal", "length"), Truncated(answer=Answer(content="hal", finish_reason="length"))),
        (answered(""), Empty()),
        (answered(None), Empty()),
        (answered(" \n"), Empty()),
    ],
)
def test_what_was_said_is_judged(body: object, expected: Outcome) -> None:
    """Only content that ended by itself is ok; nothing empty ever is."""
    assert read(body).outcome == expected


@pytest.mark.parametrize(
    ("finish", "kind"),
    [("content_filter", OutcomeKind.REFUSED), ("error", OutcomeKind.TRANSIENT), ("new", OutcomeKind.TRANSIENT)],
)
def test_each_other_end_has_its_outcome(finish: str, kind: OutcomeKind) -> None:
    """`error` without an error is an answer that broke off."""
    assert read(answered("hal", finish)).outcome.kind is kind


def test_a_call_of_a_tool_is_an_answer() -> None:
    """With the id the upstream gave it."""
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"n": 1}'}, "index": 0}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    body = answered(choices=[{"index": 0, "finish_reason": "tool_calls", "message": message}])
    ChatResult.model_validate(body)
    outcome = read(body).outcome
    assert isinstance(outcome, Ok)
    assert [made.function.name for made in outcome.answer.tool_calls] == ["weather"]


NOISE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["error", "metadata", "availability", "headers", "X-RateLimit-Reset", "resets_at", "retry_after", "raw",
             "reasons", "message", "code", "type", "error_type", "limit_source", "provider_name", "usage", "cost",
             "cost_details", "upstream_inference_cost", "endpoints", "available", "selected", "provider", "pipeline",
             "name", "http_status", "reason", "is_byok", "retryable"]
        ),
        inner,
        max_size=6,
    ),
    max_leaves=20,
)  # fmt: skip


@given(
    status=st.sampled_from([200, 200, 400, 402, 403, 404, 429, 500, 503]),
    body=NOISE,
    stamp=st.text(max_size=14) | st.integers(0, 10**14).map(str),
)
def test_reading_never_raises(status: int, body: object, stamp: str) -> None:
    """Whatever stands where an error, a cost, a wait or the way of a call is expected."""
    samples: list[object] = [
        body,
        {"error": body},
        {"error": {"code": status, "message": "no", "metadata": body, "availability": body}},
        {**answered(), "openrouter_metadata": body, "provider": body},
        {**answered(), "openrouter_metadata": {"pipeline": body, "endpoints": {"available": body}}},
        {**answered(), "usage": body},
        told(cost=body, is_byok=True, cost_details=body),
    ]
    for sample in samples:
        wire = RawReply(status=status, headers={"x-ratelimit-reset": stamp}, body=json.dumps(sample).encode())
        reply = openrouter().read(TIER, wire)
        assert reply.evidence.http_status == status
        assert (reply.evidence.told_microusd or 0) >= 0
