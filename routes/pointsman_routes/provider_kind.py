"""The kinds of providers, and what of each must be known outside its wire format."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class ProviderKind(StrEnum):
    """The wire format a provider speaks, with its vendor's habits."""

    OPENAI = "openai"
    """OpenAI's chat completions."""
    ANTHROPIC = "anthropic"
    """Anthropic's messages."""
    GOOGLE = "google"
    """Gemini by API key; with a `project` Vertex AI, by bearer token."""
    OLLAMA = "ollama"
    """Ollama's own chat API."""
    BEDROCK = "bedrock"
    """Amazon Bedrock's Converse, by bearer API key or signature."""
    OPENROUTER = "openrouter"
    """OpenRouter, a broker of others' models."""
    AZURE = "azure"
    """Azure OpenAI's chat completions."""
    MISTRAL = "mistral"
    """Mistral's chat completions."""
    GROQ = "groq"
    """Groq's chat completions."""
    OPENAI_COMPATIBLE = "openai-compatible"
    """Anything else that speaks chat completions; needs a `base_url`."""
    ANTHROPIC_COMPATIBLE = "anthropic-compatible"
    """Anything else that speaks Anthropic's messages; needs a `base_url`."""
    DEEPSEEK = "deepseek"
    """DeepSeek's chat completions."""
    XAI = "xai"
    """xAI's chat completions."""
    CEREBRAS = "cerebras"
    """Cerebras's chat completions."""
    MOONSHOT = "moonshot"
    """Moonshot AI's chat completions."""
    TOGETHER = "together"
    """Together AI's chat completions."""
    FIREWORKS = "fireworks"
    """Fireworks AI's chat completions."""
    VLLM = "vllm"
    """A vLLM server of your own."""


class Auth(StrEnum):
    """How a call says who makes it."""

    KEY = "key"
    """The vendor's own API key."""
    BEARER = "bearer"
    """A token of an identity service, such as Entra's or Google's."""
    SIGV4 = "sigv4"
    """AWS's signature, with the credentials its own tools find; needs the extra `bedrock`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KindTraits:
    """What of a kind must be known outside its wire format."""

    needs_base_url: bool = False
    needs_key: bool = True
    reserves_max_tokens: bool = False
    """Whether an answer's limit counts against a limit of tokens from the start."""
    timezone: str = "UTC"
    """Where the vendor's day ends."""
    runs_here: bool = False
    """Whether a server of this kind runs its models itself, so that one on this machine is local."""
    auths: tuple[Auth, ...] = (Auth.KEY,)
    """Ways to authenticate, the usual one first."""


TRAITS: Final[Mapping[ProviderKind, KindTraits]] = {
    # OpenAI's rate limits guide: max_tokens, if that is more than its own estimate.
    ProviderKind.OPENAI: KindTraits(reserves_max_tokens=True),
    ProviderKind.ANTHROPIC: KindTraits(),
    # Gemini API, rate limits: requests per day reset at midnight Pacific time.
    ProviderKind.GOOGLE: KindTraits(timezone="America/Los_Angeles", auths=(Auth.KEY, Auth.BEARER)),
    ProviderKind.OLLAMA: KindTraits(needs_key=False, runs_here=True),
    # Amazon Bedrock, quotas: input and maxTokens are taken from the tokens per minute when the call begins.
    ProviderKind.BEDROCK: KindTraits(needs_base_url=True, reserves_max_tokens=True, auths=(Auth.KEY, Auth.SIGV4)),
    ProviderKind.OPENROUTER: KindTraits(),
    # Azure OpenAI, quota: the estimate includes max_tokens.
    ProviderKind.AZURE: KindTraits(needs_base_url=True, reserves_max_tokens=True, auths=(Auth.KEY, Auth.BEARER)),
    ProviderKind.MISTRAL: KindTraits(),
    # A 413 of Groq's counts the answer's limit: "Limit 8000, Requested 32979".
    ProviderKind.GROQ: KindTraits(reserves_max_tokens=True),
    ProviderKind.OPENAI_COMPATIBLE: KindTraits(needs_base_url=True, needs_key=False),
    ProviderKind.ANTHROPIC_COMPATIBLE: KindTraits(needs_base_url=True, needs_key=False),
    ProviderKind.DEEPSEEK: KindTraits(),
    ProviderKind.XAI: KindTraits(),
    ProviderKind.CEREBRAS: KindTraits(),
    ProviderKind.MOONSHOT: KindTraits(),
    ProviderKind.TOGETHER: KindTraits(),
    ProviderKind.FIREWORKS: KindTraits(),
    ProviderKind.VLLM: KindTraits(needs_key=False, runs_here=True),
}
