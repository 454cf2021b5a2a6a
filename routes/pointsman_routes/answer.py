"""What a vendor gave back: the answer itself, and the evidence around it."""

import json
from dataclasses import dataclass
from typing import Literal

from .message import ToolCall

LimitName = Literal["rpm", "tpm", "itpm", "otpm", "rpd"]
"""A vendor's limit, by the name it has in the configuration of a tier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a model produced: text, calls of tools, or both."""

    content: str
    finish_reason: str
    """`stop`, `length` or `tool_calls`, in the spelling of the chat completions API."""
    tool_calls: tuple[ToolCall, ...] = ()

    def canonical(self) -> str:
        """The text that the digest of the answer is taken of: the content, and if tools were called, compact JSON."""
        if not self.tool_calls:
            return self.content
        calls = ",".join(call.model_dump_json() for call in self.tool_calls)
        return f'{{"content":{json.dumps(self.content, ensure_ascii=False)},"tool_calls":[{calls}]}}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the vendor counted them."""

    input_tokens: int
    """All input tokens, the cached ones included."""
    output_tokens: int
    """All output tokens, reasoning included."""
    cached_input_tokens: int = 0
    """Of the input tokens, those read from the vendor's cache."""
    cache_write_tokens: int = 0
    """Of the input tokens, those written to the vendor's cache."""
    reasoning_tokens: int | None = None
    """Of the output tokens, those the model thought in; None when the vendor does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What a vendor says is left of one limit. None is unknown, never zero."""

    name: LimitName
    limit: int | None
    """Requests or tokens per minute; for `rpd` requests per day."""
    remaining: int | None
    """Never more than the limit."""
    reset_s: float | None
    """Seconds from the moment of the answer until the limit is full again, as the vendor says. None when it
    names no moment, or one that has passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The facts of one call, whatever its outcome. None is unknown, never zero."""

    http_status: int | None = None
    provider_request_id: str | None = None
    response_model: str | None = None
    """The model the vendor says it used; never copied from the request."""
    response_region: str | None = None
    """Where the vendor says it was processed, in its own spelling."""
    upstream: str | None = None
    """Who answered behind a broker, as the broker says."""
    service_tier: str | None = None
    """The class of service the vendor says it was answered at; it may differ from what was asked for, and so may the
    price."""
    told_microusd: int | None = None
    """What the vendor itself says the call costs, rounded up."""
    finish_reason: str | None = None
    """In the vendor's own spelling."""
    usage: Usage | None = None
    allowances: tuple[Allowance, ...] = ()
    """What the vendor's headers say is left of its limits, at most one for each."""
