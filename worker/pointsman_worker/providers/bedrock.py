"""Amazon Bedrock's Converse."""

from collections.abc import Callable
from datetime import datetime

from pointsman_routes import Auth
from pointsman_worker.api_keys import ApiKey

from .json_codec import utc_now
from .openai import OpenAICompatibleCodec


class BedrockCodec(OpenAICompatibleCodec):
    """Amazon Bedrock's Converse."""

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
        self._auth = auth
