"""docs/configuration.md lists every key of the file and every field of a job, as the code has them."""

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import pytest
from project_tree import ROOT
from pydantic import BaseModel

from pointsman_producer.line_parser import LineParser
from pointsman_routes import Breaker, Job, Provider, ProviderKind, TaskClass, Tier, build_route_table
from pointsman_routes.errors import ConfigError
from pointsman_routes.provider_kind import TRAITS

PAGE: Final = (ROOT / "docs" / "configuration.md").read_text()
SECTIONS: Final[Mapping[str, type[BaseModel]]] = {
    "`[providers.NAME]`: an account at a vendor": Provider,
    "`[providers.NAME.tiers.NAME]`: one model": Tier,
    "`[classes.NAME]`: a kind of work": TaskClass,
    "Jobs": Job,
}


def _rows(section: str) -> dict[str, list[str]]:
    """The rows of a section's table by the key they explain."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    return {key: cells for cells in rows for key in re.findall(r"`([a-z_]+)`", cells[0])}


def _kinds(cell: str) -> set[str]:
    named = {kind.value for kind in ProviderKind if f"`{kind.value}`" in cell}
    return named | ({"openai-compatible", "anthropic-compatible"} if "compatible kinds" in cell else set())


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_is_listed(section: str) -> None:
    """A section's table has every key there is, by the name it has in the file, and no other."""
    fields = {field.alias or name for name, field in SECTIONS[section].model_fields.items()}
    assert set(_rows(section)) == fields - {"name"}


def test_what_depends_on_the_kind() -> None:
    """Which kinds there are, and which need a key, an address, or count max_tokens, is as the code has it."""
    rows = _rows("`[providers.NAME]`: an account at a vendor")
    assert _kinds(rows["kind"][2]) == {kind.value for kind in ProviderKind}
    assert _kinds(rows["api_key"][1]) == {kind.value for kind in ProviderKind if not TRAITS[kind].needs_key}
    assert _kinds(rows["base_url"][1]) == {kind.value for kind in ProviderKind if TRAITS[kind].needs_base_url}
    assert _kinds(rows["counted_tokens"][2]) == {
        kind.value for kind in ProviderKind if TRAITS[kind].reserves_max_tokens
    }
    assert _kinds(rows["region"][1]) == {kind.value for kind in ProviderKind if TRAITS[kind].runs_here}
    zones = {kind.value: TRAITS[kind].timezone for kind in ProviderKind if TRAITS[kind].timezone != "UTC"}
    assert rows["timezone"][1] == "; ".join(["`UTC`", *(f"of `{kind}` `{zone}`" for kind, zone in zones.items())])


def test_breaker_is_the_default() -> None:
    """The breaker that the page shows is the one a tier has that says nothing."""
    shown = _rows("`[providers.NAME.tiers.NAME]`: one model")["breaker"][1]
    assert 'window = "1m", least_calls = 10, failure_rate = 0.5, open_for = "10s"' in shown
    assert Breaker() == Breaker(
        window=timedelta(minutes=1), least_calls=10, failure_rate=0.5, open_for=timedelta(seconds=10)
    )


def test_example_lines_are_jobs() -> None:
    """Both lines of the page are jobs, as a batch file is read."""
    block = PAGE.split("```json\n")[1].split("```")[0].splitlines()
    parsed = [LineParser(["triage"]).parse(number, line.encode()) for number, line in enumerate(block, 1)]
    assert [isinstance(job, Job) for job in parsed] == [True, True]
    assert ["body" in json.loads(line) for line in block] == [False, True]


PLACES: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "api.openai.com": tuple((f"{place}.api.openai.com", place) for place in ("us", "eu", "au", "in", "jp", "ae")),
    "api.anthropic.com": (("api.anthropic.com", "us"),),
    "generativelanguage.googleapis.com": (),
    "api.mistral.ai": (("api.eu.mistral.ai", "eu"), ("api.us.mistral.ai", "us")),
    "openrouter.ai": (("eu.openrouter.ai", "eu"), ("us.openrouter.ai", "us")),
    "api.x.ai": (
        ("us.api.x.ai", "us"),
        ("us-east-1.api.x.ai", "us-east-1"),
        ("us-east-1.api.x.ai", "us"),
        ("eu-west-1.api.x.ai", "eu-west-1"),
        ("eu-west-1.api.x.ai", "eu"),
    ),
}
"""Host of the page's table -> hosts of the same vendor, each with a region that may be declared there."""


def _declare(region: str, host: str) -> None:
    provider = {
        "kind": "openai-compatible",
        "owner": "me",
        "base_url": f"https://{host}/v1",
        "region": region,
        "tiers": {"m": {"model": "claude-opus-4-6"}},
    }
    build_route_table({"providers": {"p": provider}, "classes": {"c": {"route": ["p/m"]}}})


def test_regions_are_those_of_the_page() -> None:
    """The page's table has the hosts that are tried out here, and names every region that may be declared there."""
    table = PAGE.split("\n## Regions\n")[1].split("\n## ")[0]
    rows = dict(re.findall(r"^\| `([a-z.]+\.[a-z]+)` \| (.+) \|$", table, re.M))
    assert rows.keys() == PLACES.keys()
    for host, places in PLACES.items():
        assert set(re.findall(r"`([a-z]+(?:-[a-z]+-[0-9])?)`", rows[host])) == {place for _, place in places}


@pytest.mark.parametrize("host", PLACES)
def test_regions_of_a_host(host: str) -> None:
    """What the page says may be declared at a vendor's hosts may be, and nothing else."""
    for there, place in PLACES[host]:
        _declare(place, there)
    own = {place for there, place in PLACES[host] if there == host}
    for place in {"eu", "us", "local", "mars"} - own:
        with pytest.raises(ConfigError):
            _declare(place, host)
