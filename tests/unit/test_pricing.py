"""A price is the tier's own, or the list's highest that can apply, or unknown."""

import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version
from typing import Any

import pytest
from genai_prices.data_snapshot import DataSnapshot, set_custom_snapshot
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    PriceVariant,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)
from genai_prices.types import Provider as ListedProvider
from genai_prices.types import Tier as Step

from pointsman_routes import Price, Provider, Rate
from pointsman_worker.pricing import rate_for

NOW = datetime(2026, 10, 31, tzinfo=UTC)


_OF_PROVIDER = ("region", "base_url", "project", "location")


def rate(model: str, kind: str = "openai", **fields: Any) -> Rate | None:
    """The rate of a tier of that model."""
    account = {name: fields.pop(name) for name in _OF_PROVIDER if name in fields}
    provider = Provider.model_validate(
        {
            "name": "p",
            "kind": kind,
            "owner": "me",
            "base_url": "http://localhost/v1",
            "api_key": {"env": "K"},
            "tiers": {"t": {"model": model, **fields}},
            **account,
        }
    )
    return rate_for(provider, provider.tiers["t"], at=NOW)


def rate_source(added: str) -> str:
    """The name of the list with what was added to it."""
    return f"genai-prices {version('genai-prices')}{added}"


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

    def put(prices: ModelPrice | list[ConditionalPrice], *variants: PriceVariant) -> None:
        model = ModelInfo(id="m", match=ClauseEquals("m"), prices=prices, price_variants=list(variants))
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


def variant(amounts: ModelPrice, start: StartDateConstraint | None = None, **when: str) -> PriceVariant:
    """Prices that hold for a class of service, from a day on."""
    return PriceVariant(when=when or {"service_tier": "flex"}, prices=amounts, constraint=start)


def test_a_class_of_service_has_the_price_the_list_has_for_it(listed: Any) -> None:
    """What the list does not price otherwise stays as it is; every class it knows can be charged."""
    listed(price("2", "8", "1"), variant(ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(4))))
    flex = Price(input=Decimal(1), output=Decimal(4), cached_input=Decimal(1))
    found = rate("m", service_tier="flex")
    assert found is not None
    assert found.price == flex
    assert found.source == rate_source(" flex")
    standard = rate("m")
    assert standard is not None
    assert standard.source == rate_source("")
    assert found.at_service == standard.at_service
    assert found.at_service == {"auto": standard.price, "default": standard.price, "flex": flex}


def test_a_class_without_a_price_is_none_never_another_price(listed: Any) -> None:
    """Nor is what is priced for a batch, or is not on offer yet."""
    cheap = ModelPrice(input_mtok=Decimal(1))
    later = StartDateConstraint(datetime(2026, 12, 1, tzinfo=UTC).date())
    listed(price("2", "8"), variant(cheap, processing="batch"), variant(cheap, later, service_tier="slow"))
    for word in ("flex", "priority", "slow", "scale"):
        assert rate("m", service_tier=word) is None
    assert rate("m", service_tier="default") == rate("m")


def test_of_a_class_the_dearest_of_now_and_announced_counts(listed: Any) -> None:
    """As for the price itself; the list reads a class's variants first to last, each price by itself."""
    past, later = (StartDateConstraint(datetime(*day, 1, tzinfo=UTC).date()) for day in ((2026, 6), (2026, 12)))
    listed(
        price("20", "80"),
        variant(ModelPrice(output_mtok=Decimal(5)), later),
        variant(ModelPrice(input_mtok=Decimal(2)), past),
        variant(ModelPrice(input_mtok=Decimal(9), output_mtok=Decimal(4)), past),
    )
    found = rate("m", service_tier="flex")
    assert found is not None
    assert found.price == Price(input=Decimal(2), output=Decimal(5), cached_input=Decimal(2))


def test_writing_to_a_cache_has_its_price(listed: Any) -> None:
    """Where the list has one: the dearest, as of everything else."""
    listed(ModelPrice(input_mtok=Decimal(4), output_mtok=Decimal(8), cache_write_mtok=stepped("5", "10")))
    found = rate("m", context_window=100_000)
    assert found is not None
    assert found.price.cache_write == 5
    assert getattr(rate("m"), "price", None) == Price(
        input=Decimal(4), output=Decimal(8), cached_input=Decimal(4), cache_write=Decimal(10)
    )
    listed(price("4", "8"))
    assert getattr(rate("m"), "price", None) == Price(input=Decimal(4), output=Decimal(8), cached_input=Decimal(4))


def test_what_a_region_adds_is_in_every_price_exactly(listed: Any) -> None:
    """A tenth more of each, at every class of service, and the source says so."""
    half = ModelPrice(input_mtok=Decimal("0.05"), output_mtok=Decimal("0.15"), cache_write_mtok=Decimal("0.07"))
    listed(price("0.1", "0.3", "0.01"), variant(half))
    found = rate("m", base_url="https://eu.api.openai.com/v1", service_tier="flex")
    assert found is not None
    assert found.price == Price(
        input=Decimal("0.055"), output=Decimal("0.165"), cached_input=Decimal("0.011"), cache_write=Decimal("0.077")
    )
    assert found.source == rate_source(" flex x1.1 (regional)")
    assert found.at_service["default"] == Price(
        input=Decimal("0.11"), output=Decimal("0.33"), cached_input=Decimal("0.011")
    )


@pytest.mark.parametrize(
    ("kind", "model", "fields"),
    [
        ("openai", "gpt-5-mini", {}),
        ("anthropic", "claude-haiku-4-5", {}),
        ("google", "gemini-2.5-flash", {}),
        ("google", "publishers/google/models/gemini-2.5-flash", {"project": "pp", "location": "global"}),
        ("bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0", {}),
        ("bedrock", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0", {}),
        ("bedrock", "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-sonnet-4-5-20250929-v1:0", {}),
        ("openrouter", "anthropic/claude-sonnet-4.5", {}),
        ("azure", "gpt-5-mini", {}),
        ("mistral", "mistral-small-latest", {}),
        ("groq", "openai/gpt-oss-120b", {"service_tier": "flex"}),
        ("deepseek", "deepseek-chat", {}),
        ("xai", "grok-4.6", {}),
        ("cerebras", "gpt-oss-120b", {}),
        ("moonshot", "kimi-k3", {}),
        ("together", "openai/gpt-oss-120b", {}),
        ("fireworks", "accounts/fireworks/models/gpt-oss-120b", {}),
    ],
)
def test_every_listed_kind_has_prices(kind: str, model: str, fields: dict[str, Any]) -> None:
    """Under the names the vendor's own API knows its models by."""
    found = rate(model, kind, **fields)
    assert found is not None
    assert found.price.output >= found.price.input > 0
    assert all(known.input > 0 for known in found.at_service.values())


def test_a_profile_of_a_geography_costs_more_than_a_global_one() -> None:
    """The list has Bedrock's premium of a tenth in its prices, so nothing is added to them."""
    model = "anthropic.claude-sonnet-4-5-20250929-v1:0"
    regional, at_large = (rate(f"{place}.{model}", "bedrock", context_window=100_000) for place in ("eu", "global"))
    assert regional is not None
    assert at_large is not None
    assert regional.price.input == at_large.price.input * Decimal("1.1")
    assert (regional.source, at_large.source) == (rate_source(""), rate_source(""))


@pytest.mark.parametrize(
    ("model", "kind", "fields"),
    [
        ("house-deployment", "azure", {}),
        ("gpt-5-mini", "azure", {"region": "swedencentral"}),
        ("gpt-5-mini", "azure", {"service_tier": "priority"}),
        ("amazon.nova-lite-v1:0", "bedrock", {}),
        ("deepseek/deepseek-r1:free", "openrouter", {}),
        ("qwen3:8b", "ollama", {}),
        ("qwen3:8b", "vllm", {}),
        ("grok-4.6", "xai", {"service_tier": "priority"}),
        ("openai/gpt-oss-120b", "groq", {"service_tier": "performance"}),
    ],
)
def test_what_the_list_cannot_know_must_be_written(model: str, kind: str, fields: dict[str, Any]) -> None:
    """A deployment of any name, a region or a class nobody prices, a server of one's own."""
    assert rate(model, kind, **fields) is None
    assert rate(model, kind, price={"input": 1, "output": 2}, **fields) is not None


def test_flex_at_azure_is_half_whatever_openai_says() -> None:
    """Its models may be found in OpenAI's list, whose classes of service are not Azure's."""
    full, flex = rate("gpt-4.1", "azure"), rate("gpt-4.1", "azure", service_tier="flex")
    assert full is not None
    assert flex is not None
    assert flex.price.input * 2 == full.price.input
    assert set(full.at_service) == {"auto", "default", "flex"}


def test_the_list_is_not_imported_until_it_is_needed() -> None:
    """Importing it takes most of a second, which a tier with a price of its own need not spend."""
    script = (
        "import sys; from pointsman_routes import Provider; from pointsman_worker.pricing import rate_for;"
        "p = Provider.model_validate({'kind': 'openai', 'owner': 'me', 'api_key': {'env': 'K'},"
        " 'tiers': {'t': {'model': 'm', 'price': {'input': 1, 'output': 1}}}});"
        "assert rate_for(p, p.tiers['t']); assert 'genai_prices' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
