"""Mistral's chat completions."""

from .openai import OpenAICompatibleCodec


class MistralCodec(OpenAICompatibleCodec):
    """Mistral's chat completions."""
