"""Vendors that speak chat completions and differ in an address and a few habits.

Sources, the vendors' own unless said otherwise:
DeepSeek: api-docs.deepseek.com (chat completion, thinking mode, error codes).
xAI: docs.x.ai (chat completions, debugging errors), xai-sdk, and users' reports for the words of its errors.
Cerebras: inference-docs.cerebras.ai (chat completions, errors), cerebras-cloud-sdk.
Moonshot: platform.kimi.ai (chat, errors, migrating from OpenAI).
Together: docs.together.ai (error codes), together.
Fireworks: docs.fireworks.ai (inference error codes), fireworks-ai.
vLLM: its source, entrypoints/openai.
"""

import re
from collections.abc import Mapping
from typing import Final

from pointsman_routes import OutcomeKind, ProviderKind, ReasoningEffort

from .chat_signals import day_ends_after
from .preset import Preset, PresetCodec
from .signal_table import Signal

__all__ = ["PRESETS", "PresetCodec"]

_BAD_REQUEST: Final = frozenset({400, 422})
_TOO_MANY: Final = frozenset({429})
_FORBIDDEN: Final = frozenset({403})
_THINKING_OFF: Final = {"thinking": {"type": "disabled"}}


def _efforts(
    *known: ReasoningEffort, none: Mapping[str, object] | None = None
) -> Mapping[ReasoningEffort, Mapping[str, object]]:
    """The efforts that are sent as they stand, and what is sent for `none` if that is something else."""
    off: dict[ReasoningEffort, Mapping[str, object]] = {"none": none} if none is not None else {}
    return off | {effort: {"reasoning_effort": effort} for effort in known}


_REASONING_MISSING: Final = Signal(
    says="400, 422 on `reasoning_content`: what the model thought beside a tool call is wanted back",
    status=_BAD_REQUEST,
    words=re.compile("reasoning_content"),
    outcome=OutcomeKind.UNSUPPORTED,
)

_DEEPSEEK: Final = Preset(
    vendor="DeepSeek",
    base_url="https://api.deepseek.com",
    takes_seed=False,
    takes_schema=False,
    # It takes minimal for low, and medium and xhigh for high.
    efforts=_efforts("low", "high", none=_THINKING_OFF),
    thinks=True,
    cached_field="prompt_cache_hit_tokens",
    signals=(
        Signal(
            says='400, 422 "Content Exists Risk"',
            status=_BAD_REQUEST,
            words=re.compile("content exists risk"),
            outcome=OutcomeKind.REFUSED,
        ),
        _REASONING_MISSING,
    ),
)

_XAI: Final = Preset(
    vendor="xAI",
    base_url="https://api.x.ai/v1",
    limit_field="max_completion_tokens",
    most_stops=4,
    efforts=_efforts("none", "low", "medium", "high", "xhigh"),
    ticks_field="cost_in_usd_ticks",
    signals_any_status=(
        Signal(
            says="403, 429 whose message says that the team has no credits, or has reached its spending limit",
            status=frozenset({403, 429}),
            words=re.compile(r"any credits|available credits|out of credits|spending limit"),
            outcome=OutcomeKind.EXHAUSTED,
        ),
        Signal(
            says='403 "Content violates usage guidelines"',
            status=_FORBIDDEN,
            words=re.compile("violates usage guidelines"),
            outcome=OutcomeKind.REFUSED,
        ),
    ),
)

_CEREBRAS: Final = Preset(
    vendor="Cerebras",
    base_url="https://api.cerebras.ai/v1",
    limit_field="max_completion_tokens",
    most_stops=4,
    efforts=_efforts("none", "low", "medium", "high"),
    signals=(
        Signal(
            says="429 `queue_exceeded`: too much traffic of everybody's",
            status=_TOO_MANY,
            names=frozenset({"queue_exceeded"}),
            outcome=OutcomeKind.OVERLOADED,
        ),
    ),
)

_MOONSHOT: Final = Preset(
    vendor="Moonshot",
    base_url="https://api.moonshot.ai/v1",
    limit_field="max_completion_tokens",
    hottest=1.0,
    most_stops=5,
    longest_stop=32,
    takes_seed=False,
    fetches_images=False,
    # It takes medium for high, and xhigh for its own max.
    efforts=_efforts("low", "high", none=_THINKING_OFF),
    cached_field="cached_tokens",
    signals=(
        Signal(
            says="`exceeded_current_quota_error`: no balance",
            names=frozenset({"exceeded_current_quota_error"}),
            outcome=OutcomeKind.EXHAUSTED,
        ),
        Signal(
            says="`engine_overloaded_error`",
            names=frozenset({"engine_overloaded_error"}),
            outcome=OutcomeKind.OVERLOADED,
        ),
        Signal(
            says="429 of the limit of tokens per day (TPD): until the vendor's time, or UTC midnight if it names none",
            status=_TOO_MANY,
            words=re.compile(r"\btpd\b"),
            outcome=OutcomeKind.EXHAUSTED,
            reset_s=day_ends_after,
        ),
        Signal(
            says="400, 422 whose message says that this model allows one value, takes no such schema, or is too small",
            status=_BAD_REQUEST,
            words=re.compile(
                r"is allowed for this model|incompatible with thinking|moonshot flavored json schema"
                r"|token length too long|exceeded model token limit"
            ),
            outcome=OutcomeKind.UNSUPPORTED,
        ),
        _REASONING_MISSING,
    ),
    signals_any_status=(
        Signal(
            says='403 "insufficient balance"',
            status=_FORBIDDEN,
            words=re.compile("insufficient balance"),
            outcome=OutcomeKind.EXHAUSTED,
        ),
    ),
)

_TOGETHER: Final = Preset(
    vendor="Together",
    base_url="https://api.together.xyz/v1",
    hottest=1.0,
    efforts=_efforts("low", "medium", "high", none={"reasoning": {"enabled": False}}),
    # Otherwise it may lower the limit without a word.
    always={"context_length_exceeded_behavior": "error"},
    signals=(
        Signal(
            says="`model_not_available`: not served without an endpoint of your own",
            names=frozenset({"model_not_available"}),
            outcome=OutcomeKind.UNSUPPORTED,
        ),
        Signal(
            says="400, 422 whose message speaks of `max_new_tokens`: prompt and limit exceed the context",
            status=_BAD_REQUEST,
            words=re.compile("max_new_tokens"),
            outcome=OutcomeKind.UNSUPPORTED,
        ),
    ),
    signals_any_status=(
        # Its error codes list this, and nothing about keys, under 403.
        Signal(
            says="403 whose message speaks of tokens or context length: prompt and limit exceed the context",
            status=_FORBIDDEN,
            words=re.compile(r"token count|context length|max_(?:new_)?tokens"),
            outcome=OutcomeKind.UNSUPPORTED,
        ),
    ),
)

_FIREWORKS: Final = Preset(
    vendor="Fireworks",
    base_url="https://api.fireworks.ai/inference/v1",
    most_stops=4,
    efforts=_efforts("none", "low", "medium", "high"),
    # Its default lowers the limit without a word.
    always={"context_length_exceeded_behavior": "error"},
    signals=(
        Signal(
            says="412: the account is suspended, or the model's adapter does not load",
            status=frozenset({412}),
            outcome=OutcomeKind.EXHAUSTED,
        ),
    ),
)

_VLLM: Final = Preset(
    vendor="vLLM",
    base_url="http://localhost:8000/v1",
    signals=(
        Signal(
            says="400, 422 whose message says that the server was started without a parser of tool calls",
            status=_BAD_REQUEST,
            words=re.compile(r"tool choice requires|--(?:enable-auto-tool-choice|tool-call-parser)"),
            outcome=OutcomeKind.UNSUPPORTED,
        ),
    ),
)

PRESETS: Final[Mapping[ProviderKind, Preset]] = {
    ProviderKind.DEEPSEEK: _DEEPSEEK,
    ProviderKind.XAI: _XAI,
    ProviderKind.CEREBRAS: _CEREBRAS,
    ProviderKind.MOONSHOT: _MOONSHOT,
    ProviderKind.TOGETHER: _TOGETHER,
    ProviderKind.FIREWORKS: _FIREWORKS,
    ProviderKind.VLLM: _VLLM,
}
