"""Converse over loopback: what a server sees of a call, whether it could verify it, and what its answers become."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from bedrock_samples import CORAL, MODEL, answer
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from provider_samples import KEY, job, tier
from scripted_server import Script, Server, serving

from pointsman_routes import Auth, Ok, OutcomeKind, Throttled
from pointsman_worker.http_client import build_client, call
from pointsman_worker.providers import Ask, RawReply, Reply, WireRequest, bedrock
from pointsman_worker.providers.aws_signature import AwsSigner
from pointsman_worker.providers.bedrock import BedrockCodec

SECRETS = ReadOnlyCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG", "IQoJb3JpZ2luX2VjEXAMPLETOKEN")
MODELS = [MODEL, f"arn:aws:bedrock:eu-central-1:123456789012:inference-profile/{MODEL}"]
HEADERS = {"content-type": "application/json", "x-amzn-RequestId": "4ab7"}


class Found:
    """Credentials as botocore's chain hands them over."""

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        return SECRETS


@dataclass
class Seen:
    """A request as the server read it."""

    path: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def replies(seen: Seen, status: int, headers: dict[str, str], body: object) -> Callable[[Server], Script]:
    """Read one request whole, and answer it."""

    def script(_: Server) -> Script:
        async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
            seen.path = first.split(" ")[1]
            seen.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            seen.body = await reader.readexactly(int(seen.headers["content-length"]))
            content = json.dumps(body).encode()
            head = [f"HTTP/1.1 {status} X", f"content-length: {len(content)}", "connection: close"]
            head += [f"{name}: {value}" for name, value in headers.items()]
            writer.write("\r\n".join([*head, "", ""]).encode() + content)
            await writer.drain()

        return run

    return script


async def exchange(
    status: int, body: object, headers: dict[str, str] | None = None, auth: Auth = Auth.KEY, model: str = MODEL
) -> tuple[Seen, Reply]:
    """One attempt, from job to outcome, as a worker makes it; and the request the server saw."""
    seen = Seen()
    async with serving(replies(seen, status, HEADERS | (headers or {}), body)) as server, build_client(2) as client:
        codec = BedrockCodec(f"http://127.0.0.1:{server.port}", KEY if auth is Auth.KEY else None, auth=auth)
        request = codec.build(Ask(job=job(("user", "wie groß?")), tier=tier(model), max_tokens=64))
        assert isinstance(request, WireRequest)
        reply = await call(client, request, 5)
        assert isinstance(reply, RawReply)
        return seen, codec.read(tier(model), reply)


@pytest.fixture
def signer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signatures for Frankfurt, though the server is here."""
    monkeypatch.setattr(bedrock, "find_signer", lambda _: AwsSigner(Found(), "eu-central-1"))


def signature_of(seen: Seen) -> str:
    """The signature AWS's algorithm gives for a request as it arrived: its path, headers and body as they are."""
    covered = seen.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    request: Any = AWSRequest(
        method="POST",
        url=f"http://{seen.headers['host']}{seen.path}",
        data=seen.body,
        headers={name: seen.headers[name] for name in covered},
    )
    request.context["timestamp"] = seen.headers["x-amz-date"]
    auth = SigV4Auth(SECRETS, "bedrock", "eu-central-1")
    return str(auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request))


async def test_a_call_with_a_key_arrives_as_a_bearer_call() -> None:
    """Path, key and body as Converse has them; the answer comes back with its id and usage."""
    seen, reply = await exchange(200, answer({"text": "2 m"}))
    assert seen.path == f"/model/{MODEL}/converse"
    assert seen.headers["authorization"] == f"Bearer {KEY.reveal()}"
    assert seen.headers["content-type"] == "application/json"
    assert json.loads(seen.body) == {
        "messages": [{"role": "user", "content": [{"text": "wie groß?"}]}],
        "inferenceConfig": {"maxTokens": 64},
    }
    assert isinstance(reply.outcome, Ok)
    assert reply.outcome.answer.content == "2 m"
    assert reply.evidence.provider_request_id == "4ab7"
    assert reply.evidence.usage is not None


@pytest.mark.usefixtures("signer")
@pytest.mark.parametrize("model", MODELS)
async def test_a_signed_call_can_be_verified_as_it_arrives(model: str) -> None:
    """The HTTP client changes nothing that was signed: not the colons and slashes in a name, no header, no byte."""
    seen, reply = await exchange(200, answer({"text": "2 m"}), auth=Auth.SIGV4, model=model)
    assert seen.headers["authorization"].endswith(f", Signature={signature_of(seen)}")
    assert "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token," in seen.headers["authorization"]
    assert isinstance(reply.outcome, Ok)


@pytest.mark.usefixtures("signer")
async def test_a_refused_signature_shows_no_secret() -> None:
    """AWS explains a wrong signature with the request it expected, token included; no record has it."""
    text = f"The Canonical String for this request should have been 'POST x-amz-security-token:{SECRETS.token}'"
    headers = {"x-amzn-ErrorType": f"InvalidSignatureException:{CORAL}", "x-amzn-RequestId": str(SECRETS.token)}
    _, reply = await exchange(403, {"message": text}, headers, auth=Auth.SIGV4)
    assert reply.outcome.kind is OutcomeKind.UNAUTHORIZED
    assert str(SECRETS.token) not in repr(reply)
    _, reply = await exchange(400, {"message": text}, {"x-amzn-ErrorType": "ValidationException"}, auth=Auth.SIGV4)
    assert reply.outcome.kind is OutcomeKind.INVALID
    assert str(SECRETS.token) not in repr(reply)


async def test_a_throttled_call_waits() -> None:
    """The name of the error is in a header, its text says which limit."""
    headers = {"x-amzn-ErrorType": f"ThrottlingException:{CORAL}"}
    _, reply = await exchange(429, {"message": "Too many tokens, please wait before trying again."}, headers)
    assert reply.outcome == Throttled(
        detail="HTTP 429 ThrottlingException: Too many tokens, please wait before trying again.",
        retry_after_s=None,
        limit="tokens",
    )


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        (500, "InternalServerException", OutcomeKind.TRANSIENT),
        (503, "ServiceUnavailableException", OutcomeKind.OVERLOADED),
        (429, "ModelNotReadyException", OutcomeKind.OVERLOADED),
    ],
)
async def test_a_server_in_trouble_is_tried_again_later(status: int, name: str, kind: OutcomeKind) -> None:
    """Errors of the service are no fault of the job."""
    _, reply = await exchange(status, {"message": "no"}, {"x-amzn-ErrorType": f"{name}:{CORAL}"})
    assert reply.outcome.kind is kind
    assert reply.evidence.http_status == status
