"""What a tier costs: its own price, or the public price list of genai-prices.

The list comes with the installed package; nothing is fetched. Source: https://github.com/pydantic/genai-prices.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from pointsman_routes import Price, Provider, ProviderKind, Rate, Tier

if TYPE_CHECKING:
    from genai_prices.types import ConditionalPrice, ModelInfo, ModelPrice, TieredPrices

_LISTED: Final[Mapping[ProviderKind, str]] = {
    ProviderKind.OPENAI: "openai",
    ProviderKind.ANTHROPIC: "anthropic",
}
"""Kind -> the list's provider id. A compatible server may be anyone's, so it has no list price."""


def rate_for(provider: Provider, tier: Tier, *, at: datetime | None = None) -> Rate | None:
    """The rate of a tier, or None when no price is known; unknown is never zero.

    A listed price that depends on something is taken at its highest, so that nothing is under-estimated:

    - by prompt length: the dearest step that fits into the tier's `context_window`, so a tier that states
      its window gets the exact price where the steps begin above it;
    - by time of day: the dearest hour;
    - by date: the dearest of today's price and those already announced. A price that was replaced is history.

    Weaknesses: the list knows neither discounts nor what vendors add for a region, nor the surcharge for
    writing a cache; who needs them writes `price` in the tier.

    Args:
        provider: the tier's provider.
        tier: the tier.
        at: the day prices are asked for; now when absent.
    """
    if tier.price is not None:
        return Rate(price=tier.price, source="config")
    listed = _LISTED.get(provider.kind)
    if listed is None:
        return None
    model = _find(listed, tier.model)
    if model is None:
        return None
    applicable = list(_applicable(model.prices, at or datetime.now(UTC)))
    price = _dearest(applicable, tier.context_window)
    return Rate(price=price, source=_source()) if price is not None else None


def _find(listed: str, model: str) -> "ModelInfo | None":
    # Importing the list takes most of a second: who prices every tier in the configuration never pays for it.
    from genai_prices.data_snapshot import get_snapshot

    try:
        _, found = get_snapshot().find_provider_model(model, None, listed, None)
    except LookupError:
        return None
    return found


def _applicable(prices: "ModelPrice | list[ConditionalPrice]", at: datetime) -> "Iterator[ModelPrice]":
    from genai_prices.types import ModelPrice, StartDateConstraint

    if isinstance(prices, ModelPrice):
        yield prices
        return
    # Later entries take precedence over earlier ones; so does the list itself read them.
    for entry in reversed(prices):
        yield entry.prices
        constraint = entry.constraint
        if constraint is None or (isinstance(constraint, StartDateConstraint) and constraint.active(at)):
            return


def _dearest(prices: "list[ModelPrice]", context_window: int | None) -> Price | None:
    inputs = [_highest(price.input_mtok, context_window) for price in prices]
    outputs = [_highest(price.output_mtok, context_window) for price in prices]
    if not prices or None in inputs or None in outputs:
        return None
    cached = [_highest(price.cache_read_mtok, context_window) for price in prices]
    known = [entry if entry is not None else full for entry, full in zip(cached, inputs, strict=True)]
    return Price(
        input=max(filter(None, inputs), default=Decimal(0)),
        output=max(filter(None, outputs), default=Decimal(0)),
        cached_input=max(filter(None, known), default=Decimal(0)),
    )


def _highest(price: "Decimal | TieredPrices | None", context_window: int | None) -> Decimal | None:
    if price is None or isinstance(price, Decimal):
        return price
    reachable = [step.price for step in price.tiers if context_window is None or step.start < context_window]
    return max(price.base, *reachable) if reachable else price.base


@cache
def _source() -> str:
    return f"genai-prices {version('genai-prices')}"
