"""Ollama's own chat API."""

from .openai import OpenAICompatibleCodec


class OllamaCodec(OpenAICompatibleCodec):
    """Ollama's own chat API."""
