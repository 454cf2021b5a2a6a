"""Cost in integer micro-USD."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from .answer import Usage
from .tier import Price


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A known price and where it is from.

    USD per million tokens is the same number as micro-USD per token.
    """

    price: Price
    source: str
    """`config`, or the name and version of the price list."""

    def cost(self, usage: Usage) -> int:
        """Micro-USD for what was used, rounded up. Never negative, whatever the vendor claims to have cached."""
        price = self.price
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
