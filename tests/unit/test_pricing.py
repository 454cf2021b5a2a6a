"""A price is the tier's own, or the list's highest that can apply, or unknown."""

import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from genai_prices.data_snapshot import DataSnapshot, set_custom_snapshot
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)
from genai_prices.types import Provider as ListedProvider
from genai_prices.types import Tier as Step

from pointsman_routes import Price, Provider, Rate
from pointsman_worker.pricing import rate_for

NOW = datetime(2026, 10, 31, tzinfo=UTC)


def rate(model: str, kind: str = "openai", **fields: Any) -> Rate | None:
    """The rate of a tier of that model."""
    provider = Provider.model_validate(
        {
            "name": "p",
            "kind": kind,
            "owner": "me",
            "base_url": "http://localhost/v1",
            "api_key": {"env": "K"},
            "tiers": {"t": {"model": model, **fields}},
        }
    )
    return rate_for(provider, provider.tiers["t"], at=NOW)


def price(given: str, output: str, cached: str | None = None) -> ModelPrice:
    """A plain entry of the list."""
    return ModelPrice(
        input_mtok=Decimal(given),
        output_mtok=Decimal(output),
        cache_read_mtok=Decimal(cached) if cached is not None else None,
    )


def stepped(base: str, above: str) -> TieredPrices:
    """A price that rises above 200,000 input tokens."""
    return TieredPrices(base=Decimal(base), tiers=[Step(start=200_000, price=Decimal(above))])


def from_day(year: int, month: int, prices: ModelPrice) -> ConditionalPrice:
    """Prices from the first of that month."""
    return ConditionalPrice(StartDateConstraint(datetime(year, month, 1, tzinfo=UTC).date()), prices=prices)


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A price list of one model, `m`, with the given prices."""

    def put(prices: ModelPrice | list[ConditionalPrice]) -> None:
        model = ModelInfo(id="m", match=ClauseEquals("m"), prices=prices)
        vendor = ListedProvider(id="openai", name="OpenAI", api_pattern="x", models=[model])
        set_custom_snapshot(DataSnapshot(providers=[vendor], from_auto_update=False))

    yield put
    set_custom_snapshot(None)


def test_the_tiers_own_price_comes_first() -> None:
    """Also for a model the list knows, and for one nobody does."""
    own = {"input": 0.1, "output": 0.2}
    expected = Rate(price=Price(input=Decimal("0.1"), output=Decimal("0.2")), source="config")
    assert rate("gpt-5-mini", price=own) == expected
    assert rate("house-model", "openai-compatible", price=own) == expected


def test_a_listed_model_has_its_list_price_and_source() -> None:
    """The list knows the vendors' models, dated snapshots too, and names its version."""
    for model in ("gpt-5-mini", "gpt-5-mini-2025-08-07"):
        found = rate(model)
        assert found is not None
        assert found.price == Price(input=Decimal("0.25"), output=Decimal(2), cached_input=Decimal("0.025"))
        assert found.source.startswith("genai-prices ")
    assert rate("claude-haiku-4-5", "anthropic") is not None


@pytest.mark.parametrize(
    ("model", "kind"), [("nobody-knows", "openai"), ("nobody-knows", "anthropic"), ("gpt-5-mini", "openai-compatible")]
)
def test_an_unknown_price_is_none_never_zero(model: str, kind: str) -> None:
    """A compatible server may be anyone's: that a model has a famous name says nothing of its price."""
    assert rate(model, kind) is None


def test_a_stepped_price_is_taken_at_the_highest_step_the_window_allows(listed: Any) -> None:
    """Unknown window: the dearest. A window below the step: exactly the base."""
    listed(ModelPrice(input_mtok=stepped("3", "6"), output_mtok=stepped("15", "22.5")))
    assert getattr(rate("m"), "price", None) == Price(input=Decimal(6), output=Decimal("22.5"), cached_input=Decimal(6))
    for window, expected in ((200_000, 3), (200_001, 6)):
        found = rate("m", context_window=window)
        assert found is not None
        assert found.price.input == expected


def test_a_replaced_price_is_history_and_an_announced_one_counts(listed: Any) -> None:
    """Today's and later prices apply to a worker that runs for weeks; last year's do not."""
    past, today, later = price("10", "40"), price("2", "8"), price("3", "7")
    listed([ConditionalPrice(prices=past), from_day(2026, 6, today), from_day(2026, 12, later)])
    found = rate("m")
    assert found is not None
    assert found.price == Price(input=Decimal(3), output=Decimal(8), cached_input=Decimal(3))


def test_the_dearest_hour_of_the_day_counts(listed: Any) -> None:
    """Nobody knows at what hour a job will run."""
    night = TimeOfDateConstraint(datetime(1, 1, 1, 16, tzinfo=UTC).timetz(), datetime(1, 1, 1, 0, tzinfo=UTC).timetz())
    listed([ConditionalPrice(prices=price("2", "8", "1")), ConditionalPrice(night, prices=price("1", "9"))])
    found = rate("m")
    assert found is not None
    assert found.price == Price(input=Decimal(2), output=Decimal(9), cached_input=Decimal(1))


@pytest.mark.parametrize("prices", [ModelPrice(input_mtok=Decimal(1)), []])
def test_half_a_price_is_none(listed: Any, prices: Any) -> None:
    """Embedding models have no output price; an entry without prices has none at all."""
    listed(prices)
    assert rate("m") is None


def test_the_list_is_not_imported_until_it_is_needed() -> None:
    """Importing it takes most of a second, which a tier with a price of its own need not spend."""
    script = (
        "import sys; from pointsman_routes import Provider; from pointsman_worker.pricing import rate_for;"
        "p = Provider.model_validate({'kind': 'openai', 'owner': 'me', 'api_key': {'env': 'K'},"
        " 'tiers': {'t': {'model': 'm', 'price': {'input': 1, 'output': 1}}}});"
        "assert rate_for(p, p.tiers['t']); assert 'genai_prices' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
