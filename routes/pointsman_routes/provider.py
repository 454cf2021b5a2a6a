"""A provider: an account at a vendor."""

from enum import StrEnum
from typing import Annotated

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

    @model_validator(mode="after")
    def _needs(self) -> "Provider":
        if self.kind is ProviderKind.OPENAI_COMPATIBLE and self.base_url is None:
            raise ValueError('an openai-compatible provider has no default address; write base_url = "https://..."')
        if self.kind is not ProviderKind.OPENAI_COMPATIBLE and self.api_key is None:
            raise ValueError('no key is named; write api_key = { env = "NAME" }')
        return self
