"""A tier knows its own answers, and a table what its surroundings lack."""

import pytest
from route_cases import make_table, raw_table

from pointsman_routes import Provider, Tier, build_route_table, check_surroundings


@pytest.mark.parametrize(
    "answered_as",
    [
        None,
        "gpt-5-mini",
        "gpt-5-mini-2026-08-07",
        "gpt-5-mini-20260807",
        "gpt-5-mini-0807",
        "gpt-5-mini-001",
        "openai/gpt-5-mini",
        "ft:gpt-5-mini:acme",
    ],
)
def test_serves_its_own(answered_as: str | None) -> None:
    """The model itself, a dated snapshot of it, a name in `served_as`, or no name: the answer is what was asked for."""
    tier = Tier(model="gpt-5-mini", served_as=("openai/gpt-5-mini", "ft:gpt-5-mini:*"))
    assert tier.serves(answered_as)


@pytest.mark.parametrize(
    "answered_as",
    [
        "",
        "gpt-5",
        "gpt-5-nano",
        "gpt-5-mini-high",
        "gpt-5-mini-2026-08-07-preview",
        "gpt-5-mini-2026-08",
        "gpt-5-mini2026-08-07",
        "GPT-5-mini",
        "gpt-5-mini\n",
        "gpt-5-mini-0807\n",
        "x-gpt-5-mini",
    ],
)
def test_serves_no_other(answered_as: str) -> None:
    """A smaller sister, a variant, another spelling: not the model that was asked for."""
    assert not Tier(model="gpt-5-mini").serves(answered_as)


def test_snapshot_is_not_the_model() -> None:
    """Who asks for a dated snapshot is not served by the undated name or another date."""
    tier = Tier(model="gpt-5-mini-2026-08-07")
    assert tier.serves("gpt-5-mini-2026-08-07")
    assert not tier.serves("gpt-5-mini")
    assert not tier.serves("gpt-5-mini-2026-09-01")


def test_model_name_is_no_pattern() -> None:
    """Signs that mean something in patterns mean themselves in a model's name."""
    assert not Tier(model="a.c").serves("abc-0001")
    assert not Tier(model="*").serves("anything")
    assert Tier(model="a+c").serves("a+c-0001")


def _known(provider: Provider, tier: Tier) -> bool:
    return provider.name == "beta" or tier.price is not None


def _unset(provider: Provider) -> str | None:
    return "the variable ALPHA_KEY is not set" if provider.name == "alpha" else None


def test_surroundings() -> None:
    """An unset key and an unknown price are named together, each with its key's path."""
    problems = check_surroundings(make_table().providers, priced=_known, key_problem=_unset)
    assert [(problem.path, problem.message) for problem in problems] == [
        ("providers.alpha.api_key", "the variable ALPHA_KEY is not set"),
        ("providers.alpha.tiers.main.price", "no price is known for the model 'a-large'"),
    ]
    assert all(problem.remedy for problem in problems)


def test_surroundings_in_order() -> None:
    """With every key set and every price known there is nothing to say."""
    table = make_table(tier={"price": {"input": 1, "output": 2}})
    assert check_surroundings(table.providers, priced=_known, key_problem=lambda _: None) == []


def test_credentials_of_aws_are_no_key() -> None:
    """Where calls are signed, what is wrong with the credentials is told as that, with its own remedy."""
    signed = {"kind": "bedrock", "auth": "sigv4", "base_url": "https://bedrock-runtime.eu-central-1.amazonaws.com"}
    raw = raw_table()
    del raw["providers"]["alpha"]["api_key"]
    raw["providers"]["alpha"] |= signed
    providers = build_route_table(raw).providers
    found = check_surroundings(providers, priced=lambda *_: True, key_problem=lambda _: "none are found; set them")
    assert [(problem.path, problem.message, problem.remedy) for problem in found] == [
        ("providers.alpha.auth", "none are found", "set them"),
        ("providers.beta.api_key", "none are found; set them", "set it, or point `api_key` elsewhere"),
    ]
