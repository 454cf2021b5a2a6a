"""The result of a job: the OpenAI Batch output line plus one key, `pointsman`."""

from typing import Any

from pydantic import Field

from .job import ClassName
from .state import JobState, Reason
from .wire import Wire


class Requested(Wire):
    """The tier and model the class asks for first."""

    tier: str
    model: str


class Served(Wire):
    """Who answered."""

    tier: str
    provider: str
    model: str | None
    """As the vendor named it; None when it named none."""
    region: str | None


class TokenCount(Wire):
    """Tokens of the attempt that answered."""

    input_tokens: int
    """All of them, the cached ones included."""
    output_tokens: int
    """All of them, reasoning included."""
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int | None = None
    """None when the vendor does not say."""


class Story(Wire):
    """How the answer came about."""

    state: JobState
    task_class: ClassName = Field(alias="class")
    requested: Requested
    served: Served | None = None
    fallback_reason: Reason | None = None
    downgraded: bool = False
    truncated: bool = False
    attempts: int = 0
    usage: TokenCount | None = None
    cost_usd: str | None = None
    """Of all attempts, in USD with six decimals; None is unknown."""


class Response(Wire):
    """The vendor's answer as a chat completion."""

    status_code: int = 200
    request_id: str | None
    body: dict[str, Any]


class ResultError(Wire):
    """Why a job did not succeed."""

    code: str
    message: str


class Result(Wire):
    """One line of the output file."""

    id: str
    custom_id: str
    response: Response | None = None
    error: ResultError | None = None
    pointsman: Story

    def to_line(self) -> str:
        """The result as one line of JSON."""
        return self.model_dump_json(by_alias=True)


def format_usd(microusd: int) -> str:
    """An amount in micro-USD as a decimal string of USD: 13 is `0.000013`."""
    sign = "-" if microusd < 0 else ""
    whole, rest = divmod(abs(microusd), 1_000_000)
    return f"{sign}{whole}.{rest:06d}"
