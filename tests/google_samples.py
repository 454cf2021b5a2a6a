"""Jobs for Google's codec, its answers and errors, and the SDK's own types to check both against."""

import json
from collections.abc import Mapping
from typing import Any

from google.genai import types
from provider_samples import KEY, NOW, ask, raw, sent, tier

from pointsman_routes import Job, Unsupported
from pointsman_worker.providers import Reply
from pointsman_worker.providers.google import GEMINI_URL, GoogleCodec

MODEL = "gemini-2.5-flash"
TIER = tier(MODEL)
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYPgPAAEDAQAIicLsAAAAAElFTkSuQmCC"
SEARCH = {
    "type": "function",
    "function": {
        "name": "search",
        "description": "looks it up",
        "parameters": {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]},
    },
}
CLOCK = {"type": "function", "function": {"name": "clock"}}


def gemini() -> GoogleCodec:
    """The codec of a Gemini API account."""
    return GoogleCodec(GEMINI_URL, KEY, now=lambda: NOW)


def vertex(location: str = "europe-west4", base_url: str = GEMINI_URL) -> GoogleCodec:
    """The codec of a Vertex AI account."""
    return GoogleCodec(base_url, KEY, now=lambda: NOW, project="acme-1", location=location)


def built(asked: Job, model: str = MODEL, codec: GoogleCodec | None = None) -> Any:
    """The body of the request for a job, checked against the SDK's own types."""
    body = sent((codec or gemini()).build(ask(asked, model)))
    assert faults(body) == {}
    return body


def faults(body: Mapping[str, Any]) -> dict[str, object]:
    """What of a body is not as the SDK's types write it again: what they refuse raises, what they ignore is missing."""
    shapes: dict[str, Any] = {
        "contents": types.Content,
        "systemInstruction": types.Content,
        "tools": types.Tool,
        "toolConfig": types.ToolConfig,
        "generationConfig": types.GenerationConfig,
    }
    found: dict[str, object] = {}
    for name, value in body.items():
        if name == "serviceTier":
            types.ServiceTier(value)
            continue
        values = value if isinstance(value, list) else [value]
        again = [
            shapes[name].model_validate(item).model_dump(mode="json", by_alias=True, exclude_none=True)
            for item in values
        ]
        if again != values:
            found[name] = again
    return found


def reason_against(asked: Job, model: str = MODEL) -> str:
    """Why a job cannot be expressed."""
    problem = gemini().build(ask(asked, model))
    assert isinstance(problem, Unsupported), problem
    return problem.detail


def turns(*messages: Mapping[str, object], **fields: Any) -> Job:
    """A job of messages as they stand in a file."""
    return Job.model_validate({"custom_id": "t-1", "class": "triage", "messages": messages, **fields})


def calling(*calls: tuple[str, str, str], content: str | None = None) -> dict[str, object]:
    """A message of the assistant that calls (id, name, arguments)."""
    listed = [
        {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
        for call_id, name, arguments in calls
    ]
    return {"role": "assistant", "content": content, "tool_calls": listed}


def answering(call_id: str, text: str) -> dict[str, object]:
    """A tool's message."""
    return {"role": "tool", "tool_call_id": call_id, "content": text}


USER = {"role": "user", "content": "hello"}


def said(*parts: Mapping[str, object], finish: object = "STOP", **fields: object) -> dict[str, object]:
    """An answer as the API reference shows it."""
    return {
        "candidates": [{"content": {"parts": list(parts), "role": "model"}, "finishReason": finish, "index": 0}],
        "usageMetadata": {"promptTokenCount": 12, "candidatesTokenCount": 5, "totalTokenCount": 17},
        "modelVersion": MODEL,
        "responseId": "mAitaLmkHPPlz7IPvtfUqQ4",
        **fields,
    }


def read(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    """What becomes of a reply."""
    return gemini().read(TIER, raw(body, status, headers))


def as_the_sdk_reads(body: Mapping[str, object]) -> types.GenerateContentResponse:
    """The same bytes in the SDK's own shape."""
    return types.GenerateContentResponse.model_validate_json(json.dumps(body))


def error(code: int, status: str, message: str, *details: Mapping[str, object]) -> dict[str, dict[str, object]]:
    """An error body."""
    listed = {"details": list(details)} if details else {}
    return {"error": {"code": code, "message": message, "status": status, **listed}}


def quota_failure(metric: str, quota_id: str, value: str) -> dict[str, object]:
    """What of an error says which quota refused."""
    violation = {
        "quotaMetric": f"generativelanguage.googleapis.com/{metric}",
        "quotaId": quota_id,
        "quotaDimensions": {"location": "global", "model": MODEL},
        "quotaValue": value,
    }
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}


def retry_info(delay: str) -> dict[str, object]:
    """What of an error says how long to wait."""
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
