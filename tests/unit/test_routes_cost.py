"""Cost: exact decimal arithmetic in micro-USD, rounded up."""

from decimal import Decimal
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman_routes import Price, Rate, Usage, format_usd

_tokens = st.integers(0, 10_000_000)
_price = st.decimals(min_value=0, max_value=10_000, places=6)


def _rate(price_in: str | float, price_out: str | float, cached: str | float | None = None) -> Rate:
    price = Price.model_validate({"input": price_in, "output": price_out, "cached_input": cached})
    return Rate(price=price, source="config")


@pytest.mark.parametrize(
    ("rate", "usage", "microusd"),
    [
        (_rate(0.25, 2.00, 0.025), Usage(input_tokens=12, output_tokens=5), 13),
        (_rate(0.25, 2.00, 0.025), Usage(input_tokens=1000, output_tokens=0, cached_input_tokens=1000), 25),
        (_rate(0.25, 2.00), Usage(input_tokens=1000, output_tokens=0, cached_input_tokens=1000), 250),
        (_rate(0.25, 2.00, 0), Usage(input_tokens=1000, output_tokens=0, cached_input_tokens=400), 150),
        (_rate(0.1, 0.2), Usage(input_tokens=1, output_tokens=1), 1),
        (_rate(0.1, 0.2), Usage(input_tokens=10, output_tokens=10), 3),
        (_rate(0, 0), Usage(input_tokens=10**7, output_tokens=10**7), 0),
        (_rate(3, 15), Usage(input_tokens=0, output_tokens=0), 0),
    ],
)
def test_cost(rate: Rate, usage: Usage, microusd: int) -> None:
    """USD per million tokens is micro-USD per token; a part of one counts as one; 0.1 is a tenth."""
    assert rate.cost(usage) == microusd


@given(_tokens, _tokens, _tokens, _price, _price, _price)
def test_cost_is_exact(fresh: int, cached: int, out: int, price_in: Decimal, price_out: Decimal, hit: Decimal) -> None:
    """The cost is the exact sum rounded up once, at any size."""
    usage = Usage(input_tokens=fresh + cached, output_tokens=out, cached_input_tokens=cached)
    rate = Rate(price=Price(input=price_in, output=price_out, cached_input=hit), source="config")
    exact = fresh * Fraction(price_in) + cached * Fraction(hit) + out * Fraction(price_out)
    assert rate.cost(usage) == ceil(exact)


def test_cost_is_never_negative() -> None:
    """A vendor that counts more cached tokens than tokens earns nobody money."""
    usage = Usage(input_tokens=10, output_tokens=0, cached_input_tokens=1000)
    assert _rate(5, 5, 0).cost(usage) == 0


_prices = st.builds(Price, input=_price, output=_price, cached_input=st.none() | _price, cache_write=st.none() | _price)
_counts = st.fixed_dictionaries(
    dict.fromkeys(("input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens"), _tokens)
)


@given(_prices, _counts)
def test_any_claim_costs_an_exact_whole_number_of_microusd(price: Price, counts: dict[str, int]) -> None:
    """Also where a vendor counts more of its cache than there is input: never negative, rounded up once."""
    read, written = counts["cached_input_tokens"], counts["cache_write_tokens"]
    exact = (
        max(0, counts["input_tokens"] - read - written) * Fraction(price.input)
        + read * Fraction(price.input if price.cached_input is None else price.cached_input)
        + written * Fraction(price.input if price.cache_write is None else price.cache_write)
        + counts["output_tokens"] * Fraction(price.output)
    )
    cost = Rate(price=price, source="config").cost(Usage(**counts))
    assert cost == ceil(exact)
    assert cost >= 0


@given(_prices, _tokens, _tokens, _tokens, _tokens, _tokens, st.sampled_from(["fresh", "read", "written", "said"]))
def test_more_tokens_of_any_sort_never_cost_less(
    price: Price, fresh: int, read: int, written: int, said: int, more: int, sort: str
) -> None:
    """Cost is monotone in every count."""
    tokens = {"fresh": fresh, "read": read, "written": written, "said": said}

    def cost() -> int:
        usage = Usage(
            input_tokens=tokens["fresh"] + tokens["read"] + tokens["written"],
            output_tokens=tokens["said"],
            cached_input_tokens=tokens["read"],
            cache_write_tokens=tokens["written"],
        )
        return Rate(price=price, source="config").cost(usage)

    before = cost()
    tokens[sort] += more
    assert cost() >= before


def test_what_is_written_to_a_cache_has_its_price() -> None:
    """It is part of the input, and the input price where none is known."""
    usage = Usage(input_tokens=100, output_tokens=0, cached_input_tokens=20, cache_write_tokens=30)
    price = Price(input=Decimal(4), output=Decimal(0), cached_input=Decimal(1), cache_write=Decimal(5))
    assert Rate(price=price, source="config").cost(usage) == 50 * 4 + 20 * 1 + 30 * 5
    assert _rate(4, 0, 1).cost(usage) == 80 * 4 + 20 * 1


@pytest.mark.parametrize(
    ("served_at", "microusd"),
    [(None, 5), ("flex", 5), ("default", 10), ("priority", 20), ("new", 5), ("", 5)],
)
def test_the_price_is_that_of_the_class_it_was_answered_at(served_at: str | None, microusd: int) -> None:
    """Flex was asked for; what the vendor says it answered at decides, if the price of that is known."""
    flex, default, priority = (Price(input=Decimal(cost), output=Decimal(0)) for cost in (5, 10, 20))
    at_service = {"flex": flex, "default": default, "priority": priority}
    rate = Rate(price=flex, source="list", at_service=at_service)
    assert rate.cost(Usage(input_tokens=1, output_tokens=0), served_at) == microusd


@pytest.mark.parametrize(
    ("microusd", "text"),
    [(13, "0.000013"), (0, "0.000000"), (1_000_000, "1.000000"), (12_345_678, "12.345678"), (-13, "-0.000013")],
)
def test_format_usd(microusd: int, text: str) -> None:
    """Micro-USD are shown as USD with six decimals."""
    assert format_usd(microusd) == text


@given(st.integers(-(10**15), 10**15))
def test_format_usd_loses_nothing(microusd: int) -> None:
    """The text is the same amount."""
    assert Decimal(format_usd(microusd)) * 1_000_000 == microusd
