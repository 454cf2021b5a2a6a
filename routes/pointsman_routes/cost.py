"""Cost in integer micro-USD."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal

from .answer import Usage
from .tier import Price


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A known price and where it is from.

    USD per million tokens is the same number as micro-USD per token.
    """

    price: Price
    """At the class of service the tier asks for."""
    source: str
    """`config`, or the name and version of the price list with what was added to it."""
    at_service: Mapping[str, Price] = field(default_factory=dict)
    """What the vendor may call the class of service it answered at -> the price at that class, where it is known."""

    def cost(self, usage: Usage, served_at: str | None = None) -> int:
        """Micro-USD for what was used, rounded up. Never negative, whatever the vendor claims to have cached.

        Args:
            usage: as the vendor counted it.
            served_at: the class of service the vendor says it answered at. The price is that of the class that was
                asked for when the vendor says nothing, or a word whose price is not known.
        """
        price = self.price if served_at is None else self.at_service.get(served_at, self.price)
        cached_price = price.cached_input if price.cached_input is not None else price.input
        write_price = price.cache_write if price.cache_write is not None else price.input
        fresh = max(0, usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens)
        total = (
            fresh * price.input
            + usage.cached_input_tokens * cached_price
            + usage.cache_write_tokens * write_price
            + usage.output_tokens * price.output
        )
        return int(Decimal(total).to_integral_value(rounding=ROUND_CEILING))
