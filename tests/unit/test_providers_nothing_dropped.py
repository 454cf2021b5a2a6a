"""Nothing of a job is dropped on the way to any vendor: whatever is changed in the job changes the request.

Where a kind cannot express something, the job is unsupported before the call.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from chat_cases import SPREAD, chat_jobs
from hypothesis import HealthCheck, given, settings
from provider_samples import KEY, ask

from pointsman_routes import Auth, Job, Provider, ProviderKind
from pointsman_worker.providers import ProviderCodec, WireRequest, codec_for

_MODELS = {
    ProviderKind.OPENAI: ("gpt-5-mini",),
    ProviderKind.ANTHROPIC: ("claude-opus-4-6",),
    ProviderKind.GOOGLE: ("gemini-2.5-flash", "gemini-3-pro"),
    ProviderKind.OLLAMA: ("llama3.2:3b", "gpt-oss:20b"),
    ProviderKind.BEDROCK: ("eu.anthropic.claude-sonnet-4-5-20250929-v1:0",),
}
_PLACES = [(kind, model) for kind in ProviderKind for model in _MODELS.get(kind, ("m",))]
_SAME_AS_ABSENT = {"tool_choice": "auto", "response_format": {"type": "text"}}
"""What a vendor does anyway."""
_PARAMETERS = (
    "temperature", "top_p", "seed", "stop", "response_format", "tools", "tool_choice", "reasoning_effort", "max_tokens",
)  # fmt: skip
_OTHERWISE: dict[str, tuple[object, ...]] = {
    "temperature": (0.25, 0.75),
    "top_p": (0.25, 0.75),
    "seed": (11, 12),
    "stop": (["other"], ["END", "other"]),
    "tool_choice": ("required", {"type": "function", "function": {"name": "weather"}}),
}


def _codec(kind: ProviderKind) -> ProviderCodec:
    fields: dict[str, Any] = {
        "name": "p",
        "kind": kind,
        "owner": "me",
        "base_url": "https://bedrock-runtime.eu-central-1.amazonaws.com" if kind is ProviderKind.BEDROCK else None,
        "api_key": {"env": "K"},
        "tiers": {"t": {"model": "m"}},
    }
    if kind in (ProviderKind.AZURE, ProviderKind.OPENAI_COMPATIBLE, ProviderKind.ANTHROPIC_COMPATIBLE):
        fields["base_url"] = "http://127.0.0.1:9"
    provider = Provider.model_validate({name: value for name, value in fields.items() if value is not None})
    assert provider.authenticates is not Auth.SIGV4
    return codec_for(provider, KEY)


def _sent(codec: ProviderCodec, job: Job, model: str) -> tuple[str, bytes, str] | None:
    request = codec.build(ask(job, model, max_tokens=job.max_tokens or 77))
    if not isinstance(request, WireRequest):
        return None
    # A class of service or the like may go in a header.
    return request.url, request.body, repr(sorted(request.headers.items()))


def _changed(fields: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Jobs that ask for something else in one place."""
    for name in _PARAMETERS:
        if (
            name in fields
            and fields[name] != _SAME_AS_ABSENT.get(name)
            and not (name == "tools" and "tool_choice" in fields)
        ):
            yield f"without {name}", {key: value for key, value in fields.items() if key != name}
        for other in _OTHERWISE.get(name, ()):
            if name in fields and other != fields[name] and (name != "tool_choice" or len(fields["tools"]) > 1):
                yield f"{name} otherwise", {**fields, name: other}
    for number, message in enumerate(fields["messages"]):
        for what, instead in _other_messages(message):
            turns = [*fields["messages"][:number], instead, *fields["messages"][number + 1 :]]
            yield f"message {number}: {what}", {**fields, "messages": turns}
    for number, tool in enumerate(fields.get("tools", ())):
        function = {**tool["function"], "description": "does something else"}
        tools = [*fields["tools"][:number], {**tool, "function": function}, *fields["tools"][number + 1 :]]
        yield f"tool {number}", {**fields, "tools": tools}


def _other_messages(message: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    content = message.get("content")
    if isinstance(content, str):
        yield "text", {**message, "content": content + " and more"}
    pieces: list[dict[str, Any]] = content if isinstance(content, list) else []
    for number, part in enumerate(pieces):
        if part["type"] == "text":
            instead = {**part, "text": part["text"] + " and more"}
        else:
            instead = {**part, "image_url": {**part["image_url"], "url": "data:image/png;base64,AAAA"}}
        yield f"part {number}", {**message, "content": [*pieces[:number], instead, *pieces[number + 1 :]]}
        if part["type"] == "image_url" and part["image_url"].get("detail") not in (None, "auto"):
            plain = {**part, "image_url": {"url": part["image_url"]["url"]}}
            yield "detail", {**message, "content": [*pieces[:number], plain, *pieces[number + 1 :]]}
    calls = message.get("tool_calls", [])
    for number, called in enumerate(calls):
        other = {**called, "function": {**called["function"], "arguments": '{"n":2}'}}
        yield "call", {**message, "tool_calls": [*calls[:number], other, *calls[number + 1 :]]}


def _nothing_is_dropped(codec: ProviderCodec, model: str, job: Job) -> int:
    """The number of changes that were looked at."""
    before = _sent(codec, job, model)
    if before is None:
        return 0
    looked = 0
    for what, fields in _changed(job.model_dump(mode="json", by_alias=True, exclude_none=True)):
        changed = Job.model_validate(fields)
        if changed != job:
            assert _sent(codec, changed, model) != before, f"{what} makes no difference to what is sent"
            looked += 1
    return looked


@pytest.mark.parametrize(("kind", "model"), _PLACES)
def test_every_sample(kind: ProviderKind, model: str) -> None:
    """Each thing a job can ask for, alone: changing it changes what is sent."""
    codec = _codec(kind)
    looked = [_nothing_is_dropped(codec, model, job.model_copy(update={"max_tokens": 64})) for job in SPREAD.values()]
    assert sum(looked) > 25


@pytest.mark.parametrize(("kind", "model"), _PLACES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(job=chat_jobs())
def test_any_job(kind: ProviderKind, model: str, job: Job) -> None:
    """Whatever a job asks for together: changing any one thing of it changes what is sent."""
    _nothing_is_dropped(_codec(kind), model, job)
