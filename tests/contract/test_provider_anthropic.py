"""The messages API over loopback: what a server sees, and beside it what Anthropic's own SDK would have sent."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from anthropic import AsyncAnthropic, RateLimitError
from provider_samples import KEY, ask, job, message, tier
from scripted_server import Script, Server, serving

from pointsman_routes import Exhausted, Ok, OutcomeKind, Throttled
from pointsman_worker.http_client import build_client, call
from pointsman_worker.providers import RawReply, Reply, WireRequest
from pointsman_worker.providers.anthropic import AnthropicCodec, AnthropicCompatibleCodec

MODEL = "claude-haiku-4-5"
SEARCH = {"type": "function", "function": {"name": "search", "parameters": {"type": "object"}}}
ASKED = job(("system", "be brief"), ("user", "grüezi"), tools=[SEARCH], tool_choice="required", stop=["END"])
CODECS = pytest.mark.parametrize("codec", [AnthropicCodec, AnthropicCompatibleCodec])


def error(kind: str, code: str | None = None) -> dict[str, Any]:
    """An error body."""
    details = {"details": {"error_code": code}} if code is not None else {}
    return {"type": "error", "error": {"type": kind, "message": "no", **details}, "request_id": "req_1"}


class Seen:
    """What a server saw of the requests, and what it answers them."""

    def __init__(self, status: int, body: dict[str, Any], *headers: str) -> None:
        content = json.dumps(body).encode()
        lines = (f"HTTP/1.1 {status} X", "content-type: application/json", f"content-length: {len(content)}", *headers)
        self._answer = "\r\n".join((*lines, "", "")).encode() + content
        self.lines: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.bodies: list[dict[str, Any]] = []

    def script(self, _server: Server) -> Script:
        """Answer one request of each connection."""

        async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            line, *fields = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
            self.lines.append(line)
            self.headers.append(headers)
            self.bodies.append(json.loads(await reader.readexactly(int(headers["content-length"]))))
            writer.write(self._answer)
            await writer.drain()

        return run


async def dispatch(seen: Seen, codec: Callable[..., AnthropicCodec]) -> Reply:
    """One attempt against a server that answers so."""
    async with serving(seen.script) as server, build_client(2) as client:
        speaker = codec(f"http://127.0.0.1:{server.port}/anthropic", KEY, region="us")
        request = speaker.build(ask(ASKED, MODEL))
        assert isinstance(request, WireRequest)
        raw = await call(client, request, 5)
        assert isinstance(raw, RawReply)
        return speaker.read(tier(MODEL), raw)


@CODECS
async def test_a_job_arrives_whole_and_is_answered(codec: Callable[..., AnthropicCodec]) -> None:
    """Path, headers and body as the server has them; the answer with its id and what is left of the limits."""
    seen = Seen(200, message("hoi"), "request-id: req_9", "anthropic-ratelimit-requests-remaining: 49")
    reply = await dispatch(seen, codec)
    assert isinstance(reply.outcome, Ok)
    assert reply.outcome.answer.content == "hoi"
    assert reply.evidence.provider_request_id == "req_9"
    assert [allowance.remaining for allowance in reply.evidence.allowances] == [49]
    assert seen.lines == ["POST /anthropic/v1/messages HTTP/1.1"]
    headers, body = seen.headers[0], seen.bodies[0]
    assert headers["x-api-key"] == KEY.reveal()
    assert ("authorization" in headers) == (codec is AnthropicCompatibleCodec)
    assert headers["anthropic-version"] == "2023-06-01"
    assert headers["content-type"] == "application/json"
    assert body.pop("inference_geo", None) == ("us" if codec is AnthropicCodec else None)
    assert body == {
        "model": MODEL,
        "max_tokens": 64,
        "system": "be brief",
        "messages": [{"role": "user", "content": "grüezi"}],
        "stop_sequences": ["END"],
        "tools": [{"name": "search", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "any"},
    }


@CODECS
@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (401, "authentication_error", OutcomeKind.UNAUTHORIZED),
        (404, "not_found_error", OutcomeKind.UNSUPPORTED),
        (413, "request_too_large", OutcomeKind.UNSUPPORTED),
        (500, "api_error", OutcomeKind.TRANSIENT),
        (504, "timeout_error", OutcomeKind.TRANSIENT),
        (529, "overloaded_error", OutcomeKind.OVERLOADED),
    ],
)
async def test_each_status_has_its_outcome(
    codec: Callable[..., AnthropicCodec], status: int, kind: str, expected: OutcomeKind
) -> None:
    """The errors of the reference, over a real connection."""
    assert (await dispatch(Seen(status, error(kind)), codec)).outcome.kind is expected


@CODECS
async def test_a_throttle_has_its_wait_and_a_spent_month_its_end(codec: Callable[..., AnthropicCodec]) -> None:
    """Both are 429; the one says when to come back, the other by its code that it is no matter of seconds."""
    throttled = (await dispatch(Seen(429, error("rate_limit_error"), "retry-after: 7"), codec)).outcome
    assert isinstance(throttled, Throttled)
    assert throttled.retry_after_s == 7
    spent = Seen(429, error("rate_limit_error", "enforced_spend_limit_reached"), "date: Sat, 31 Oct 2026 23:59:00 GMT")
    exhausted = (await dispatch(spent, codec)).outcome
    assert isinstance(exhausted, Exhausted)
    assert exhausted.reset_after_s == 60


async def test_the_vendors_sdk_sends_the_same() -> None:
    """Given what we send as arguments, it asks the same path for the same; and it reads the same code in an error."""
    ours, theirs = Seen(200, message()), Seen(429, error("rate_limit_error", "enforced_spend_limit_reached"))
    await dispatch(ours, AnthropicCodec)
    async with serving(theirs.script) as server:
        address = f"http://127.0.0.1:{server.port}/anthropic"
        async with AsyncAnthropic(api_key=KEY.reveal(), base_url=address, max_retries=0) as sdk:
            with pytest.raises(RateLimitError) as refused:
                await sdk.messages.create(**ours.bodies[0])
    assert refused.value.error_code == "enforced_spend_limit_reached"
    assert theirs.lines == ours.lines
    assert theirs.bodies == ours.bodies
