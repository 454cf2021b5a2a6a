"""Azure OpenAI's chat completions.

Sources: learn.microsoft.com, Azure OpenAI: REST API reference, API lifecycle (v1), content filtering, quota how-to
(error messages and headers); `openai.AzureOpenAI` for the addresses.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final
from urllib.parse import quote

from pointsman_routes import Auth, OutcomeKind
from pointsman_worker.api_keys import ApiKey

from .chat_signals import CHAT_SIGNALS
from .json_codec import utc_now
from .judging import Spoken
from .openai import OpenAICodec
from .payload import text_of
from .protocol import Ask
from .signal_table import Signal

_NO_CAPACITY: Final = re.compile(r"experiencing high demand|temporarily unable to process")
_SIGNALS: Final = (
    # Often taken for a quota; but no limit of the deployment was reached, so its buckets have nothing to learn.
    Signal(
        says='429 "experiencing high demand", "temporarily unable to process": Azure is short of capacity',
        status=frozenset({429}),
        words=_NO_CAPACITY,
        outcome=OutcomeKind.OVERLOADED,
    ),
    *CHAT_SIGNALS,
)


class AzureCodec(OpenAICodec):
    """Azure OpenAI's chat completions.

    The model of a tier is the name of a deployment, which is named freely; an answer names the model behind it, such as
    `gpt-4o-mini-2024-07-18`. Unless the deployment bears its model's name, that must stand in the tier's `served_as`:
    otherwise every answer is `misrouted`. So a deployment that is quietly given another model is noticed.

    Where an answer names the region that gave it (`x-ms-region`), that must lie in the declared one.

    A dated API version must know `max_completion_tokens` (2024-09-01-preview or later); an older one refuses it, which
    is `unsupported`.

    Args:
        base_url: the resource's endpoint, `https://RES.openai.azure.com`, with or without `/openai` or `/openai/v1`.
        key: an API key, or with `Auth.BEARER` a token of Entra ID.
        region: where the provider is declared to process data.
        now: the clock a vendor's moments are counted from when its reply names no date.
        auth: how calls authenticate.
        api_version: None for the v1 API; with it, calls go to the deployment's own path in that version.
    """

    signals = _SIGNALS
    request_id_headers = ("apim-request-id", "x-ms-request-id", "x-request-id")

    def __init__(
        self,
        base_url: str,
        key: ApiKey | None,
        *,
        region: str | None = None,
        now: Callable[[], datetime] = utc_now,
        auth: Auth = Auth.KEY,
        api_version: str | None = None,
    ) -> None:
        super().__init__(base_url, key, region=region, now=now)
        self._auth = auth
        self._api_version = api_version
        self._endpoint = self._base_url.removesuffix("/openai/v1").removesuffix("/openai")

    def _url(self, ask: Ask) -> str:
        if self._api_version is None:
            return f"{self._endpoint}/openai/v1/chat/completions"
        deployment, version = quote(ask.tier.model, safe=""), quote(self._api_version, safe="")
        return f"{self._endpoint}/openai/deployments/{deployment}/chat/completions?api-version={version}"

    def _headers(self) -> dict[str, str]:
        if self._auth is Auth.BEARER or self._key is None:
            return super()._headers()
        return {"content-type": "application/json", "api-key": self._key.reveal()}

    def _spoken(self, payload: Mapping[str, object], headers: Mapping[str, str]) -> Spoken | None:
        spoken = super()._spoken(payload, headers)
        return replace(spoken, region=text_of(headers.get("x-ms-region"))) if spoken is not None else None
