"""What a vendor gave back: the answer itself, and the evidence around it."""

from dataclasses import dataclass
from typing import Literal

LimitName = Literal["rpm", "tpm", "itpm", "otpm", "rpd"]
"""A vendor's limit, by the name it has in the configuration of a tier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The text a model produced."""

    content: str
    finish_reason: str
    """`stop` or `length`, in the spelling of the chat completions API."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the vendor counted them."""

    input_tokens: int
    """All input tokens, the cached ones included."""
    output_tokens: int
    """All output tokens, reasoning included."""
    cached_input_tokens: int = 0
    """Of the input tokens, those read from the vendor's cache."""


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
    finish_reason: str | None = None
    """In the vendor's own spelling."""
    usage: Usage | None = None
    allowances: tuple[Allowance, ...] = ()
    """What the vendor's headers say is left of its limits, at most one for each."""
