"""Google's generateContent: the Gemini API by key, and Vertex AI by bearer token.

Sources: ai.google.dev, API reference; docs.cloud.google.com, Vertex AI inference reference and locations; google-genai
3.6 (`_api_client.py`) for the addresses.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final
from urllib.parse import quote

from pointsman_routes import Unsupported, Usage
from pointsman_worker.api_keys import ApiKey

from .google_answer import GOOGLE_FINISHES, model_of, spoken_of, usage_of
from .google_request import body_of, problems
from .google_signals import GOOGLE_SIGNALS, GOOGLE_SIGNALS_ANY_STATUS
from .json_codec import JsonCodec, utc_now
from .judging import Spoken
from .payload import object_of, text_of, to_json
from .protocol import Ask, RawReply, WireRequest

GEMINI_URL: Final = "https://generativelanguage.googleapis.com"
_MULTI_REGIONS: Final = frozenset({"eu", "us"})


class GoogleCodec(JsonCodec):
    """One account at the Gemini API, or with a project one at Vertex AI.

    What cannot be expressed is `unsupported` before the call: a system message in the middle of a conversation; one
    that does not start with the user, or ends with the assistant; an empty message; more than five stop sequences; a
    seed beyond 32 bits; `detail` of an image; an image by URL that is not https or whose name does not tell its type; a
    tool's answer to a call no message makes; arguments of a call that are no JSON object; and a `reasoning_effort` that
    neither the levels of Gemini 3 nor the budgets of Gemini 2.5 have.

    Calls of tools are sent without the thought signature Gemini gave them, since messages of the chat completions API
    have no place for one; Google's own value for unsigned calls stands there, at some loss of quality.

    The Gemini API keeps no region. Vertex AI keeps that of its host, except for the location `global`, and names none
    in its answers. Its bearer token is an OAuth access token of Google's and lives for an hour; to renew it is up to
    whoever owns the key.

    Args:
        base_url: `http_options.base_url` of google-genai; of Vertex AI with the Gemini API's, the location's own.
        key: an API key, or with a project a bearer token.
        region: where the provider is declared to process data.
        now: the clock midnight is counted from when a reply names no date.
        project: the Google Cloud project; with it, calls go to Vertex AI.
        location: a region such as `europe-west4`, `eu`, `us` or `global`.
    """

    finishes = GOOGLE_FINISHES
    signals = GOOGLE_SIGNALS
    signals_any_status = GOOGLE_SIGNALS_ANY_STATUS

    def __init__(
        self,
        base_url: str,
        key: ApiKey | None,
        *,
        region: str | None = None,
        now: Callable[[], datetime] = utc_now,
        project: str | None = None,
        location: str | None = None,
    ) -> None:
        at_vertex = project is not None and location is not None
        if at_vertex and base_url.rstrip("/") == GEMINI_URL:
            base_url = _vertex_url(location or "")
        super().__init__(base_url, key, region=region, now=now)
        self._at_vertex = at_vertex
        path = f"v1/projects/{project}/locations/{location}/publishers/google" if at_vertex else "v1beta"
        self._models_url = f"{self._base_url}/{path}/models"

    def build(self, ask: Ask) -> WireRequest | Unsupported:
        """See `ProviderCodec`."""
        problem = next(problems(ask), None)
        if problem is not None:
            return Unsupported(detail=problem)
        return WireRequest(
            url=f"{self._models_url}/{quote(ask.tier.model, safe='')}:generateContent",
            headers=self._headers(ask),
            body=to_json(body_of(ask, vertex=self._at_vertex)),
        )

    def _headers(self, ask: Ask) -> dict[str, str]:
        headers = {"content-type": "application/json"}
        if self._key is not None:
            secret = self._key.reveal()
            headers.update({"authorization": f"Bearer {secret}"} if self._at_vertex else {"x-goog-api-key": secret})
        if self._at_vertex and ask.tier.service_tier is not None:
            # docs.cloud.google.com, Flex and Priority pay-as-you-go.
            headers["x-vertex-ai-llm-shared-request-type"] = ask.tier.service_tier
        return headers

    def _spoken(self, payload: Mapping[str, object], headers: Mapping[str, str]) -> Spoken | None:
        return spoken_of(payload, headers)

    def _usage(self, payload: Mapping[str, object]) -> Usage | None:
        return usage_of(object_of(payload.get("usageMetadata")))

    def _served_model(self, payload: Mapping[str, object]) -> str | None:
        return model_of(payload)

    def _request_id(self, raw: RawReply, payload: Mapping[str, object]) -> str | None:
        return text_of(payload.get("responseId")) or super()._request_id(raw, payload)


def _vertex_url(location: str) -> str:
    """Vertex AI's host for a location."""
    if location in _MULTI_REGIONS:
        return f"https://aiplatform.{location}.rep.googleapis.com"
    return (
        "https://aiplatform.googleapis.com" if location == "global" else f"https://{location}-aiplatform.googleapis.com"
    )
