"""A provider: an account at a vendor."""

from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AnyHttpUrl, ConfigDict, Field, StringConstraints, field_validator, model_validator

from .tier import Limits, Tier
from .wire import Wire

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]


class ProviderKind(StrEnum):
    """The wire format a provider speaks."""

    OPENAI = "openai"
    """OpenAI's chat completions."""
    OPENAI_COMPATIBLE = "openai-compatible"
    """Anything else that speaks chat completions; needs a `base_url`."""
    ANTHROPIC = "anthropic"
    """Anthropic's messages."""


class LearnLimits(StrEnum):
    """Which way the vendor's own figures may correct the configured limits."""

    BOTH = "both"
    """Up and down: what the vendor says is what holds."""
    DOWN = "down"
    """Down only: what is configured is never exceeded."""


class CountedTokens(StrEnum):
    """What the vendor counts of an answer against a limit of tokens."""

    USED = "used"
    """The tokens it has, in the end."""
    MAX_TOKENS = "max_tokens"
    """The tokens it might have had, from the start."""


class KeySource(Wire):
    """Where a key is read from. Never the key itself."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Name of an environment variable."""
    file: str | None = None
    """Path of a file that holds nothing but the key."""

    @model_validator(mode="before")
    @classmethod
    def _is_reference(cls, data: object) -> object:
        if not isinstance(data, dict | KeySource):
            # A ValueError, not the TypeError that TRY004 wants: pydantic reports only the first.
            raise ValueError('a key never stands in this file; write { env = "NAME" } or { file = "path" }')  # noqa: TRY004
        return data

    @model_validator(mode="after")
    def _one_place(self) -> "KeySource":
        if (self.env is None) == (self.file is None):
            raise ValueError('a key has one source; write { env = "NAME" } or { file = "path" }')
        return self


class Provider(Wire):
    """An account at a vendor: who owns the key, where the data is processed, how long it is kept."""

    name: str = ""
    kind: ProviderKind
    """The wire format it speaks."""
    owner: str = Field(min_length=1)
    """Who answers for this key."""
    api_key: KeySource | None = None
    """Absent for servers that ask for none."""
    base_url: str | None = None
    """Means what it means in the vendor's own SDK; the kind's default when absent."""
    region: str | None = Field(default=None, min_length=1)
    """Where the vendor processes the data; `local` for your own machine."""
    retention_days: int | None = Field(default=None, ge=0)
    """How long the vendor keeps it; 0 is not at all, absent is unknown."""
    limits: Limits = Limits()
    """Shared by all tiers of the account."""
    learn_limits: LearnLimits = LearnLimits.BOTH
    """Whether the vendor's headers may raise limits above what is configured, or only lower them."""
    counted_tokens: CountedTokens | None = None
    """What the vendor counts of an answer; the kind's habit when absent."""
    timezone: str = "UTC"
    """Where the vendor's midnight is, which ends its day: an IANA name."""
    tiers: dict[Name, Tier] = Field(min_length=1)
    """One table per model: `[providers.NAME.tiers.TIER]`."""

    @model_validator(mode="before")
    @classmethod
    def _name_tiers(cls, data: object) -> object:
        if not isinstance(data, dict) or not isinstance(data.get("tiers"), dict):
            return data
        tiers = {
            name: {**tier, "name": f"{data.get('name', '')}/{name}"} if isinstance(tier, dict) else tier
            for name, tier in data["tiers"].items()
        }
        return {**data, "tiers": tiers}

    @field_validator("base_url")
    @classmethod
    def _is_url(cls, value: str | None) -> str | None:
        if value is not None:
            url = AnyHttpUrl(value)
            if url.username or url.password or url.query or url.fragment:
                raise ValueError("a base_url carries no user, password, query or fragment; name the key in `api_key`")
        return value.rstrip("/") if value is not None else None

    @field_validator("timezone")
    @classmethod
    def _is_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):  # an unknown name is a KeyError, one with a path in it a ValueError
            raise ValueError('not a time zone; write an IANA name, such as "UTC" or "America/Los_Angeles"') from None
        return value

    @property
    def counts(self) -> CountedTokens:
        """What the vendor counts of an answer.

        OpenAI's rate limits guide: max_tokens, if that is more than its own estimate. Anthropic's reference: the
        tokens produced. A compatible server is taken to count what is used.
        """
        habit = CountedTokens.MAX_TOKENS if self.kind is ProviderKind.OPENAI else CountedTokens.USED
        return self.counted_tokens or habit

    @model_validator(mode="after")
    def _needs(self) -> "Provider":
        if self.kind is ProviderKind.OPENAI_COMPATIBLE and self.base_url is None:
            raise ValueError('an openai-compatible provider has no default address; write base_url = "https://..."')
        if self.kind is not ProviderKind.OPENAI_COMPATIBLE and self.api_key is None:
            raise ValueError('no key is named; write api_key = { env = "NAME" }')
        return self
