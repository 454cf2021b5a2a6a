"""The kinds llmock speaks, against it: an independent mock of the vendors' wire formats, in a process of its own."""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from provider_samples import KEY, ask, job

from pointsman_routes import Ok, OutcomeKind, Overloaded, Provider, Throttled
from pointsman_worker.http_client import build_client, call
from pointsman_worker.providers import RawReply, Reply, WireRequest, codec_for, keeps_to

pytest.importorskip("llmock", reason="the demo extra is not installed")

KINDS = {
    "openai": ("/v1", "gpt-5-mini"),
    "openai-compatible": ("/v1", "house-model"),
    "anthropic": ("/anthropic", "claude-haiku-4-5"),
    "anthropic-compatible": ("/anthropic", "house-claude"),
    "google": ("/gemini", "gemini-2.5-flash"),
    "mistral": ("/mistral", "mistral-small-latest"),
    "groq": ("/groq", "llama-3.3-70b-versatile"),
    "together": ("/together/v1", "meta-llama/Llama-3.3-70B-Instruct-Turbo"),
    "xai": ("/xai/v1", "grok-4"),
}
"""Where llmock speaks for a vendor, and a model."""
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def llmock_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The root of a running llmock with quotas too high to reach, so that it sends its limit headers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = Path(sys.executable).with_name("llmock")
    log = tmp_path_factory.mktemp("llmock") / "log"
    quotas = ["--rpm", "100000", "--tpm", "90000000", "--context-window", "4000"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, "serve", "--port", str(port), "--response-style", "echo", *quotas], stdout=output, stderr=output
        )
    root = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 30
        while not answers(f"{root}/health"):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield root
    finally:
        process.terminate()
        process.wait(10)


def answers(url: str) -> bool:
    """Whether a server answers there."""
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except (urllib.error.URLError, ConnectionError):
        return False


@pytest.fixture
async def client(llmock_url: str) -> AsyncIterator[httpx.AsyncBaseTransport]:
    """A client; the server has forgotten what earlier tests scripted."""
    async with httpx.AsyncClient(trust_env=False) as admin:
        (await admin.post(f"{llmock_url}/_llmock/reset")).raise_for_status()
    async with build_client(4) as client:
        yield client


async def script(root: str, **behavior: Any) -> None:
    """Queue a behaviour for the next request."""
    async with httpx.AsyncClient(trust_env=False) as admin:
        reply = await admin.post(f"{root}/_llmock/scenario", content=json.dumps({"behaviors": [behavior]}))
        reply.raise_for_status()


async def dispatch(
    client: httpx.AsyncBaseTransport, root: str, kind: str, prompt: str = "hello", **fields: Any
) -> Reply:
    """One attempt, from job to outcome, as a worker makes it."""
    provider = Provider.model_validate(
        {
            "kind": kind,
            "owner": "me",
            "api_key": {"env": "K"},
            "base_url": f"{root}{KINDS[kind][0]}",
            "tiers": {"t": {"model": KINDS[kind][1]}},
        }
    )
    codec = codec_for(provider, KEY)
    asked = ask(job(("system", "be brief"), ("user", prompt), **fields), KINDS[kind][1], max_tokens=500)
    wire = codec.build(asked)
    assert isinstance(wire, WireRequest)
    raw = await call(client, wire, 10)
    assert isinstance(raw, RawReply)
    reply = codec.read(provider.tiers["t"], raw)
    return replace(reply, outcome=keeps_to(asked.job, reply.outcome))


@EVERY_KIND
async def test_a_job_is_answered(client: httpx.AsyncBaseTransport, llmock_url: str, kind: str) -> None:
    """A job with every common parameter is accepted, answered, counted, and its limits are seen."""
    reply = await dispatch(client, llmock_url, kind, temperature=0.5, top_p=0.9, stop=["END"])
    assert reply.outcome.kind is OutcomeKind.OK, reply
    # It names no model for Google, so there is nothing to compare.
    assert reply.evidence.response_model == (None if kind == "google" else KINDS[kind][1])
    assert reply.evidence.usage is not None
    assert reply.evidence.usage.input_tokens > 0
    # Groq's own headers of requests are about the day, wherever it is reached.
    requests = "rpd" if kind == "groq" else "rpm"
    assert {allowance.name for allowance in reply.evidence.allowances} == {requests, "tpm"}


@EVERY_KIND
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, OutcomeKind.INVALID),
        (401, OutcomeKind.UNAUTHORIZED),
        (403, OutcomeKind.UNAUTHORIZED),
        (404, OutcomeKind.UNSUPPORTED),
        (413, OutcomeKind.UNSUPPORTED),
        (422, OutcomeKind.INVALID),
        (500, OutcomeKind.TRANSIENT),
        (502, OutcomeKind.OVERLOADED),
        (504, OutcomeKind.TRANSIENT),
    ],
)
async def test_each_status_has_its_outcome(
    client: httpx.AsyncBaseTransport, llmock_url: str, kind: str, status: int, expected: OutcomeKind
) -> None:
    """The vendor's own error bodies, as somebody else reads the references."""
    await script(llmock_url, type="fail", status=status)
    if (kind, status) == ("groq", 422):
        expected = OutcomeKind.TRANSIENT  # its reference: the model's own mistake, to be tried again
    assert (await dispatch(client, llmock_url, kind)).outcome.kind is expected


@EVERY_KIND
async def test_a_rate_limit_carries_its_wait(client: httpx.AsyncBaseTransport, llmock_url: str, kind: str) -> None:
    """429 and 503 carry the wait to the millisecond."""
    await script(llmock_url, type="fail", status=429, retry_after=0.25)
    throttled = (await dispatch(client, llmock_url, kind)).outcome
    assert isinstance(throttled, Throttled)
    assert throttled.retry_after_s == 0.25
    await script(llmock_url, type="fail", status=529 if kind == "anthropic" else 503, retry_after=3)
    overloaded = (await dispatch(client, llmock_url, kind)).outcome
    assert isinstance(overloaded, Overloaded)


@EVERY_KIND
async def test_a_tool_is_called(client: httpx.AsyncBaseTransport, llmock_url: str, kind: str) -> None:
    """A call of a tool that was offered is an answer, whatever the vendor's form of it."""
    tool = {"type": "function", "function": {"name": "search", "parameters": {"type": "object", "properties": {}}}}
    await script(llmock_url, type="reply", tool_calls=[{"name": "search", "arguments": {"q": "left"}}])
    outcome = (await dispatch(client, llmock_url, kind, tools=[tool])).outcome
    assert isinstance(outcome, Ok), outcome
    (called,) = outcome.answer.tool_calls
    assert (called.function.name, json.loads(called.function.arguments)) == ("search", {"q": "left"})
    assert outcome.answer.finish_reason == "tool_calls"


@EVERY_KIND
async def test_a_prompt_too_long_is_unsupported(client: httpx.AsyncBaseTransport, llmock_url: str, kind: str) -> None:
    """Another tier may have the room."""
    reply = await dispatch(client, llmock_url, kind, prompt="word " * 20_000)
    assert reply.outcome.kind is OutcomeKind.UNSUPPORTED, reply


@EVERY_KIND
@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ({"text": ""}, OutcomeKind.EMPTY),
        ({"text": "hal", "finish_reason": "length"}, OutcomeKind.TRUNCATED),
        ({"text": "", "finish_reason": "length"}, OutcomeKind.EMPTY),
        ({"text": "no", "finish_reason": "content_filter"}, OutcomeKind.REFUSED),
        ({"tool_calls": [{"name": "search"}]}, OutcomeKind.EMPTY),
    ],
)
async def test_each_ending_has_its_outcome(
    client: httpx.AsyncBaseTransport, llmock_url: str, kind: str, reply: dict[str, Any], expected: OutcomeKind
) -> None:
    """The vendor's own spelling of how an answer ended."""
    await script(llmock_url, type="reply", **reply)
    assert (await dispatch(client, llmock_url, kind)).outcome.kind is expected
