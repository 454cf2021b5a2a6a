"""Jobs, tiers and vendor replies for the tests of the provider codecs."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pointsman_routes import Job, Tier
from pointsman_worker.api_keys import ApiKey
from pointsman_worker.providers import Ask, RawReply, WireRequest
from pointsman_worker.providers.anthropic import AnthropicCodec
from pointsman_worker.providers.openai import OpenAICodec, OpenAICompatibleCodec

NOW = datetime(2026, 10, 31, 18, 0, tzinfo=UTC)
KEY = ApiKey("sk-proj-4f9XhQ2mZr8TnB1vWcLd")


def openai(key: ApiKey | None = KEY) -> OpenAICodec:
    """OpenAI's codec."""
    return OpenAICodec("https://api.openai.com/v1", key, now=lambda: NOW)


def compatible(key: ApiKey | None = KEY) -> OpenAICompatibleCodec:
    """A compatible server's codec."""
    return OpenAICompatibleCodec("http://localhost:8080/v1", key, now=lambda: NOW)


def anthropic(region: str | None = None) -> AnthropicCodec:
    """Anthropic's codec."""
    return AnthropicCodec("https://api.anthropic.com", KEY, region=region, now=lambda: NOW)


def tier(model: str = "gpt-5-mini", **fields: Any) -> Tier:
    """A tier of that model."""
    return Tier(name="vendor/tier", model=model, **fields)


def job(*messages: tuple[str, str], **fields: Any) -> Job:
    """A job of (role, content) turns."""
    turns = [{"role": role, "content": content} for role, content in messages or [("user", "hello")]]
    return Job.model_validate({"custom_id": "t-1", "class": "triage", "messages": turns, **fields})


def ask(asked: Job | None = None, model: str = "gpt-5-mini", max_tokens: int = 64) -> Ask:
    """A job for a tier."""
    return Ask(job=asked or job(), tier=tier(model), max_tokens=max_tokens)


def sent(request: object) -> Any:
    """The body of a request that was built."""
    assert isinstance(request, WireRequest)
    return json.loads(request.body)


def raw(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> RawReply:
    """A reply as it comes over the wire."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return RawReply(status=status, headers=headers or {}, body=content)


def completion(content: object = "hi", finish: object = "stop", **fields: object) -> dict[str, object]:
    """A chat completion."""
    return {
        "id": "chatcmpl-1",
        "model": "gpt-5-mini-2025-08-07",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17},
        **fields,
    }


def message(text: str = "hi", stop: object = "end_turn", **fields: object) -> dict[str, object]:
    """An answer of the messages API."""
    return {
        "id": "msg_1",
        "type": "message",
        "model": "claude-haiku-4-5-20251001",
        "content": [{"type": "text", "text": text}],
        "stop_reason": stop,
        "usage": {"input_tokens": 12, "output_tokens": 5},
        **fields,
    }
