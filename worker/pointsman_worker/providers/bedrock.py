"""Amazon Bedrock's Converse.

Sources: see `bedrock_request` and `bedrock_answer`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from urllib.parse import quote

from pointsman_routes import Allowance, Auth, Outcome, Throttled, Unsupported, Usage, place_problem
from pointsman_worker.api_keys import ApiKey

from .aws_signature import find_signer
from .bedrock_answer import (
    FINISHES,
    SIGNALS,
    SIGNALS_ANY_STATUS,
    error_name,
    invoked_model,
    refused_limit,
    spoken_of,
    usage_of,
)
from .bedrock_request import converse_body, problems
from .json_codec import JsonCodec, utc_now
from .judging import Spoken
from .payload import text_of, to_json
from .protocol import Ask, RawReply, WireRequest


class BedrockCodec(JsonCodec):
    """Converse, for every model Bedrock has behind it.

    `max_tokens` is always sent: the quota of tokens is charged with it from the start, and with the model's maximum
    where it is absent (user guide, quotas).

    What it cannot express is `unsupported` before the call: `seed`; a temperature above 1; `json_object`; a
    `tool_choice` of none; an effort other than low, medium or high; images by URL; a blank text; turns that do not
    alternate, do not start with the user or end with the assistant; a system message in their midst; calls of tools in
    the conversation without the tools. A message of a tool becomes a part of the user's turn, which is how Converse
    writes it. A JSON schema is always enforced, whether or not the job says `strict`.

    Converse names neither the model it served nor the place, so nothing can be compared after the call. A call that may
    leave the declared region is therefore `unsupported` before it; see `place_problem`. Only a prompt router names the
    model it chose: its tier lists those in `served_as`.

    Args:
        base_url: the endpoint, as botocore's `endpoint_url`: https://bedrock-runtime.eu-central-1.amazonaws.com.
        key: a Bedrock API key, sent as a bearer token; None with signatures.
        region: where the provider is declared to process data.
        now: the clock; signatures are made for its moment.
        auth: by key, or by signature with the credentials AWS's own tools find.

    Raises:
        UsageProblem: with signatures: the region cannot be told from the endpoint.
        KeyMissing: with signatures: no credentials are found, or the extra `bedrock` is not installed.
    """

    finishes = FINISHES
    signals = SIGNALS
    signals_any_status = SIGNALS_ANY_STATUS
    request_id_headers = ("x-amzn-requestid",)

    def __init__(
        self,
        base_url: str,
        key: ApiKey | None,
        *,
        region: str | None = None,
        now: Callable[[], datetime] = utc_now,
        auth: Auth = Auth.KEY,
    ) -> None:
        super().__init__(base_url, key, region=region, now=now)
        self._signer = find_signer(base_url) if auth is Auth.SIGV4 else None
        if self._signer is not None:
            self._redactor = self._signer.redactor

    def build(self, ask: Ask) -> WireRequest | Unsupported:
        """See `ProviderCodec`."""
        elsewhere = place_problem(self._region, self._base_url, ask.tier.model)
        problem = f"region: {elsewhere}" if elsewhere is not None else next(problems(ask), None)
        if problem is not None:
            return Unsupported(detail=problem)
        # A colon stays as it is: HTTP clients that tidy up URLs would restore it, and the signature covers the path as
        # it is sent. Anthropic's own client for Bedrock does the same.
        url = f"{self._base_url}/model/{quote(ask.tier.model, safe=':')}/converse"
        body = to_json(converse_body(ask))
        return WireRequest(url=url, headers=self._headers(url, body), body=body)

    def _headers(self, url: str, body: bytes) -> Mapping[str, str]:
        headers = {"content-type": "application/json"}
        if self._signer is not None:
            return self._signer.sign(url, headers, body, self._now())
        if self._key is not None:
            headers["authorization"] = f"Bearer {self._key.reveal()}"
        return headers

    def _spoken(self, payload: Mapping[str, object], headers: Mapping[str, str]) -> Spoken | None:
        return spoken_of(payload)

    def _usage(self, payload: Mapping[str, object]) -> Usage | None:
        return usage_of(payload)

    def _served_model(self, payload: Mapping[str, object]) -> str | None:
        return invoked_model(payload)

    def _failed(
        self, raw: RawReply, error: Mapping[str, object], now: datetime, allowances: tuple[Allowance, ...]
    ) -> Outcome:
        # Services of AWS write `message` or `Message`, and keep the error's name in a header.
        message = text_of(error.get("message")) or text_of(error.get("Message"))
        told = {"type": error_name(raw.headers, error), "message": message}
        outcome = super()._failed(raw, told if message or not error.get("error") else error, now, allowances)
        if isinstance(outcome, Throttled) and outcome.limit is None:
            return replace(outcome, limit=refused_limit(message or ""))
        return outcome
