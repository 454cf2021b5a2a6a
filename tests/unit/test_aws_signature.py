"""AWS's signature: what is signed, with which credentials, and what never shows."""

import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.auth
import pytest
from botocore.awsrequest import AWSResponse
from botocore.credentials import RefreshableCredentials
from botocore.session import Session
from provider_samples import NOW

from pointsman_routes import Auth, KeyMissing, Provider, UsageProblem
from pointsman_worker.providers import aws_signature
from pointsman_worker.providers.aws_signature import AwsSigner, SecretsRedactor, find_signer, sigv4_problem

FRANKFURT = "https://bedrock-runtime.eu-central-1.amazonaws.com"
ACCESS = "AKIDEXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "IQoJb3JpZ2luX2VjEXAMPLETOKEN//////////wEaCXVzLWVhc3Q="
JSON = {"content-type": "application/json"}
MODELS = [
    "amazon.nova-lite",
    "eu.anthropic.claude-haiku-4-5-20251001-v1:0",
    "arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.anthropic.claude-haiku-4-5-20251001-v1:0",
]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials of the machine that runs the tests, and no network to look for some."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE",
                 "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                 "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_BEARER_TOKEN_BEDROCK"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


class Frozen:
    """Credentials of one moment."""

    def __init__(self, secret_key: str = SECRET, token: str | None = None) -> None:
        self.access_key = ACCESS
        self.secret_key = secret_key
        self.token = token

    def get_frozen_credentials(self) -> "Frozen":
        return self


class Body:
    """What botocore reads an answer from."""

    def stream(self) -> list[bytes]:
        return [b"{}"]


def sent_by_botocore(model: str, token: str | None) -> Any:
    """The request botocore's own client makes at `NOW`."""
    session = Session()
    session.set_credentials(ACCESS, SECRET, token)
    client = session.create_client("bedrock-runtime", region_name="eu-central-1", endpoint_url=FRANKFURT)
    caught: list[Any] = []

    def keep(request: Any, **_: object) -> AWSResponse:
        caught.append(request)
        return AWSResponse(request.url, 200, {}, Body())

    client.meta.events.register("before-send.bedrock-runtime.Converse", keep)
    client.converse(modelId=model, messages=[{"role": "user", "content": [{"text": "hällo"}]}])
    client.close()
    return caught[0]


@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize("model", MODELS)
def test_the_signature_is_botocores_byte_for_byte(
    model: str, token: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same request at the same moment has the same headers as from AWS's own client, path encoded twice and all."""
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: NOW.replace(tzinfo=None))
    theirs = sent_by_botocore(model, token)
    ours = AwsSigner(Frozen(token=token), "eu-central-1").sign(theirs.url, JSON, theirs.body, NOW)
    told = {name.lower(): value.decode() for name, value in theirs.headers.items() if isinstance(value, bytes)}
    assert ours == {name: told[name] for name in ours}
    assert ("x-amz-security-token" in ours) is (token is not None)
    assert (
        "/20261031/eu-central-1/bedrock/aws4_request, SignedHeaders=content-type;host;x-amz-date"
        in (ours["authorization"])
    )


def test_every_part_of_a_request_is_signed() -> None:
    """Another moment, body, path, header, secret or region is another signature."""
    signer = AwsSigner(Frozen(), "eu-central-1")
    url = f"{FRANKFURT}/model/a:0/converse"
    variants = [
        signer.sign(url, JSON, b"{}", NOW),
        signer.sign(url, JSON, b"{}", NOW + timedelta(seconds=1)),
        signer.sign(url, JSON, b"{ }", NOW),
        signer.sign(url.replace(":0", "%3A0"), JSON, b"{}", NOW),
        signer.sign(url, {"content-type": "text/plain"}, b"{}", NOW),
        AwsSigner(Frozen("another-secret"), "eu-central-1").sign(url, JSON, b"{}", NOW),
        AwsSigner(Frozen(), "us-east-1").sign(url, JSON, b"{}", NOW),
    ]
    assert len({headers["authorization"] for headers in variants}) == len(variants)


def test_the_moment_is_written_in_utc() -> None:
    """A clock of another zone signs the same."""
    signer = AwsSigner(Frozen(), "eu-central-1")
    there = NOW.astimezone(datetime.strptime("+0530", "%z").tzinfo)
    assert signer.sign(FRANKFURT, JSON, b"", there) == signer.sign(FRANKFURT, JSON, b"", NOW)
    assert signer.sign(FRANKFURT, JSON, b"", NOW)["x-amz-date"] == "20261031T180000Z"


def expiring(in_s: float, renew: Any) -> RefreshableCredentials:
    """Credentials with an end, which botocore renews with a function."""
    end = datetime.now(UTC) + timedelta(seconds=in_s)
    return RefreshableCredentials(ACCESS, SECRET, TOKEN, end, renew, "test")


def renewed(secret: str = "renewed-secret-key") -> dict[str, str]:
    """What a service hands out for an hour."""
    end = datetime.now(UTC) + timedelta(hours=1)
    return {"access_key": ACCESS, "secret_key": secret, "token": "renewed-token", "expiry_time": end.isoformat()}


def settle(signer: AwsSigner) -> None:
    """Wait until a renewal that runs has ended."""
    assert signer._renewal is not None
    signer._renewal.join(5)
    assert not signer._renewal.is_alive()


def fresh_then_ending(renew: Any, in_s: float) -> AwsSigner:
    """A signer whose credentials were good when it was made, and now end in some seconds."""
    credentials = expiring(3600, renew)
    signer = AwsSigner(credentials, "eu-central-1")
    credentials._expiry_time = datetime.now(UTC) + timedelta(seconds=in_s)
    return signer


def test_credentials_that_near_their_end_are_renewed_beside_the_calls() -> None:
    """No call waits: the present credentials are good for ten minutes yet; a later one has the new ones."""
    gate = threading.Event()

    def renew() -> dict[str, str]:
        gate.wait(5)
        return renewed()

    signer = fresh_then_ending(renew, 600)
    assert signer.sign(FRANKFURT, JSON, b"", NOW)["x-amz-security-token"] == TOKEN
    assert signer.sign(FRANKFURT, JSON, b"", NOW)["x-amz-security-token"] == TOKEN
    gate.set()
    settle(signer)
    assert signer.sign(FRANKFURT, JSON, b"", NOW)["x-amz-security-token"] == "renewed-token"


class Late(threading.Thread):
    """A thread that does nothing until somebody waits for it."""

    def start(self) -> None:
        pass

    def join(self, timeout: float | None = None) -> None:
        self.run()


def test_a_call_waits_for_new_credentials_when_the_old_have_expired(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an idle hour the first call is signed with the new ones."""
    monkeypatch.setattr(aws_signature, "Thread", Late)
    signer = fresh_then_ending(renewed, -1)
    assert signer.sign(FRANKFURT, JSON, b"", NOW)["x-amz-security-token"] == "renewed-token"


def test_no_call_waits_long_or_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A renewal that hangs holds up one call for a moment; one that fails is not tried again at once."""
    monkeypatch.setattr(aws_signature, "_LONGEST_WAIT_S", 0.01)
    gate, tries = threading.Event(), []

    def hang() -> dict[str, str]:
        tries.append(1)
        gate.wait(5)
        raise OSError("no network")

    signer = fresh_then_ending(hang, -1)
    for _ in range(3):
        assert signer.sign(FRANKFURT, JSON, b"", NOW)["x-amz-security-token"] == TOKEN
    gate.set()
    settle(signer)
    signer.sign(FRANKFURT, JSON, b"", NOW)
    assert len(tries) == 1
    signer._next_try = 0.0
    signer.sign(FRANKFURT, JSON, b"", NOW)
    settle(signer)
    assert len(tries) == 2


def test_secrets_are_hidden_before_and_after_a_renewal() -> None:
    """A vendor that echoes a canonical request echoes the token: neither the old nor the new ever shows."""
    signer = fresh_then_ending(renewed, -1)
    signer.sign(FRANKFURT, JSON, b"", NOW)
    for secret in (SECRET, TOKEN, "renewed-secret-key", "renewed-token"):
        assert secret not in signer.redactor.clean(f"it was {secret} they sent", 300)
        assert secret not in signer.redactor.name(secret, 300)
    assert signer.redactor.name("req-1", 300) == "req-1"
    assert signer.redactor.clean("a  b\n c", 4) == "a b…"
    for shown in (repr(signer), repr(signer.redactor)):
        assert SECRET not in shown
        assert TOKEN not in shown


def test_an_unknown_secret_of_the_usual_look_is_hidden_too() -> None:
    """What the base class hides without knowing a key is hidden here as well."""
    assert "sk-abcdefgh" not in SecretsRedactor().clean("bearer of sk-abcdefgh", 300)


def test_credentials_are_found_where_awss_tools_look(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Environment first; then the profile that is named."""
    (tmp_path / "credentials").write_text(
        "[house]\naws_access_key_id = AKIDPROFILE\naws_secret_access_key = profile-secret\n"
    )
    monkeypatch.setenv("AWS_PROFILE", "house")
    assert "Credential=AKIDPROFILE/" in find_signer(FRANKFURT).sign(FRANKFURT, JSON, b"", NOW)["authorization"]
    monkeypatch.delenv("AWS_PROFILE")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    assert f"Credential={ACCESS}/" in find_signer(FRANKFURT).sign(FRANKFURT, JSON, b"", NOW)["authorization"]


def test_what_is_missing_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """No region, no credentials, half of them, a profile that is not there, no botocore: each is told apart."""
    with pytest.raises(UsageProblem, match=r"names none; write https://bedrock-runtime\.REGION"):
        find_signer("https://gateway.example.com")
    with pytest.raises(KeyMissing, match="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"):
        find_signer(FRANKFURT)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
    with pytest.raises(KeyMissing, match="AWS_SECRET_ACCESS_KEY"):
        find_signer(FRANKFURT)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(KeyMissing, match="nobody"):
        find_signer(FRANKFURT)
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    with pytest.raises(KeyMissing, match=r"install pointsman\[bedrock\]"):
        find_signer(FRANKFURT)


def test_a_provider_is_checked_before_it_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """`routes check` tells what would stop a signature, of providers that sign."""

    def provider(**fields: object) -> Provider:
        common = {
            "name": "aws",
            "kind": "bedrock",
            "owner": "me",
            "base_url": FRANKFURT,
            "tiers": {"t": {"model": "m"}},
        }
        return Provider.model_validate(common | fields)

    assert sigv4_problem(provider(api_key={"env": "K"})) is None
    signed = provider(auth=Auth.SIGV4)
    assert "no AWS credentials" in str(sigv4_problem(signed))
    assert "region" in str(sigv4_problem(provider(auth=Auth.SIGV4, base_url="https://gateway.example.com")))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    assert sigv4_problem(signed) is None
