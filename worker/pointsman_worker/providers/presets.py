"""Vendors that speak chat completions and differ in an address and a few habits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pointsman_routes import ProviderKind
from pointsman_worker.api_keys import ApiKey

from .json_codec import utc_now
from .openai import OpenAICompatibleCodec


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """An address and a few habits."""

    base_url: str


PRESETS: Final[Mapping[ProviderKind, Preset]] = {
    ProviderKind.DEEPSEEK: Preset(base_url="https://api.deepseek.com"),
    ProviderKind.XAI: Preset(base_url="https://api.x.ai/v1"),
    ProviderKind.CEREBRAS: Preset(base_url="https://api.cerebras.ai/v1"),
    ProviderKind.MOONSHOT: Preset(base_url="https://api.moonshot.ai/v1"),
    ProviderKind.TOGETHER: Preset(base_url="https://api.together.xyz/v1"),
    ProviderKind.FIREWORKS: Preset(base_url="https://api.fireworks.ai/inference/v1"),
    ProviderKind.VLLM: Preset(base_url="http://localhost:8000/v1"),
}


class PresetCodec(OpenAICompatibleCodec):
    """Chat completions with a vendor's habits."""

    def __init__(
        self,
        preset: Preset,
        base_url: str,
        key: ApiKey | None,
        *,
        region: str | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__(base_url, key, region=region, now=now)
        self._preset = preset
