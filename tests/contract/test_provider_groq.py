"""Groq's calls over loopback."""

from typing import Any

import pytest
from chat_cases import chat_job, over_the_wire
from provider_samples import KEY, completion, tier

from pointsman_routes import Allowance, OutcomeKind, Throttled
from pointsman_worker.providers.groq import GroqCodec

MODEL = "openai/gpt-oss-20b"
TIER = tier(MODEL, service_tier="flex")
JOB = chat_job({"role": "developer", "content": "be brief"}, {"role": "user", "content": "hello"}, seed=7)


def made(root: str) -> GroqCodec:
    """Groq's codec for a server at a root."""
    return GroqCodec(root, KEY)


async def test_a_job_is_asked_and_answered() -> None:
    """The server sees Groq's path, the key and the whole job; the answer is read, and what is left of the limits."""
    headers = {
        "x-request-id": "req_01",
        "x-ratelimit-limit-requests": "14400",
        "x-ratelimit-remaining-requests": "14399",
        "x-ratelimit-reset-requests": "6s",
        "x-ratelimit-limit-tokens": "6000",
        "x-ratelimit-remaining-tokens": "5843",
        "x-ratelimit-reset-tokens": "1.57s",
    }
    reply, heard = await over_the_wire(made, JOB, TIER, 200, completion(model=MODEL), headers)
    assert heard.line == "POST /openai/v1/chat/completions HTTP/1.1"
    assert heard.headers["authorization"] == f"Bearer {KEY.reveal()}"
    assert heard.body == {
        "model": MODEL,
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}],
        "max_completion_tokens": 64,
        "seed": 7,
        "service_tier": "flex",
    }
    assert reply.outcome.kind is OutcomeKind.OK
    assert (reply.evidence.provider_request_id, reply.evidence.response_model) == ("req_01", MODEL)
    assert set(reply.evidence.allowances) == {
        Allowance(name="rpd", limit=14400, remaining=14399, reset_s=6.0),
        Allowance(name="tpm", limit=6000, remaining=5843, reset_s=1.57),
    }


async def test_a_rate_limit_is_waited_for() -> None:
    """With the wait that the vendor names."""
    message = "Rate limit reached for model `m` on tokens per minute (TPM): Limit 6000, Used 5990, Requested 100"
    body = {"error": {"message": message, "type": "tokens", "code": "rate_limit_exceeded"}}
    reply, _ = await over_the_wire(made, JOB, TIER, 429, body, {"retry-after": "3"})
    assert isinstance(reply.outcome, Throttled)
    assert (reply.outcome.retry_after_s, reply.outcome.limit) == (3.0, "tokens")


def error(code: str) -> dict[str, object]:
    """An error as Groq writes one."""
    return {"error": {"message": "no", "type": "invalid_request_error", "code": code}}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, error("json_validate_failed"), OutcomeKind.TRANSIENT),
        (401, error("invalid_api_key"), OutcomeKind.UNAUTHORIZED),
        (498, error("capacity_exceeded"), OutcomeKind.THROTTLED),
        (500, {"error": {"message": "broke", "type": "internal_server_error"}}, OutcomeKind.TRANSIENT),
        (503, b"<html>", OutcomeKind.OVERLOADED),
    ],
)
async def test_each_refusal_has_its_outcome(status: int, body: Any, kind: OutcomeKind) -> None:
    """Bodies as the vendor sends them, whole or not even JSON, and a status no list of statuses has."""
    reply, _ = await over_the_wire(made, JOB, TIER, status, body)
    assert reply.outcome.kind is kind
    assert reply.evidence.http_status == status
