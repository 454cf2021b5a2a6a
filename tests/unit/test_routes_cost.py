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
