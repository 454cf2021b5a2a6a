"""OpenRouter, a broker of others' models."""

from collections.abc import Callable
from datetime import datetime

from pointsman_worker.api_keys import ApiKey

from .json_codec import utc_now
from .openai import OpenAICompatibleCodec


class OpenRouterCodec(OpenAICompatibleCodec):
    """OpenRouter's chat completions."""

    def __init__(
        self,
        base_url: str,
        key: ApiKey | None,
        *,
        region: str | None = None,
        now: Callable[[], datetime] = utc_now,
        zero_retention: bool = False,
    ) -> None:
        super().__init__(base_url, key, region=region, now=now)
        self._zero_retention = zero_retention
