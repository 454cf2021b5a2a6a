"""Whether a vendor can keep the region that is declared of it, by its own hosts and parameters."""

from typing import Any

import pytest
from route_cases import problems_of, raw_table


def _problems(kind: str, region: str | None, **about: Any) -> list[str]:
    provider = {"kind": kind, "region": region, "base_url": None, **about}
    return [str(problem) for problem in problems_of(raw_table(provider=provider))]


_VERTEX = {"project": "a-project", "api_key": {"env": "TOKEN"}}
_BEDROCK = {"base_url": "https://bedrock-runtime.eu-central-1.amazonaws.com"}

KEPT: list[tuple[str, str, dict[str, Any]]] = [
    ("openai", "eu", {"base_url": "https://eu.api.openai.com/v1"}),
    ("openai", "us", {"base_url": "https://us.api.openai.com/v1"}),
    ("openai", "jp", {"base_url": "https://JP.api.openai.com./v1"}),
    ("openai", "eu", {"base_url": "https://gateway.example.com/v1"}),
    ("openai", "local", {"base_url": "http://127.0.0.1:8000/v1"}),
    ("openai-compatible", "us", {"base_url": "https://us.openrouter.ai/api/v1"}),
    ("anthropic", "us", {}),
    ("anthropic", "us", {"base_url": "https://api.anthropic.com"}),
    ("anthropic", "eu", {"base_url": "https://gateway.example.com"}),
    ("anthropic-compatible", "eu", {"base_url": "https://claude.example.com"}),
    ("google", "eu", {**_VERTEX, "location": "europe-west4"}),
    ("google", "europe-west4", {**_VERTEX, "location": "europe-west4"}),
    ("google", "eu", {**_VERTEX, "location": "eu"}),
    ("google", "us", {**_VERTEX, "location": "us"}),
    ("google", "asia-northeast1", {**_VERTEX, "location": "asia-northeast1"}),
    ("google", "eu", {**_VERTEX, "location": "eu", "base_url": "https://aiplatform.eu.rep.googleapis.com"}),
    ("google", "us", {**_VERTEX, "location": "us-east5", "base_url": "https://us-east5-aiplatform.googleapis.com"}),
    ("google", "eu", {"base_url": "https://gateway.example.com"}),
    ("openrouter", "eu", {"base_url": "https://eu.openrouter.ai/api/v1"}),
    ("openrouter", "us", {"base_url": "https://us.openrouter.ai/api/v1"}),
    ("mistral", "eu", {"base_url": "https://api.eu.mistral.ai"}),
    ("mistral", "us", {"base_url": "https://api.us.mistral.ai"}),
    ("xai", "us", {"base_url": "https://us.api.x.ai/v1"}),
    ("xai", "eu", {"base_url": "https://eu-west-1.api.x.ai/v1"}),
    ("azure", "swedencentral", {"base_url": "https://thing.openai.azure.com"}),
    ("groq", "us", {}),
    ("bedrock", "eu", _BEDROCK),
    ("bedrock", "eu-central-1", _BEDROCK),
    ("bedrock", "eu", {**_BEDROCK, "tiers": {"main": {"model": "eu.anthropic.claude-sonnet-4-6"}}}),
    ("bedrock", "global", {**_BEDROCK, "tiers": {"main": {"model": "global.anthropic.claude-sonnet-4-6"}}}),
    ("bedrock", "eu", {"base_url": "https://gateway.example.com"}),
]


@pytest.mark.parametrize(("kind", "region", "about"), KEPT)
def test_a_region_that_can_be_kept(kind: str, region: str, about: dict[str, Any]) -> None:
    """A region that the vendor's host or location keeps is right; a host nobody knows is taken at its word."""
    assert _problems(kind, region, **about) == []


BROKEN: list[tuple[str, str, dict[str, Any], str, str]] = [
    (
        "openai",
        "eu",
        {},
        "api.openai.com promises no region, and 'eu' is declared",
        'write base_url = "https://eu.api.openai.com...", or remove region',
    ),
    ("openai", "us", {}, "api.openai.com promises no region", '"https://us.api.openai.com..."'),
    ("openai", "local", {}, "api.openai.com promises no region", '"https://us.api.openai.com..." or "https://eu.api'),
    ("openai", "eu", {"base_url": "https://API.openai.com./v1"}, "api.openai.com promises no", "https://eu.api."),
    ("openai", "us", {"base_url": "https://eu.api.openai.com/v1"}, "processes in 'eu', and 'us'", "correct region or"),
    ("openai-compatible", "eu", {"base_url": "https://api.openai.com/v1"}, "api.openai.com promises no", "eu.api."),
    ("anthropic", "eu", {}, 'can be asked to stay in "us" and nowhere else', 'kind "bedrock"'),
    ("anthropic", "us-east-1", {}, 'can be asked to stay in "us" and nowhere else', "or remove region"),
    ("anthropic", "eu", {"base_url": "https://api.anthropic.com"}, "api.anthropic.com can be asked", "bedrock"),
    ("google", "eu", {}, "generativelanguage.googleapis.com promises no region", "write project and location"),
    ("google", "us", {"base_url": "https://generativelanguage.googleapis.com"}, "promises no region", "Vertex AI"),
    ("google", "eu", {**_VERTEX, "location": "global"}, "location 'global' promises no region", '"europe-west4" in'),
    ("google", "eu", {**_VERTEX, "location": "us-central1"}, "location 'us-central1' is not known to lie in 'eu'", ""),
    ("google", "eu", {**_VERTEX, "location": "europe-west2"}, "location 'europe-west2' is not known to lie", "correct"),
    ("google", "europe-west4", {**_VERTEX, "location": "eu"}, "location 'eu' is not known to lie", "correct"),
    (
        "google",
        "eu",
        {**_VERTEX, "location": "eu", "base_url": "https://aiplatform.us.rep.googleapis.com"},
        "base_url is an endpoint in 'us', and 'eu' is declared",
        "correct region or base_url",
    ),
    (
        "google",
        "eu",
        {**_VERTEX, "location": "europe-west4", "base_url": "https://us-east4-aiplatform.googleapis.com"},
        "base_url is an endpoint in 'us-east4'",
        "correct region or base_url",
    ),
    (
        "google",
        "eu",
        {**_VERTEX, "location": "europe-west4", "base_url": "https://aiplatform.googleapis.com"},
        "base_url is an endpoint in 'global'",
        "correct region or base_url",
    ),
    ("openrouter", "eu", {}, "openrouter.ai promises no region", 'write base_url = "https://eu.openrouter.ai..."'),
    ("openrouter", "us", {"base_url": "https://eu.openrouter.ai/api/v1"}, "processes in 'eu', and 'us'", "correct"),
    ("mistral", "eu", {}, "api.mistral.ai promises no region", 'write base_url = "https://api.eu.mistral.ai..."'),
    ("mistral", "eu", {"base_url": "https://api.us.mistral.ai"}, "processes in 'us', and 'eu'", "correct"),
    ("xai", "eu", {}, "api.x.ai promises no region", '"https://eu-west-1.api.x.ai..."'),
    ("xai", "eu", {"base_url": "https://us.api.x.ai/v1"}, "us.api.x.ai processes in 'us', and 'eu'", "correct"),
]


@pytest.mark.parametrize(("kind", "region", "about", "message", "remedy"), BROKEN)
def test_a_region_that_nobody_keeps(kind: str, region: str, about: dict[str, Any], message: str, remedy: str) -> None:
    """A region that the vendor's own host or location contradicts is one mistake, with what to write instead."""
    (problem,) = _problems(kind, region, **about)
    assert problem.startswith("providers.alpha.region: ")
    assert message in problem
    assert remedy in problem.partition("; ")[2]


@pytest.mark.parametrize(
    ("model", "asked"),
    [
        ("claude-haiku-4-5", False),
        ("claude-sonnet-4-5-20250929", False),
        ("claude-opus-4-1-20250805", False),
        ("claude-opus-4-20250514", False),
        ("claude-sonnet-4-0", False),
        ("claude-3-5-haiku-latest", False),
        ("claude-opus-4-6", True),
        ("claude-sonnet-4-6", True),
        ("claude-opus-5-5", True),
        ("claude-sonnet-5", True),
    ],
)
def test_claudes_that_cannot_be_asked(model: str, *, asked: bool) -> None:
    """A model that refuses `inference_geo` keeps no region; newer ones, and names nobody knows, do."""
    found = _problems("anthropic", "us", tiers={"main": {"model": model}})
    assert [text.partition(": ")[0] for text in found] == ([] if asked else ["providers.alpha.tiers.main.model"])
    assert _problems("anthropic", "global", tiers={"main": {"model": model}}) == []


def test_a_bedrock_host_elsewhere() -> None:
    """A host of Bedrock in another region is one mistake, however many tiers there are."""
    tiers = {name: {"model": "eu.anthropic.claude-sonnet-4-6"} for name in ("main", "side")}
    (problem,) = _problems("bedrock", "us", **_BEDROCK, tiers=tiers)
    assert problem.startswith("providers.alpha.region: base_url is in 'eu-central-1', and 'us' is declared; correct ")


def test_bedrock_profiles_that_lead_elsewhere() -> None:
    """Each tier whose profile may leave the declared region is a mistake of its own, at its model."""
    models = {
        "main": "global.anthropic.claude-sonnet-4-6",
        "side": "anthropic.claude-sonnet-4-6",
        "wide": "eu.amazon.x",
    }
    tiers = {name: {"model": model} for name, model in models.items()}
    (problem,) = _problems("bedrock", "eu", **_BEDROCK, tiers=tiers)
    assert problem.startswith(
        "providers.alpha.tiers.main.model: the profile 'global.anthropic.claude-sonnet-4-6' may be"
    )
    found = _problems("bedrock", "eu-central-1", **_BEDROCK, tiers=tiers)
    assert [text.partition(":")[0] for text in found] == [
        "providers.alpha.tiers.main.model",
        "providers.alpha.tiers.wide.model",
    ]


@pytest.mark.parametrize("region", [None, "global"])
@pytest.mark.parametrize(
    ("kind", "about"),
    [
        ("openai", {}),
        ("anthropic", {}),
        ("google", {}),
        ("google", {**_VERTEX, "location": "global"}),
        ("google", {**_VERTEX, "location": "us-central1"}),
        ("openrouter", {}),
        ("mistral", {"base_url": "https://api.us.mistral.ai"}),
    ],
)
def test_who_promises_nothing_breaks_nothing(kind: str, region: str | None, about: dict[str, Any]) -> None:
    """Without a declared region, or with `global`, any host and location will do."""
    assert _problems(kind, region, **about) == []


def test_a_provider_with_another_mistake_is_not_judged() -> None:
    """What a provider would be without its mistaken key says nothing of where it works."""
    (problem,) = _problems("openai", "eu", base_url="ftp://eu.api.openai.com")
    assert problem.startswith("providers.alpha.base_url: ")
