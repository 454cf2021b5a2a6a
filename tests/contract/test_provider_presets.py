"""The presets over loopback: what a server hears of a job, and what its answers become."""

from collections.abc import Callable

import pytest
from chat_cases import SPREAD, chat_job, left_out, over_the_wire
from provider_samples import KEY, NOW, completion, tier

from pointsman_routes import Ok, OutcomeKind, ProviderKind, Throttled
from pointsman_worker.api_keys import ApiKey
from pointsman_worker.providers.presets import PRESETS, PresetCodec
from pointsman_worker.providers.protocol import ProviderCodec

EVERY = pytest.mark.parametrize("kind", list(PRESETS))
TIER = tier("m")


def at(kind: ProviderKind, key: ApiKey | None = KEY) -> Callable[[str], ProviderCodec]:
    """Builds a vendor's codec for a server."""
    return lambda root: PresetCodec(PRESETS[kind], f"{root}/v1", key, now=lambda: NOW)


@EVERY
async def test_a_job_is_heard_and_answered(kind: ProviderKind) -> None:
    """Path, key and body arrive as the vendor has them, and its answer is counted."""
    reply, heard = await over_the_wire(at(kind), SPREAD["tools required"], TIER, 200, completion(model="m"))
    assert heard.line == "POST /v1/chat/completions HTTP/1.1"
    assert heard.headers["authorization"] == f"Bearer {KEY.reveal()}"
    assert left_out(SPREAD["tools required"], heard.body) == []
    assert heard.body[PRESETS[kind].limit_field] == 64
    assert heard.body.items() >= PRESETS[kind].always.items()
    assert isinstance(reply.outcome, Ok)
    assert reply.evidence.usage is not None
    assert (reply.evidence.usage.input_tokens, reply.evidence.usage.output_tokens) == (12, 5)


async def test_a_server_of_your_own_needs_no_key() -> None:
    """A vLLM server gets no header about one."""
    reply, heard = await over_the_wire(at(ProviderKind.VLLM, None), chat_job(), TIER, 200, completion(model="m"))
    assert "authorization" not in heard.headers
    assert isinstance(reply.outcome, Ok)


@EVERY
async def test_a_throttle_carries_its_wait(kind: ProviderKind) -> None:
    """From Retry-After, as everybody sends it."""
    body = {"error": {"message": "Too many requests", "type": "rate_limit"}}
    reply, _ = await over_the_wire(at(kind), chat_job(), TIER, 429, body, {"retry-after": "2"})
    assert isinstance(reply.outcome, Throttled)
    assert reply.outcome.retry_after_s == 2.0


@EVERY
@pytest.mark.parametrize(("status", "outcome"), [(500, OutcomeKind.TRANSIENT), (503, OutcomeKind.OVERLOADED)])
async def test_a_server_error_is_the_servers(kind: ProviderKind, status: int, outcome: OutcomeKind) -> None:
    """Nothing is said of the job."""
    reply, _ = await over_the_wire(at(kind), chat_job(), TIER, status, b"upstream")
    assert reply.outcome.kind is outcome
