"""OpenAI's chat completions over loopback: what the server hears, and what its answer becomes."""

import pytest
from chat_cases import CALLED, CONVERSATION, PICTURE, WEATHER, as_openai_takes_it, chat_job, over_the_wire, picture
from provider_samples import KEY, NOW, completion, tier

from pointsman_routes import Ok, OutcomeKind, Overloaded, Throttled
from pointsman_worker.providers.openai import OpenAICodec
from pointsman_worker.providers.protocol import ProviderCodec

TIER = tier(service_tier="flex")


def at(root: str) -> ProviderCodec:
    """The codec of a server."""
    return OpenAICodec(f"{root}/v1", KEY, now=lambda: NOW)


async def test_a_job_with_everything_is_heard_as_it_was_asked() -> None:
    """Path, key and body arrive; the answer's tool call, usage and class of service come back."""
    job = chat_job(picture(PICTURE), *CONVERSATION, tools=[WEATHER], tool_choice="required", reasoning_effort="low")
    turn = {"role": "assistant", "content": None, "tool_calls": [CALLED]}
    answer = completion(
        choices=[{"index": 0, "message": turn, "finish_reason": "tool_calls"}],
        usage={"prompt_tokens": 9, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 3}},
        service_tier="flex",
    )
    reply, heard = await over_the_wire(at, job, TIER, 200, answer, {"x-request-id": "req_1"})
    assert heard.line == "POST /v1/chat/completions HTTP/1.1"
    assert heard.headers["authorization"] == f"Bearer {KEY.reveal()}"
    assert heard.headers["content-type"] == "application/json"
    as_openai_takes_it(heard.body)
    assert heard.body["messages"] == [picture(PICTURE), *CONVERSATION]
    assert heard.body["tools"] == [WEATHER]
    assert (heard.body["max_completion_tokens"], heard.body["service_tier"]) == (64, "flex")
    assert isinstance(reply.outcome, Ok)
    assert reply.outcome.answer.tool_calls[0].model_dump() == CALLED
    assert reply.evidence.usage is not None
    assert reply.evidence.usage.reasoning_tokens == 3
    assert (reply.evidence.service_tier, reply.evidence.provider_request_id) == ("flex", "req_1")


async def test_a_throttle_carries_its_wait_and_its_limits() -> None:
    """From the headers, to the millisecond."""
    headers = {"retry-after-ms": "250", "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"}
    body = {"error": {"message": "Rate limit reached", "type": "tokens", "code": "rate_limit_exceeded"}}
    reply, _ = await over_the_wire(at, chat_job(), TIER, 429, body, headers)
    assert isinstance(reply.outcome, Throttled)
    assert (reply.outcome.retry_after_s, reply.outcome.limit) == (0.25, "tokens")
    assert [(left.name, left.remaining, left.reset_s) for left in reply.evidence.allowances] == [("tpm", 0, 360.0)]


@pytest.mark.parametrize(("status", "kind"), [(500, OutcomeKind.TRANSIENT), (503, OutcomeKind.OVERLOADED)])
async def test_a_server_error_is_the_servers(status: int, kind: OutcomeKind) -> None:
    """With or without a body that can be read."""
    for body in (b"<html>", {"error": {"message": "The server had an error", "type": "server_error"}}):
        reply, _ = await over_the_wire(at, chat_job(), TIER, status, body, {"retry-after": "3"})
        assert reply.outcome.kind is kind
        if isinstance(reply.outcome, Overloaded):
            assert reply.outcome.retry_after_s == 3.0
