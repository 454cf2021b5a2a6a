"""Mistral's calls over loopback."""

from typing import Any

import pytest
from chat_cases import chat_job, over_the_wire
from provider_samples import KEY, completion, tier

from pointsman_routes import Allowance, OutcomeKind, Throttled
from pointsman_worker.providers.mistral import MistralCodec

MODEL = "mistral-small-latest"
TIER = tier(MODEL)
JOB = chat_job({"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}, seed=7)


def made(root: str) -> MistralCodec:
    """Mistral's codec for a server at a root."""
    return MistralCodec(root, KEY)


async def test_a_job_is_asked_and_answered() -> None:
    """The server sees Mistral's path, the key and the whole job; the answer is read, and what is left of the limit."""
    headers = {
        "mistral-correlation-id": "019b98cb",
        "ratelimitbysize-limit": "500000",
        "ratelimitbysize-remaining": "499925",
        "ratelimitbysize-reset": "44",
        "ratelimitbysize-query-cost": "75",
    }
    reply, heard = await over_the_wire(made, JOB, TIER, 200, completion(model=MODEL), headers)
    assert heard.line == "POST /v1/chat/completions HTTP/1.1"
    assert heard.headers["authorization"] == f"Bearer {KEY.reveal()}"
    assert heard.body == {
        "model": MODEL,
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}],
        "max_tokens": 64,
        "random_seed": 7,
    }
    assert reply.outcome.kind is OutcomeKind.OK
    assert (reply.evidence.provider_request_id, reply.evidence.response_model) == ("019b98cb", MODEL)
    assert reply.evidence.allowances == (Allowance(name="tpm", limit=500000, remaining=499925, reset_s=44.0),)


async def test_a_rate_limit_is_waited_for() -> None:
    """With the wait that the vendor names."""
    body = {"message": "Requests rate limit exceeded"}
    reply, _ = await over_the_wire(made, JOB, TIER, 429, body, {"retry-after": "3"})
    assert isinstance(reply.outcome, Throttled)
    assert (reply.outcome.retry_after_s, reply.outcome.limit) == (3.0, "requests")


FULL = {"object": "error", "message": "full", "type": "service_tier_capacity_exceeded", "param": None, "code": "3505"}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, FULL, OutcomeKind.OVERLOADED),
        (500, {"object": "error", "message": "Internal server error"}, OutcomeKind.TRANSIENT),
        (503, b"upstream connect error", OutcomeKind.OVERLOADED),
        (401, {"detail": "Unauthorized"}, OutcomeKind.UNAUTHORIZED),
        (422, {"detail": [{"loc": ["body", "x"], "msg": "Field required"}]}, OutcomeKind.INVALID),
    ],
)
async def test_each_refusal_has_its_outcome(status: int, body: Any, kind: OutcomeKind) -> None:
    """Bodies as the vendor sends them, whole or not even JSON."""
    reply, _ = await over_the_wire(made, JOB, TIER, status, body)
    assert reply.outcome.kind is kind
    assert reply.evidence.http_status == status
