"""Azure OpenAI over loopback: addresses and keys as a server hears them, and what its answers become."""

import pytest
from chat_cases import as_openai_takes_it, chat_job, over_the_wire
from provider_samples import KEY, NOW, completion, tier

from pointsman_routes import Auth, Misrouted, Ok, OutcomeKind, Refused, Throttled
from pointsman_worker.providers.azure import AzureCodec
from pointsman_worker.providers.protocol import ProviderCodec

TIER = tier("prod chat", served_as=("gpt-4o-mini-*",))
ANSWER = completion(model="gpt-4o-mini-2024-07-18")


def v1(root: str) -> ProviderCodec:
    """The codec of the v1 API."""
    return AzureCodec(root, KEY, region="eu", now=lambda: NOW)


def dated(root: str) -> ProviderCodec:
    """The codec of a dated version, with a token of Entra ID."""
    return AzureCodec(root, KEY, region="eu", now=lambda: NOW, auth=Auth.BEARER, api_version="2024-10-21")


async def test_the_v1_api_is_called_with_the_key() -> None:
    """The deployment is the model of the body; the region that answered is kept."""
    headers = {"apim-request-id": "r-1", "x-ms-region": "Sweden Central"}
    reply, heard = await over_the_wire(v1, chat_job(seed=7), TIER, 200, ANSWER, headers)
    assert heard.line == "POST /openai/v1/chat/completions HTTP/1.1"
    assert heard.headers["api-key"] == KEY.reveal()
    assert "authorization" not in heard.headers
    as_openai_takes_it(heard.body)
    assert (heard.body["model"], heard.body["seed"]) == ("prod chat", 7)
    assert isinstance(reply.outcome, Ok)
    assert (reply.evidence.provider_request_id, reply.evidence.response_region) == ("r-1", "Sweden Central")


async def test_a_dated_version_is_called_at_the_deployment_with_the_token() -> None:
    """Its name is one segment of the path, encoded once."""
    reply, heard = await over_the_wire(dated, chat_job(), TIER, 200, ANSWER)
    path = "/openai/deployments/prod%20chat/chat/completions?api-version=2024-10-21"
    assert heard.line == f"POST {path} HTTP/1.1"
    assert heard.headers["authorization"] == f"Bearer {KEY.reveal()}"
    assert "api-key" not in heard.headers
    assert isinstance(reply.outcome, Ok)


async def test_an_answer_from_elsewhere_is_withheld() -> None:
    """A region outside the declared one, by the header."""
    reply, _ = await over_the_wire(v1, chat_job(), TIER, 200, ANSWER, {"x-ms-region": "East US 2"})
    assert isinstance(reply.outcome, Misrouted)


async def test_a_throttle_a_blocked_prompt_and_a_server_error() -> None:
    """What comes back over the wire is judged as Azure means it."""
    message = "have exceeded call rate limit of your current OpenAI S0 pricing tier. Please retry after 9 seconds."
    reply, _ = await over_the_wire(v1, chat_job(), TIER, 429, {"error": {"code": "429", "message": message}})
    assert isinstance(reply.outcome, Throttled)
    assert (reply.outcome.retry_after_s, reply.outcome.limit) == (9.0, "requests")
    blocked = {"error": {"code": "content_filter", "message": "filtered", "innererror": {"code": "x"}}}
    reply, _ = await over_the_wire(dated, chat_job(), TIER, 400, blocked)
    assert isinstance(reply.outcome, Refused)


@pytest.mark.parametrize(("status", "kind"), [(500, OutcomeKind.TRANSIENT), (503, OutcomeKind.OVERLOADED)])
async def test_a_server_error_is_the_servers(status: int, kind: OutcomeKind) -> None:
    """Nothing is said of the job."""
    reply, _ = await over_the_wire(v1, chat_job(), TIER, status, {"error": {"code": "InternalServerError"}})
    assert reply.outcome.kind is kind
