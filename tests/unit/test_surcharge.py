"""What a region adds to a listed price, vendor by vendor; each factor's source stands in the module."""

from decimal import Decimal
from typing import Any

import pytest

from pointsman_routes import Provider, ProviderKind
from pointsman_worker.surcharge import SERVICE_FACTORS, Surcharge, surcharge_for

NOTHING = Surcharge(factor=Decimal(1), why="")
TENTH = Surcharge(factor=Decimal("1.1"), why="regional")
EU_BEDROCK = "https://bedrock-runtime.eu-central-1.amazonaws.com"
US_BEDROCK = "https://bedrock-runtime.us-west-2.amazonaws.com"
GOV_BEDROCK = "https://bedrock-runtime.us-gov-west-1.amazonaws.com"


def added(kind: str, model: str = "m", listed: str | None = None, **fields: Any) -> Surcharge | None:
    """What is added for a provider of that kind."""
    account = {"name": "p", "kind": kind, "owner": "me", "api_key": {"env": "K"}, "tiers": {"t": {"model": model}}}
    return surcharge_for(Provider.model_validate({**account, **fields}), model, listed or model)


@pytest.mark.parametrize("place", ["eu", "us", "au", "in", "jp", "ae", "new"])
@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gpt-4o-mini", NOTHING),
        ("gpt-4.1", NOTHING),
        ("gpt-5", NOTHING),
        ("gpt-5-mini", NOTHING),
        ("gpt-5.2", NOTHING),
        ("o3", NOTHING),
        ("o4-mini", NOTHING),
        ("gpt-5-mini-2025-08-07", NOTHING),
        ("gpt-9-2026-03-04", NOTHING),
        ("gpt-5.4-2026-03-05", TENTH),
        ("gpt-4o-2026-06-01", TENTH),
        ("gpt-5.4", TENTH),
        ("gpt-6.1-terra", TENTH),
        ("gpt-5-chat-latest", TENTH),
        ("gpt-50", TENTH),
        ("nobody-knows", TENTH),
    ],
)
def test_openai_in_a_region_is_dearer_for_newer_models(place: str, model: str, expected: Surcharge) -> None:
    """The day in the name decides, then the family; what is of no known day costs more."""
    assert added("openai", model, base_url=f"https://{place}.api.openai.com/v1") == expected
    assert added("openai", model) == NOTHING
    assert added("openai", model, base_url="https://api.openai.com/v1") == NOTHING


def test_behind_a_gateway_the_declared_region_decides() -> None:
    """It cannot be told what host the gateway calls; nothing is under-estimated."""
    gateway = {"base_url": "https://gateway.example.com/v1"}
    for kind in ("openai", "mistral", "xai"):
        assert added(kind, **gateway) == NOTHING
        assert added(kind, region="global", **gateway) == NOTHING
        assert added(kind, region="eu", **gateway) == TENTH


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        ("anthropic", {}, NOTHING),
        ("anthropic", {"region": "us"}, TENTH),
        ("mistral", {}, NOTHING),
        ("mistral", {"base_url": "https://api.mistral.ai"}, NOTHING),
        ("mistral", {"base_url": "https://api.eu.mistral.ai"}, TENTH),
        ("mistral", {"base_url": "https://api.us.mistral.ai."}, TENTH),
        ("xai", {}, NOTHING),
        ("xai", {"base_url": "https://us.api.x.ai/v1"}, TENTH),
        ("google", {}, NOTHING),
        ("google", {"project": "pp", "location": "global"}, NOTHING),
        ("google", {"project": "pp", "location": "europe-west4"}, TENTH),
        ("google", {"project": "pp", "location": "eu"}, TENTH),
        ("azure", {"base_url": "https://x.openai.azure.com"}, NOTHING),
        ("azure", {"base_url": "https://x.openai.azure.com", "region": "global"}, NOTHING),
        ("azure", {"base_url": "https://x.openai.azure.com", "region": "eu"}, TENTH),
        ("azure", {"base_url": "https://x.openai.azure.com", "region": "us"}, TENTH),
        ("azure", {"base_url": "https://x.openai.azure.com", "region": "swedencentral"}, None),
        ("groq", {"region": "us"}, NOTHING),
        ("openrouter", {"base_url": "https://eu.openrouter.ai/api/v1", "region": "eu"}, NOTHING),
        ("deepseek", {}, NOTHING),
        ("together", {}, NOTHING),
    ],
)
def test_what_a_region_adds(kind: str, fields: dict[str, Any], expected: Surcharge | None) -> None:
    """A tenth where the vendor says so, nothing where it has no regions, unknown where the list says nothing of it."""
    assert added(kind, **fields) == expected


@pytest.mark.parametrize(
    ("listed", "base_url", "expected"),
    [
        ("regional.anthropic.claude-sonnet-4-5-20250929-v1:0", EU_BEDROCK, NOTHING),
        ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", EU_BEDROCK, NOTHING),
        ("regional.anthropic.claude-sonnet-4-5-20250929-v1:0", "https://gateway.example.com", NOTHING),
        ("regional.anthropic.claude-sonnet-4-5-20250929-v1:0", GOV_BEDROCK, None),
        ("amazon.nova-lite-v1:0", US_BEDROCK, NOTHING),
        ("amazon.nova-lite-v1:0", EU_BEDROCK, None),
        ("amazon.nova-lite-v1:0", "https://gateway.example.com", None),
        ("regional.amazon.nova-2-lite-v1:0", EU_BEDROCK, None),
        ("openai.gpt-oss-120b-1:0", GOV_BEDROCK, None),
    ],
)
def test_bedrock_has_claude_at_one_price_and_all_else_by_region(
    listed: str, base_url: str, expected: Surcharge | None
) -> None:
    """The list has what others cost in us-east-1; elsewhere that is not known."""
    assert added("bedrock", listed=listed, base_url=base_url) == expected


def test_no_class_of_service_is_dearer_in_the_table() -> None:
    """Where a class is dearer, the factor differs by model: that is the price list's to know."""
    factors = {factor for by_word in SERVICE_FACTORS.values() for factor in by_word.values()}
    assert factors == {Decimal(1), Decimal("0.5")}
    assert SERVICE_FACTORS[ProviderKind.AZURE]["flex"] == Decimal("0.5")
    assert all("priority" not in by_word for by_word in SERVICE_FACTORS.values())
