"""Groq's chat completions."""

from .openai import OpenAICompatibleCodec


class GroqCodec(OpenAICompatibleCodec):
    """Groq's chat completions."""
