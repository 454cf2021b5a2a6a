"""The presets: what each vendor is sent, what it cannot express, and what its answers and errors mean."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from chat_cases import (
    CALLED,
    CONVERSATION,
    JSON_SCHEMA,
    SPREAD,
    as_openai_reads_it,
    as_openai_takes_it,
    chat_job,
    chat_jobs,
    left_out,
    picture,
)
from hypothesis import given
from hypothesis import strategies as st
from provider_samples import KEY, NOW, ask, completion, raw, sent, tier

from pointsman_routes import (
    Job,
    Ok,
    Outcome,
    OutcomeKind,
    ProviderKind,
    Truncated,
    Unsupported,
    Usage,
)
from pointsman_worker.providers import RawReply, WireRequest
from pointsman_worker.providers.presets import PRESETS, PresetCodec

EVERY = pytest.mark.parametrize("kind", list(PRESETS))
BESIDE: Mapping[ProviderKind, Mapping[str, Any]] = {
    ProviderKind.TOGETHER: {"context_length_exceeded_behavior": "error"},
    ProviderKind.FIREWORKS: {"context_length_exceeded_behavior": "error"},
}
"""What goes beyond OpenAI's API in every request."""
NO_THINKING = {"thinking": {"type": "disabled"}}
OFF: Mapping[ProviderKind, Mapping[str, Any]] = {
    ProviderKind.DEEPSEEK: NO_THINKING,
    ProviderKind.MOONSHOT: NO_THINKING,
    ProviderKind.TOGETHER: {"reasoning": {"enabled": False}},
}
"""What says "do not think" where reasoning_effort does not."""
CANNOT: Mapping[ProviderKind, set[str]] = {
    ProviderKind.DEEPSEEK: {"sampling", "hot", "schema", "tool answered", "medium effort", "most effort"},
    ProviderKind.XAI: {"many stops"},
    ProviderKind.CEREBRAS: {"many stops", "most effort"},
    ProviderKind.MOONSHOT: {"sampling", "hot", "many stops", "image by address", "medium effort", "most effort"},
    ProviderKind.TOGETHER: {"hot", "most effort"},
    ProviderKind.FIREWORKS: {"many stops", "most effort"},
    ProviderKind.VLLM: set(),
}
"""Of the spread of jobs, those that a vendor cannot express."""


def codec(kind: ProviderKind, **fields: Any) -> PresetCodec:
    """A vendor's codec."""
    return PresetCodec(PRESETS[kind], PRESETS[kind].base_url, KEY, now=lambda: NOW, **fields)


def told(kind: ProviderKind, asked: Job) -> str:
    """Why a vendor cannot be asked."""
    request = codec(kind).build(ask(asked))
    assert isinstance(request, Unsupported), request
    return request.detail


def outcome_of(kind: ProviderKind, body: object, status: int = 200) -> Outcome:
    """What becomes of a reply."""
    return codec(kind).read(tier("m"), raw(body, status)).outcome


def effort_of(body: Mapping[str, Any], kind: ProviderKind) -> Mapping[str, Any]:
    """What of a body says how long to think."""
    names = {"reasoning_effort", *OFF.get(kind, {})}
    return {name: value for name, value in body.items() if name in names}


def expected_effort(kind: ProviderKind, effort: str | None) -> Mapping[str, Any]:
    """What should say how long to think."""
    if effort is None:
        return {}
    return OFF[kind] if effort == "none" and kind in OFF else {"reasoning_effort": effort}


@EVERY
@pytest.mark.parametrize("name", sorted(SPREAD))
def test_each_job_is_expressed_whole_or_known_not_to_be(kind: ProviderKind, name: str) -> None:
    """What a vendor's own documentation rules out is unsupported before the call; all else is sent as it stands."""
    request = codec(kind).build(ask(SPREAD[name], "m"))
    assert isinstance(request, Unsupported) == (name in CANNOT[kind]), request
    if isinstance(request, Unsupported):
        return
    body = sent(request)
    effort = SPREAD[name].reasoning_effort
    off = OFF.get(kind, {}) if effort == "none" else {}
    as_openai_takes_it(body, {**BESIDE.get(kind, {}), **off})
    assert left_out(SPREAD[name], body) == []
    assert effort_of(body, kind) == expected_effort(kind, effort)
    assert body[PRESETS[kind].limit_field] == 64
    assert len({"max_tokens", "max_completion_tokens"} & body.keys()) == 1


@EVERY
@given(asked=chat_jobs())
def test_any_job_is_sent_whole_or_not_at_all(kind: ProviderKind, asked: Job) -> None:
    """No parameter is dropped or rewritten, whatever the job; a refusal names what it is about."""
    request = codec(kind).build(ask(asked))
    if isinstance(request, Unsupported):
        assert request.detail.partition(":")[0] in (*Job.model_fields, "messages")
        return
    body = sent(request)
    assert left_out(asked, body) == []
    assert effort_of(body, kind) == expected_effort(kind, asked.reasoning_effort)


@EVERY
def test_a_call_goes_to_the_vendor_with_the_key(kind: ProviderKind) -> None:
    """A bearer key, at the address its guide to OpenAI's SDK gives."""
    request = codec(kind).build(ask())
    assert isinstance(request, WireRequest)
    assert request.url == f"{PRESETS[kind].base_url}/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY.reveal()}"
    assert KEY.reveal() not in repr(request)


def test_deepseek_ignores_sampling_while_it_thinks() -> None:
    """It thinks unless told not to, and then temperature and top_p would be dropped in silence."""
    deepseek = ProviderKind.DEEPSEEK
    detail = 'temperature: DeepSeek ignores it while it thinks; ask for reasoning_effort "none"'
    assert told(deepseek, chat_job(temperature=0.2)) == detail
    assert told(deepseek, chat_job(temperature=0, reasoning_effort="high")) == detail
    assert told(deepseek, chat_job(top_p=0.5)).startswith("top_p: ")
    body = sent(codec(deepseek).build(ask(chat_job(temperature=0.2, top_p=0.5, reasoning_effort="none"))))
    assert (body["temperature"], body["top_p"], body["thinking"]) == (0.2, 0.5, {"type": "disabled"})


def test_deepseek_wants_back_what_it_thought_beside_a_tool_call() -> None:
    """A job cannot hold that, so such a conversation goes on without thinking or elsewhere."""
    assert told(ProviderKind.DEEPSEEK, chat_job(*CONVERSATION)).startswith("messages: DeepSeek wants back")
    quiet = chat_job(*CONVERSATION, reasoning_effort="none")
    assert sent(codec(ProviderKind.DEEPSEEK).build(ask(quiet)))["messages"] == list(CONVERSATION)


@pytest.mark.parametrize(
    ("kind", "fields", "detail"),
    [
        (ProviderKind.DEEPSEEK, {"seed": 7}, "seed: DeepSeek has no such parameter"),
        (ProviderKind.DEEPSEEK, {"response_format": JSON_SCHEMA}, "response_format: DeepSeek takes no schema"),
        (ProviderKind.DEEPSEEK, {"reasoning_effort": "medium"},
         "reasoning_effort: DeepSeek knows none, low, high, the job asks for medium"),
        (ProviderKind.XAI, {"stop": ["1", "2", "3", "4", "5"]}, "stop: at most 4 sequences, the job has 5"),
        (ProviderKind.XAI, {"reasoning_effort": "minimal"},
         "reasoning_effort: xAI knows none, low, medium, high, xhigh, the job asks for minimal"),
        (ProviderKind.MOONSHOT, {"temperature": 1.1}, "temperature: Moonshot takes 0 to 1, the job asks for 1.1"),
        (ProviderKind.MOONSHOT, {"stop": ["é" * 17]}, "stop: Moonshot takes no sequence of more than 32 bytes"),
        (ProviderKind.TOGETHER, {"temperature": 2}, "temperature: Together takes 0 to 1, the job asks for 2"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_and_why(kind: ProviderKind, fields: dict[str, Any], detail: str) -> None:
    """The parameter first, then the vendor and its rule."""
    assert told(kind, chat_job(**fields)) == detail


def test_what_just_fits_is_sent() -> None:
    """The rules are no stricter than they say."""
    moonshot = chat_job(picture(), temperature=1, stop=["é" * 16, "b", "c", "d", "e"])
    assert left_out(moonshot, sent(codec(ProviderKind.MOONSHOT).build(ask(moonshot)))) == []
    assert told(ProviderKind.MOONSHOT, chat_job(picture("http://a.example/b.png"))).startswith("messages: Moonshot")


DEEPSEEK_USAGE = {
    "prompt_tokens": 495, "completion_tokens": 144, "total_tokens": 639,
    "completion_tokens_details": {"reasoning_tokens": 118},
    "prompt_cache_hit_tokens": 320, "prompt_cache_miss_tokens": 175,
}  # fmt: skip
XAI_USAGE = {
    "prompt_tokens": 12, "completion_tokens": 1, "total_tokens": 241,
    "prompt_tokens_details": {"text_tokens": 12, "audio_tokens": 0, "image_tokens": 0, "cached_tokens": 2},
    "completion_tokens_details": {"reasoning_tokens": 228, "audio_tokens": 0},
    "num_sources_used": 0, "cost_in_usd_ticks": 1176501,
}  # fmt: skip
CEREBRAS_USAGE = {
    "prompt_tokens": 322, "completion_tokens": 65, "total_tokens": 387,
    "prompt_tokens_details": {"cached_tokens": 256},
    "completion_tokens_details": {"reasoning_tokens": 58, "accepted_prediction_tokens": 0},
}  # fmt: skip
MOONSHOT_USAGE = {
    "prompt_tokens": 20, "completion_tokens": 30, "total_tokens": 50, "cached_tokens": 10,
    "completion_tokens_details": {"reasoning_tokens": 22},
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "usage", "expected"),
    [
        (ProviderKind.DEEPSEEK, DEEPSEEK_USAGE,
         Usage(input_tokens=495, output_tokens=144, cached_input_tokens=320, reasoning_tokens=118)),
        (ProviderKind.DEEPSEEK, {**DEEPSEEK_USAGE, "prompt_tokens_details": {"cached_tokens": 300}},
         Usage(input_tokens=495, output_tokens=144, cached_input_tokens=300, reasoning_tokens=118)),
        (ProviderKind.XAI, XAI_USAGE,
         Usage(input_tokens=12, output_tokens=229, cached_input_tokens=2, reasoning_tokens=228)),
        (ProviderKind.CEREBRAS, CEREBRAS_USAGE,
         Usage(input_tokens=322, output_tokens=65, cached_input_tokens=256, reasoning_tokens=58)),
        (ProviderKind.MOONSHOT, MOONSHOT_USAGE,
         Usage(input_tokens=20, output_tokens=30, cached_input_tokens=10, reasoning_tokens=22)),
        (ProviderKind.TOGETHER, {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14},
         Usage(input_tokens=9, output_tokens=5)),
        (ProviderKind.FIREWORKS, {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14,
                                  "prompt_tokens_details": {"cached_tokens": 3}},
         Usage(input_tokens=9, output_tokens=5, cached_input_tokens=3)),
        (ProviderKind.VLLM, {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14,
                             "prompt_tokens_details": None},
         Usage(input_tokens=9, output_tokens=5)),
    ],
)  # fmt: skip
def test_usage_as_each_vendor_counts_it(kind: ProviderKind, usage: dict[str, Any], expected: Usage) -> None:
    """All of the prompt, all of the completion, and the shares of both, wherever they stand."""
    body = completion(model="m", object="chat.completion", created=1, usage=usage)
    as_openai_reads_it(body)
    assert codec(kind).read(tier("m"), raw(body)).evidence.usage == expected


@pytest.mark.parametrize(
    ("ticks", "cost"),
    [(1176501, 118), (10_000, 1), (1, 1), (0, 0), (-1, None), (1.5, None), ("9", None), (True, None), (10**19, None)],
)
def test_xai_says_what_a_call_costs(ticks: object, cost: int | None) -> None:
    """In ticks of 1e-10 USD, rounded up to a millionth."""
    body = completion(model="m", usage={**XAI_USAGE, "cost_in_usd_ticks": ticks})
    assert codec(ProviderKind.XAI).read(tier("m"), raw(body)).evidence.told_microusd == cost
    assert codec(ProviderKind.VLLM).read(tier("m"), raw(body)).evidence.told_microusd is None


@EVERY
def test_an_answer_and_a_tool_call_are_read(kind: ProviderKind) -> None:
    """With what the model thought beside them, which is no part of the answer."""
    turn = {"role": "assistant", "reasoning_content": "hm", "reasoning": "hm", "tool_calls": [{**CALLED, "index": 0}]}
    called = {"model": "m", "choices": [{"index": 0, "message": turn, "finish_reason": "tool_calls"}]}
    outcome = outcome_of(kind, called)
    assert isinstance(outcome, Ok)
    assert (outcome.answer.content, outcome.answer.finish_reason) == ("", "tool_calls")
    assert outcome.answer.tool_calls[0].function.name == "weather"
    assert isinstance(outcome_of(kind, completion("hi", model="m")), Ok)
    assert isinstance(outcome_of(kind, completion("hal", "length", model="m")), Truncated)
    assert outcome_of(kind, completion("", model="m")).kind is OutcomeKind.EMPTY
    assert outcome_of(kind, completion("hi", model="other")).kind is OutcomeKind.MISROUTED


@pytest.mark.parametrize(
    ("kind", "reason", "outcome"),
    [
        (ProviderKind.TOGETHER, "eos", OutcomeKind.OK),
        (ProviderKind.DEEPSEEK, "insufficient_system_resource", OutcomeKind.TRANSIENT),
        (ProviderKind.DEEPSEEK, "content_filter", OutcomeKind.REFUSED),
        (ProviderKind.CEREBRAS, "content_filter", OutcomeKind.REFUSED),
        (ProviderKind.VLLM, "abort", OutcomeKind.TRANSIENT),
    ],
)
def test_reasons_why_a_model_stops(kind: ProviderKind, reason: str, outcome: OutcomeKind) -> None:
    """A vendor's own words; what breaks off is no answer."""
    assert outcome_of(kind, completion("half", reason, model="m")).kind is outcome


HOSTILE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.just(KEY.reveal()),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "code", "message", "type", "choices", "model", "usage", "prompt_tokens", "completion_tokens",
                 "cached_tokens", "prompt_cache_hit_tokens", "total_tokens", "cost_in_usd_ticks", "tool_calls", "id",
                 "function", "finish_reason", "prompt_tokens_details", "completion_tokens_details"]
            ),
            inner,
        )
    ),
)  # fmt: skip


@EVERY
@given(status=st.sampled_from([200, 200, 400, 401, 402, 403, 412, 422, 429, 503]), body=HOSTILE)
def test_reading_never_raises_and_the_key_is_in_no_record(kind: ProviderKind, status: int, body: object) -> None:
    """Whatever comes back, and wherever the key is echoed in it."""
    answer = {"model": "m", "choices": [{"message": {"content": "hi", "tool_calls": body}}], "usage": body}
    for content in (body, answer, {"error": {"message": f"{KEY.reveal()} max_tokens", "code": KEY.reveal()}}):
        whole = RawReply(status=status, headers={}, body=json.dumps(content).encode())
        reply = codec(kind).read(tier("m"), whole)
        answered = isinstance(reply.outcome, Ok | Truncated)
        assert KEY.reveal() not in repr(reply.evidence) + ("" if answered else repr(reply.outcome))
