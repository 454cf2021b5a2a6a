"""A provider: an account at a vendor."""

from enum import StrEnum
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AnyHttpUrl, ConfigDict, Field, StringConstraints, field_validator, model_validator

from .provider_kind import TRAITS, Auth, KindTraits, ProviderKind
from .tier import Limits, Tier
from .wire import Wire

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]


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
    auth: Auth | None = None
    """How calls authenticate; the kind's usual way when absent."""
    project: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9.:-]{0,62}$")
    """Of kind google: the Google Cloud project; with it calls go to Vertex AI."""
    location: str | None = Field(default=None, pattern=r"^[a-z0-9-]{1,40}$")
    """Of kind google with a project: `europe-west4`, `eu`, `us`, or `global`, which promises no region."""
    api_version: str | None = Field(default=None, pattern=r"^[A-Za-z0-9.-]{1,40}$")
    """Of kind azure: with it, calls go to `/openai/deployments/MODEL` of that version."""
    region: str | None = Field(default=None, min_length=1)
    """Where the vendor processes the data; `local` for your own machine. An Ollama or vLLM server with a loopback
    address is `local`, and keeps nothing, unless said otherwise."""
    retention_days: int | None = Field(default=None, ge=0)
    """How long the vendor keeps it; 0 is not at all, absent is unknown."""
    limits: Limits = Limits()
    """Shared by all tiers of the account."""
    learn_limits: LearnLimits = LearnLimits.BOTH
    """Whether the vendor's headers may raise limits above what is configured, or only lower them."""
    counted_tokens: CountedTokens | None = None
    """What the vendor counts of an answer; the kind's habit when absent."""
    timezone: str | None = None
    """Where the vendor's midnight is, which ends its day: an IANA name; the kind's own when absent."""
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
    def _is_zone(cls, value: str | None) -> str | None:
        try:
            ZoneInfo("UTC" if value is None else value)
        except (KeyError, ValueError, OSError):  # an unknown name is a KeyError, one with a path in it a ValueError
            raise ValueError('not a time zone; write an IANA name, such as "UTC" or "America/Los_Angeles"') from None
        return value

    @model_validator(mode="before")
    @classmethod
    def _local_unless_said(cls, data: object) -> object:
        if not isinstance(data, dict) or data.get("kind") not in _RUN_HERE:
            return data
        address = data.get("base_url", "http://localhost")
        if not isinstance(address, str) or not is_loopback(urlsplit(address).hostname):
            return data
        return {"region": "local", **({"retention_days": 0} if data.get("region", "local") == "local" else {}), **data}

    @property
    def traits(self) -> KindTraits:
        """What its kind brings along."""
        return TRAITS[self.kind]

    @property
    def counts(self) -> CountedTokens:
        """What the vendor counts of an answer. A compatible server is taken to count what is used."""
        habit = CountedTokens.MAX_TOKENS if self.traits.reserves_max_tokens else CountedTokens.USED
        return self.counted_tokens or habit

    @property
    def midnight_zone(self) -> str:
        """Where the vendor's day ends: an IANA name."""
        return self.timezone or self.traits.timezone

    @property
    def authenticates(self) -> Auth:
        """How its calls say who makes them."""
        if self.auth is None and self.kind is ProviderKind.GOOGLE and self.project is not None:
            return Auth.BEARER
        return self.auth or self.traits.auths[0]

    @model_validator(mode="after")
    def _needs(self) -> "Provider":
        kind = self.kind.value
        if self.traits.needs_base_url and self.base_url is None:
            raise ValueError(f'a provider of kind {kind} has no default address; write base_url = "https://..."')
        if self.authenticates not in self.traits.auths:
            known = ", ".join(f'"{auth.value}"' for auth in self.traits.auths)
            raise ValueError(f'kind {kind} has no auth = "{self.authenticates.value}"; it has {known}')
        if self.authenticates is Auth.SIGV4:
            if self.api_key is not None:
                raise ValueError('auth = "sigv4" signs with AWS\'s own credentials; remove api_key')
        elif self.traits.needs_key and self.api_key is None:
            raise ValueError('no key is named; write api_key = { env = "NAME" }')
        return self

    @model_validator(mode="after")
    def _belongs_to_kind(self) -> "Provider":
        google = self.kind is ProviderKind.GOOGLE
        if not google and (self.project is not None or self.location is not None):
            raise ValueError("project and location belong to kind google; remove them")
        if google and (self.project is None) != (self.location is None):
            raise ValueError("Vertex AI needs both project and location; write both, or neither for a Gemini API key")
        if google and (self.project is None) == (self.authenticates is Auth.BEARER):
            raise ValueError("Vertex AI takes a bearer token, the Gemini API a key; remove auth, or write project")
        if self.api_version is not None and self.kind is not ProviderKind.AZURE:
            raise ValueError("api_version belongs to kind azure; remove it")
        if self.kind is ProviderKind.OLLAMA and self.region == "local":
            # docs.ollama.com/cloud: a model with such a tag is run by ollama.com, whatever the address.
            away = next((tier for tier in self.tiers.values() if tier.model.endswith(("-cloud", ":cloud"))), None)
            if away is not None:
                raise ValueError(f"the model {away.model!r} runs at ollama.com, not on this machine; set region")
        return self


_RUN_HERE = frozenset(kind.value for kind, traits in TRAITS.items() if traits.runs_here)


def is_loopback(host: str | None) -> bool:
    """Whether a URL's host is this machine, by its name alone: nothing is looked up."""
    if host is None:
        return False
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
