"""OpenRouter's calls over loopback."""

from typing import Any

import pytest
from chat_cases import chat_job, over_the_wire
from provider_samples import KEY, completion, tier

from pointsman_routes import OutcomeKind, Throttled
from pointsman_worker.providers.openrouter import OpenRouterCodec

MODEL = "openai/gpt-4o-mini"
TIER = tier(MODEL)
JOB = chat_job({"role": "user", "content": "hello"}, seed=7)


def made(root: str) -> OpenRouterCodec:
    """OpenRouter's codec for a server at a root."""
    return OpenRouterCodec(f"{root}/api/v1", KEY, zero_retention=True)


async def test_a_job_is_asked_and_answered() -> None:
    """The server sees the path, the key, the job and how it may be routed; who answered is read, and the cost."""
    usage = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17, "cost": 0.00014, "is_byok": False}
    body = completion(model=MODEL, provider="OpenAI", usage=usage)
    reply, heard = await over_the_wire(made, JOB, TIER, 200, body, {"X-Generation-Id": "gen-1"})
    assert heard.line == "POST /api/v1/chat/completions HTTP/1.1"
    assert heard.headers["authorization"] == f"Bearer {KEY.reveal()}"
    assert heard.headers["x-openrouter-metadata"] == "enabled"
    assert heard.body == {
        "model": MODEL,
        "messages": [{"role": "user", "content": "hello"}],
        "max_tokens": 64,
        "seed": 7,
        "provider": {
            "allow_fallbacks": False,
            "require_parameters": True,
            "data_collection": "deny",
            "zdr": True,
        },
        "plugins": [
            {"id": "context-compression", "enabled": False},
            {"id": "response-healing", "enabled": False},
            {"id": "web", "enabled": False},
        ],
    }
    assert reply.outcome.kind is OutcomeKind.OK
    evidence = reply.evidence
    assert (evidence.provider_request_id, evidence.response_model, evidence.upstream) == ("gen-1", MODEL, "OpenAI")
    assert evidence.told_microusd == 140


async def test_a_rate_limit_is_waited_for() -> None:
    """With the wait that the vendor names, counted from the vendor's own clock."""
    body = {"error": {"code": 429, "message": "Rate limit exceeded: free-models-per-min."}}
    headers = {"X-RateLimit-Reset": "1793469605000", "Date": "Sat, 31 Oct 2026 18:00:00 GMT"}
    reply, _ = await over_the_wire(made, JOB, TIER, 429, body, headers)
    assert isinstance(reply.outcome, Throttled)
    assert reply.outcome.retry_after_s == 5.0


def error(code: int, **metadata: object) -> dict[str, object]:
    """An error as OpenRouter writes one."""
    return {"error": {"code": code, "message": "Provider returned error", "metadata": metadata}}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, completion(model=MODEL) | error(502, provider_name="DeepInfra"), OutcomeKind.OVERLOADED),
        (402, error(402, limit_source="openrouter_credits"), OutcomeKind.EXHAUSTED),
        (403, error(403, reasons=["violence"]), OutcomeKind.REFUSED),
        (403, error(403), OutcomeKind.UNAUTHORIZED),
        (404, error(404), OutcomeKind.UNSUPPORTED),
        (429, error(429, provider_name="DeepInfra", is_byok=False), OutcomeKind.OVERLOADED),
        (500, error(500), OutcomeKind.TRANSIENT),
        (524, b"<html>", OutcomeKind.TRANSIENT),
    ],
)
async def test_each_refusal_has_its_outcome(status: int, body: Any, kind: OutcomeKind) -> None:
    """Bodies as the vendor sends them, whole or not even JSON."""
    reply, _ = await over_the_wire(made, JOB, TIER, status, body)
    assert reply.outcome.kind is kind
    assert reply.evidence.http_status == status
