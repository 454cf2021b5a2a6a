"""What a tier costs: its own price, or the public price list of genai-prices.

The list comes with the installed package; nothing is fetched. Source: https://github.com/pydantic/genai-prices.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, TypeAlias

from pointsman_routes import Price, Provider, ProviderKind, Rate, Tier

from .surcharge import SERVICE_FACTORS, Surcharge, surcharge_for

if TYPE_CHECKING:
    from genai_prices.types import ConditionalPrice, ModelInfo, ModelPrice, PriceVariant, TieredPrices

    _Amounts: TypeAlias = Mapping[str, Decimal | TieredPrices | None]

_LISTED: Final[Mapping[ProviderKind, str]] = {
    ProviderKind.OPENAI: "openai",
    ProviderKind.ANTHROPIC: "anthropic",
    ProviderKind.GOOGLE: "google",
    ProviderKind.BEDROCK: "aws",
    ProviderKind.OPENROUTER: "openrouter",
    ProviderKind.AZURE: "azure",
    ProviderKind.MISTRAL: "mistral",
    ProviderKind.GROQ: "groq",
    ProviderKind.DEEPSEEK: "deepseek",
    ProviderKind.XAI: "x-ai",
    ProviderKind.CEREBRAS: "cerebras",
    ProviderKind.MOONSHOT: "moonshotai",
    ProviderKind.TOGETHER: "together",
    ProviderKind.FIREWORKS: "fireworks",
}
"""Kind -> the list's provider id. A compatible server may be anyone's and one's own has no list, so they have none."""
_KEYS: Final = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok")


def rate_for(provider: Provider, tier: Tier, *, at: datetime | None = None) -> Rate | None:
    """The rate of a tier, or None when no price is known; unknown is never zero.

    A listed price that depends on something is taken at its highest, so that nothing is under-estimated:

    - by prompt length: the dearest step that fits into the tier's `context_window`, so a tier that states
      its window gets the exact price where the steps begin above it;
    - by time of day: the dearest hour;
    - by date: the dearest of today's price and those already announced. A price that was replaced is history.

    What the provider's region adds, and the class of service the tier asks for, are in it: see `surcharge.py`. A class
    of service without a known price is None, never the price of another class.

    Weaknesses: the list knows no discount of one's own. A deployment at Azure is priced as the model it is named after.
    OpenRouter's price is that of the provider it lists first; what it says a call costs is charged instead. Writing to
    a cache is priced as for five minutes, the only way that is ever asked for, and as input where the list has no price
    for it. Who knows better writes `price` in the tier.

    Args:
        provider: the tier's provider.
        tier: the tier.
        at: the day prices are asked for; now when absent.
    """
    if tier.price is not None:
        return Rate(price=tier.price, source="config")
    listed = _LISTED.get(provider.kind)
    found = _find(listed, _plain(provider.kind, tier.model)) if listed is not None else None
    if found is None:
        return None
    surcharge = surcharge_for(provider, tier.model, found.id)
    if surcharge is None:
        return None
    standard, at_service = _prices(provider.kind, found, at or datetime.now(UTC), tier.context_window)
    price = standard if tier.service_tier is None else at_service.get(tier.service_tier)
    if price is None:
        return None
    asked = f" {tier.service_tier}" if price != standard else ""
    return Rate(
        price=_times(price, surcharge.factor),
        source=f"{_source()}{asked}{_added(surcharge)}",
        at_service={word: _times(known, surcharge.factor) for word, known in at_service.items()},
    )


def _plain(kind: ProviderKind, model: str) -> str:
    """The name as the list has it: without the path of a resource at Google, or of an ARN."""
    return model.rpartition("/")[2] if kind in (ProviderKind.GOOGLE, ProviderKind.BEDROCK) else model


def _find(listed: str, model: str) -> "ModelInfo | None":
    # Importing the list takes most of a second: who prices every tier in the configuration never pays for it.
    from genai_prices.data_snapshot import get_snapshot

    try:
        _, found = get_snapshot().find_provider_model(model, None, listed, None)
    except LookupError:
        return None
    return found


def _prices(
    kind: ProviderKind, model: "ModelInfo", at: datetime, context_window: int | None
) -> tuple[Price | None, dict[str, Price]]:
    """The price when no class of service is asked for, and the known ones by class."""
    usual = [_amounts(price) for price in _applicable(model.prices, at)]
    standard = _dearest(usual, context_window)
    if standard is None:
        return None, {}
    known = {word: _times(standard, factor) for word, factor in SERVICE_FACTORS.get(kind, {}).items()}
    # A list from before variants has none; at Azure the model may be found in OpenAI's list, whose classes are not its.
    variants = getattr(model, "price_variants", None) if kind is not ProviderKind.AZURE else None
    for word, own in _of_services(variants or (), at):
        price = _dearest([{**amounts, **added} for amounts in usual for added in own], context_window)
        if price is not None:
            known[word] = price
    return standard, known


def _of_services(variants: "Iterable[PriceVariant]", at: datetime) -> "Iterator[tuple[str, list[_Amounts]]]":
    """For each class of service that is on offer: what is priced otherwise, now and as announced."""
    by_word: dict[str, list[PriceVariant]] = {}
    for variant in variants:
        if variant.when.keys() == {"service_tier"}:
            by_word.setdefault(variant.when["service_tier"], []).append(variant)
    for word, some in by_word.items():
        # The list reads its variants first to last, each price by itself.
        now: dict[str, Decimal | TieredPrices | None] = {}
        for variant in reversed([one for one in some if not _is_announced(one, at)]):
            now.update(_given(variant))
        later = [_given(one) for one in some if _is_announced(one, at)]
        if len(later) < len(some):
            yield word, [now, *({**now, **amounts} for amounts in later)]


def _is_announced(variant: "PriceVariant", at: datetime) -> bool:
    from genai_prices.types import StartDateConstraint

    return isinstance(variant.constraint, StartDateConstraint) and not variant.constraint.active(at)


def _given(variant: "PriceVariant") -> "_Amounts":
    return {key: amount for key, amount in _amounts(variant.prices).items() if amount is not None}


def _amounts(price: "ModelPrice") -> "_Amounts":
    return {key: getattr(price, key) for key in _KEYS}


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


def _dearest(prices: "Sequence[_Amounts]", context_window: int | None) -> Price | None:
    steps = [[_highest(price[key], context_window) for key in _KEYS] for price in prices]
    known = [(full, out, read, write) for full, out, read, write in steps if full is not None and out is not None]
    if not known or len(known) < len(steps):
        return None
    has_write = any(write is not None for *_, write in known)
    return Price(
        input=max(full for full, *_ in known),
        output=max(out for _, out, *_ in known),
        cached_input=max(read if read is not None else full for full, _, read, _ in known),
        cache_write=max(write if write is not None else full for full, *_, write in known) if has_write else None,
    )


def _highest(price: "Decimal | TieredPrices | None", context_window: int | None) -> Decimal | None:
    if price is None or isinstance(price, Decimal):
        return price
    reachable = [step.price for step in price.tiers if context_window is None or step.start < context_window]
    return max(price.base, *reachable) if reachable else price.base


def _times(price: Price, factor: Decimal) -> Price:
    """Every price times a factor, exactly."""
    amounts = price.model_dump(exclude_none=True)
    return Price.model_validate({name: amount * factor for name, amount in amounts.items()})


def _added(surcharge: Surcharge) -> str:
    return f" x{surcharge.factor} ({surcharge.why})" if surcharge.factor != 1 else ""


@cache
def _source() -> str:
    return f"genai-prices {version('genai-prices')}"
