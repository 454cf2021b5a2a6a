"""A tier: one model at one provider with its limits, price and measured quality."""

import re
from datetime import timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import Field, field_validator

from .duration import PositiveDuration
from .wire import Wire

_SNAPSHOT = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8}|\d{6}|\d{4}|\d{3})$")

Limit = Annotated[int, Field(ge=0, le=1_000_000_000_000)]
"""A limit; its ceiling keeps the arithmetic of the Redis scripts exact."""


class Limits(Wire):
    """What may be used per minute, per day and at once; 0 or absent means not limited by us."""

    rpm: Limit = 0
    """Requests a minute."""
    tpm: Limit = 0
    """Tokens a minute, in and out together."""
    itpm: Limit = 0
    """Input tokens a minute."""
    otpm: Limit = 0
    """Output tokens a minute."""
    rpd: Limit = 0
    """Requests a day, which ends at the vendor's midnight."""
    concurrency: Limit = 0
    """Calls in flight at once."""


class Breaker(Wire):
    """When calls for a tier stop by themselves: too many of those of late have failed."""

    window: PositiveDuration = timedelta(minutes=1)
    """Calls that ended in it are counted."""
    least_calls: int = Field(default=10, ge=1, le=100_000)
    """Fewer calls in the window say nothing."""
    failure_rate: float = Field(default=0.5, gt=0, le=1)
    """Share of failed calls from which on it opens."""
    open_for: PositiveDuration = timedelta(seconds=10)
    """Then one call tries; each failed one doubles the time, up to five minutes."""


class Price(Wire):
    """USD per million tokens."""

    input: Decimal = Field(ge=0, le=1_000_000)
    """Input tokens."""
    output: Decimal = Field(ge=0, le=1_000_000)
    """Output tokens, reasoning included."""
    cached_input: Decimal | None = Field(default=None, ge=0, le=1_000_000)
    """Input tokens the vendor read from its cache; the input price when absent."""
    cache_write: Decimal | None = Field(default=None, ge=0, le=1_000_000)
    """Input tokens the vendor wrote to its cache; the input price when absent."""

    @field_validator("input", "output", "cached_input", "cache_write", mode="before")
    @classmethod
    def _exact(cls, value: object) -> object:
        # 0.1 in TOML is the decimal 0.1, not its nearest binary fraction.
        return Decimal(repr(value)) if isinstance(value, float) else value

    @field_validator("input", "output", "cached_input", "cache_write")
    @classmethod
    def _canonical(cls, value: Decimal | None) -> Decimal | None:
        # 2, 2.0 and 2.00 are one price and must not change the policy digest.
        if value is None:
            return None
        return value.quantize(Decimal(1)) if value == value.to_integral_value() else value.normalize()


class Tier(Wire):
    """One model at one provider."""

    name: str = ""
    """`provider/tier`; filled in from where the table stands in the file."""
    model: str = Field(min_length=1)
    """The model name the vendor is asked for."""
    served_as: tuple[str, ...] = ()
    """Other names the vendor may answer with, as shell patterns; a dated snapshot of `model` always matches."""
    quality: float | None = Field(default=None, ge=0, le=1)
    """Measured quality; a class with a floor needs it."""
    context_window: int | None = Field(default=None, ge=1)
    """Tokens, prompt and answer together."""
    limits: Limits = Limits()
    """Of this tier alone; the account may have its own."""
    burst: PositiveDuration = timedelta(seconds=1)
    """Rate that may be spent at once until the vendor's headers say more."""
    timeout: PositiveDuration = timedelta(seconds=60)
    """For the whole call."""
    breaker: Breaker = Breaker()
    """When calls for it stop by themselves."""
    service_tier: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9_-]{0,31}$")
    """The vendor's class of service to ask for, such as `flex`; its own choice when absent."""
    price: Price | None = None
    """Own price; otherwise the public price list."""

    @property
    def provider(self) -> str:
        """The provider's name."""
        return self.name.partition("/")[0]

    def serves(self, answered_as: str | None) -> bool:
        """Whether an answer naming this model is the one that was asked for.

        A vendor that names no model is taken at its word: there is nothing to compare.
        """
        if answered_as is None or answered_as == self.model:
            return True
        if answered_as.startswith(self.model) and _SNAPSHOT.fullmatch(answered_as[len(self.model) :]):
            return True
        return any(fnmatchcase(answered_as, pattern) for pattern in self.served_as)
