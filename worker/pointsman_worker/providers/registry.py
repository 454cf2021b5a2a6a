"""Which codec speaks for which kind of provider."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, assert_never

from pointsman_routes import Provider, ProviderKind
from pointsman_worker.api_keys import ApiKey

from .anthropic import AnthropicCodec, AnthropicCompatibleCodec
from .azure import AzureCodec
from .bedrock import BedrockCodec
from .google import GoogleCodec
from .groq import GroqCodec
from .json_codec import utc_now
from .mistral import MistralCodec
from .ollama import OllamaCodec
from .openai import OpenAICodec, OpenAICompatibleCodec
from .openrouter import OpenRouterCodec
from .presets import PRESETS, PresetCodec
from .protocol import ProviderCodec

DEFAULT_BASE_URLS: Final[Mapping[ProviderKind, str]] = {
    ProviderKind.OPENAI: "https://api.openai.com/v1",
    ProviderKind.ANTHROPIC: "https://api.anthropic.com",
    ProviderKind.GOOGLE: "https://generativelanguage.googleapis.com",
    ProviderKind.OLLAMA: "http://localhost:11434",
    ProviderKind.OPENROUTER: "https://openrouter.ai/api/v1",
    ProviderKind.MISTRAL: "https://api.mistral.ai",
    ProviderKind.GROQ: "https://api.groq.com",
    **{kind: preset.base_url for kind, preset in PRESETS.items()},
}
"""As the vendor's own SDK has it: OpenAI's ends in /v1, Anthropic's does not. Kinds that are absent have none."""


def codec_for(  # noqa: C901 -- one branch a kind
    provider: Provider, key: ApiKey | None, *, now: Callable[[], datetime] = utc_now
) -> ProviderCodec:
    """The codec of a provider account; build one and keep it.

    Args:
        provider: a provider of a valid route table.
        key: its key, from `read_key`.
        now: the clock a Retry-After date is read against.
    """
    base_url = provider.base_url or DEFAULT_BASE_URLS.get(provider.kind, "")
    region = provider.region
    match provider.kind:
        case ProviderKind.OPENAI:
            return OpenAICodec(base_url, key, region=region, now=now)
        case ProviderKind.OPENAI_COMPATIBLE:
            return OpenAICompatibleCodec(base_url, key, region=region, now=now)
        case ProviderKind.ANTHROPIC:
            return AnthropicCodec(base_url, key, region=region, now=now)
        case ProviderKind.ANTHROPIC_COMPATIBLE:
            return AnthropicCompatibleCodec(base_url, key, region=region, now=now)
        case ProviderKind.GOOGLE:
            return GoogleCodec(
                base_url, key, region=region, now=now, project=provider.project, location=provider.location
            )
        case ProviderKind.OLLAMA:
            return OllamaCodec(base_url, key, region=region, now=now)
        case ProviderKind.BEDROCK:
            return BedrockCodec(base_url, key, region=region, now=now, auth=provider.authenticates)
        case ProviderKind.OPENROUTER:
            zero_retention = provider.retention_days == 0
            return OpenRouterCodec(base_url, key, region=region, now=now, zero_retention=zero_retention)
        case ProviderKind.AZURE:
            return AzureCodec(
                base_url, key, region=region, now=now, auth=provider.authenticates, api_version=provider.api_version
            )
        case ProviderKind.MISTRAL:
            return MistralCodec(base_url, key, region=region, now=now)
        case ProviderKind.GROQ:
            return GroqCodec(base_url, key, region=region, now=now)
        case (
            ProviderKind.DEEPSEEK
            | ProviderKind.XAI
            | ProviderKind.CEREBRAS
            | ProviderKind.MOONSHOT
            | ProviderKind.TOGETHER
            | ProviderKind.FIREWORKS
            | ProviderKind.VLLM
        ):
            return PresetCodec(PRESETS[provider.kind], base_url, key, region=region, now=now)
        case _:
            assert_never(provider.kind)
