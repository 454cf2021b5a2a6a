"""Gemini by API key, and Vertex AI by bearer token."""

from collections.abc import Callable
from datetime import datetime

from pointsman_worker.api_keys import ApiKey

from .json_codec import utc_now
from .openai import OpenAICompatibleCodec


class GoogleCodec(OpenAICompatibleCodec):
    """Gemini by API key, and Vertex AI by bearer token."""

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
        super().__init__(base_url, key, region=region, now=now)
        self._project = project
        self._location = location
