"""AWS's Signature Version 4, by botocore's own signer and with the credentials its own chain finds.

botocore comes with the extra `bedrock` and is imported only when a signature is asked for.

Sources: AWS general reference, Signature Version 4; botocore's `auth.py` and `credentials.py`.
"""

import time
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from threading import Thread
from typing import Final, Protocol

from pointsman_routes import Auth, KeyMissing, Provider, UsageProblem, bedrock_region
from pointsman_worker.api_keys import ApiKey

from .redaction import Redactor

SERVICE: Final = "bedrock"
"""The name Bedrock's runtime is signed for: `signingName` of its service model, which is not its host's."""
_REFRESH_PAUSE_S: Final = 30.0
"""Between two tries to renew credentials."""
_LONGEST_WAIT_S: Final = 3.0
"""A call waits no longer for new credentials: workers renew their leases every five seconds."""
_LONGEST_READ: Final = 2000


class Secrets(Protocol):
    """The credentials of one moment, as botocore freezes them."""

    @property
    def access_key(self) -> str:
        """The name of the key; no secret."""
        ...

    @property
    def secret_key(self) -> str:
        """What requests are signed with."""
        ...

    @property
    def token(self) -> str | None:
        """Of temporary credentials: sent along with each request."""
        ...


class Credentials(Protocol):
    """What botocore's chain finds. Those that expire also have `refresh_needed(refresh_in)`."""

    def get_frozen_credentials(self) -> Secrets:
        """The credentials of this moment; may ask AWS for new ones, and wait for them."""
        ...


class SecretsRedactor(Redactor):
    """Cleans texts of an account whose secrets are renewed: it hides the present ones and the few before them."""

    def __init__(self) -> None:
        super().__init__(None)
        self._each: deque[Redactor] = deque(maxlen=6)

    def learn(self, secrets: Secrets) -> None:
        """Hide these from now on."""
        self._each.extend(Redactor(ApiKey(secret)) for secret in (secrets.secret_key, secrets.token) if secret)

    def clean(self, text: str, limit: int) -> str:
        """See `Redactor`."""
        for redactor in tuple(self._each):
            text = redactor.clean(text, _LONGEST_READ)
        return super().clean(text, limit)

    def name(self, text: str, limit: int) -> str:
        """See `Redactor`."""
        harmless = all(redactor.name(text, limit) == text for redactor in tuple(self._each))
        return super().name(text, limit) if harmless else self.clean(text, limit)


class AwsSigner:
    """Signs the requests of one provider account.

    Credentials that expire are renewed in a thread of their own from the moment botocore advises it, a quarter of an
    hour before their end, while calls go on with the present ones: renewing asks AWS over the network and may take a
    minute, and signing happens on the event loop. Weakness: if they have already expired, as after an hour without a
    call, the next call holds up the loop while it waits for new ones, at most 3 s in every 30 s; without new ones it is
    signed with the old, and AWS answers that they have expired.

    Args:
        credentials: from botocore's chain.
        region: the AWS region to sign for.
    """

    def __init__(self, credentials: Credentials, region: str) -> None:
        self._credentials = credentials
        self._region = region
        self._secrets = credentials.get_frozen_credentials()
        self._renewal: Thread | None = None
        self._next_try = 0.0
        self.redactor = SecretsRedactor()
        """Knows every secret that a request of late was signed with."""
        self.redactor.learn(self._secrets)

    def __repr__(self) -> str:
        return f"AwsSigner(region={self._region!r})"

    def sign(self, url: str, headers: Mapping[str, str], body: bytes, now: datetime) -> dict[str, str]:
        """The headers of a POST with the signature among them.

        The signature covers the path as it stands in the URL, so it has to be sent as it stands there.

        Args:
            url: what is called.
            headers: what is to be sent and signed, in lower case.
            body: what is to be sent.
            now: the moment of the signature, which AWS takes for 5 minutes; aware.
        """
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        secrets = self._fresh()
        stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        signed = {**headers, "x-amz-date": stamp}
        if secrets.token:
            signed["x-amz-security-token"] = secrets.token
        # The steps of SigV4Auth.add_auth, which would take its own clock and write secrets to the debug log.
        signer = SigV4Auth(secrets, SERVICE, self._region)
        request = AWSRequest(method="POST", url=url, data=body, headers=signed)
        request.context["timestamp"] = stamp
        signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
        covered = signer.signed_headers(signer.headers_to_sign(request))
        signed["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, SignedHeaders={covered}, Signature={signature}"
        )
        return signed

    def _fresh(self) -> Secrets:
        if self._ending() and time.monotonic() >= self._next_try and not self._renewing():
            self._next_try = time.monotonic() + _REFRESH_PAUSE_S
            self._renewal = Thread(target=self._renew, name="aws-credentials", daemon=True)
            self._renewal.start()
            if self._ending(0):
                self._renewal.join(_LONGEST_WAIT_S)
        return self._secrets

    def _ending(self, within_s: int | None = None) -> bool:
        """Whether the credentials end within so many seconds; None is botocore's own advice."""
        asked = getattr(self._credentials, "refresh_needed", None)
        return asked is not None and bool(asked(within_s))

    def _renewing(self) -> bool:
        return self._renewal is not None and self._renewal.is_alive()

    def _renew(self) -> None:
        try:
            secrets = self._credentials.get_frozen_credentials()
        except Exception:  # noqa: BLE001 -- whatever a credential process, a profile's plugin or the network raises
            return
        if secrets != self._secrets:
            self.redactor.learn(secrets)
            self._secrets = secrets


def find_signer(base_url: str) -> AwsSigner:
    """A signer for this endpoint, with the credentials of this machine.

    They are looked for where AWS's own tools look: environment, profile, web identity, container, instance. The last of
    these asks the network, about two seconds where there is nothing.

    Raises:
        KeyMissing: the extra is not installed, or no credentials are found.
        UsageProblem: the endpoint's region cannot be told.
    """
    region = bedrock_region(base_url)
    if region is None:
        raise UsageProblem(
            f'auth = "sigv4" needs a region to sign for, and base_url {base_url!r} names none; '
            "write https://bedrock-runtime.REGION.amazonaws.com"
        )
    try:
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.session import Session
    except ImportError:
        raise KeyMissing('auth = "sigv4" needs botocore; install pointsman[bedrock]') from None
    try:
        credentials = Session().get_credentials()
        if credentials is None:
            raise KeyMissing(
                "no AWS credentials are found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, "
                "or run where a role is attached"
            )
        return AwsSigner(credentials, region)
    except (BotoCoreError, ClientError, OSError, RuntimeError, ValueError) as error:
        raise KeyMissing(f"AWS credentials cannot be read: {' '.join(str(error).split())[:300]}") from None


def sigv4_problem(provider: Provider) -> str | None:
    """Why the provider's calls could not be signed; None if they can, or need no signature."""
    if provider.authenticates is not Auth.SIGV4:
        return None
    try:
        find_signer(provider.base_url or "")
    except UsageProblem as problem:
        return str(problem)
    return None
