"""Which codec speaks for which kind of provider."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, assert_never

from pointsman_routes import Provider, ProviderKind
from pointsman_worker.api_keys import ApiKey

from .anthropic import AnthropicCodec
from .json_codec import utc_now
from .openai import OpenAICodec, OpenAICompatibleCodec
from .protocol import ProviderCodec

DEFAULT_BASE_URLS: Final[Mapping[ProviderKind, str]] = {
    ProviderKind.OPENAI: "https://api.openai.com/v1",
    ProviderKind.ANTHROPIC: "https://api.anthropic.com",
}
"""As the vendor's own SDK has it: OpenAI's ends in /v1, Anthropic's does not. A compatible server has none."""


def codec_for(provider: Provider, key: ApiKey | None, *, now: Callable[[], datetime] = utc_now) -> ProviderCodec:
    """The codec of a provider account; build one and keep it.

    Args:
        provider: a provider of a valid route table.
        key: its key, from `read_key`.
        now: the clock a Retry-After date is read against.
    """
    base_url = provider.base_url or DEFAULT_BASE_URLS[provider.kind]
    match provider.kind:
        case ProviderKind.OPENAI:
            return OpenAICodec(base_url, key, region=provider.region, now=now)
        case ProviderKind.OPENAI_COMPATIBLE:
            return OpenAICompatibleCodec(base_url, key, region=provider.region, now=now)
        case ProviderKind.ANTHROPIC:
            return AnthropicCodec(base_url, key, region=provider.region, now=now)
        case _:
            assert_never(provider.kind)
