"""What stands in examples/ works as it stands."""

import json
from collections import Counter
from pathlib import PurePath
from typing import Any

import pytest
from project_tree import ROOT

from pointsman_routes import Job, ProviderKind, RouteTable, check_surroundings, read_route_table
from pointsman_worker import rate_for

_EXAMPLES = ROOT / "examples"
CONFIGURATIONS = pytest.mark.parametrize("name", ["pointsman.toml", "every-kind.toml"])


def _table(name: str = "pointsman.toml") -> RouteTable:
    return read_route_table((_EXAMPLES / name).read_text(), PurePath("examples", name))


def _lines() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (_EXAMPLES / "jobs.jsonl").read_text().splitlines()]


def _job(line: dict[str, Any]) -> Job:
    """Either line form as a job."""
    if "body" not in line:
        return Job.model_validate(line)
    body = dict(line["body"])
    return Job.model_validate({"custom_id": line["custom_id"], "class": body.pop("model"), **body})


@CONFIGURATIONS
def test_configuration_is_used_up(name: str) -> None:
    """Every tier of an example stands on the route of some class."""
    table = _table(name)
    assert {tier for entry in table.classes.values() for tier in entry.route} == set(table.tiers)


@CONFIGURATIONS
def test_prices_are_known(name: str) -> None:
    """Once the keys are there, nothing is wrong with an example: every price is listed or written."""
    problems = check_surroundings(
        _table(name).providers,
        priced=lambda provider, tier: rate_for(provider, tier) is not None,
        key_problem=lambda _: None,
    )
    assert problems == []


def test_every_kind_has_an_example() -> None:
    """Every kind of provider is shown, and Google's both ways."""
    providers = _table("every-kind.toml").providers.values()
    assert Counter(provider.kind for provider in providers) == Counter([*ProviderKind, ProviderKind.GOOGLE])
    assert {provider.project is None for provider in providers if provider.kind is ProviderKind.GOOGLE} == {True, False}


@pytest.mark.parametrize("line", _lines(), ids=lambda line: line["custom_id"])
def test_job_is_valid(line: dict[str, Any]) -> None:
    """Every example job is a job of a class of the example configuration."""
    assert _job(line).task_class in _table().classes


def test_jobs_show_both_forms_for_every_class() -> None:
    """Each class has jobs in both line forms, and no two jobs share a custom_id."""
    forms = {(_job(line).task_class, "body" in line) for line in _lines()}
    assert forms == {(name, form) for name in _table().classes for form in (True, False)}
    assert max(Counter(line["custom_id"] for line in _lines()).values()) == 1
