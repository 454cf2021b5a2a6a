"""Azure OpenAI's chat completions."""

from collections.abc import Callable
from datetime import datetime

from pointsman_routes import Auth
from pointsman_worker.api_keys import ApiKey

from .json_codec import utc_now
from .openai import OpenAICodec


class AzureCodec(OpenAICodec):
    """Azure OpenAI's chat completions."""

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
