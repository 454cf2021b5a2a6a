"""What stands in examples/ works as it stands."""

import json
from collections import Counter
from pathlib import PurePath
from typing import Any

import pytest
from project_tree import ROOT

from pointsman_routes import Job, RouteTable, read_route_table

_EXAMPLES = ROOT / "examples"


def _table() -> RouteTable:
    return read_route_table((_EXAMPLES / "pointsman.toml").read_text(), PurePath("examples/pointsman.toml"))


def _lines() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (_EXAMPLES / "jobs.jsonl").read_text().splitlines()]


def _job(line: dict[str, Any]) -> Job:
    """Either line form as a job."""
    if "body" not in line:
        return Job.model_validate(line)
    body = dict(line["body"])
    return Job.model_validate({"custom_id": line["custom_id"], "class": body.pop("model"), **body})


def test_configuration_is_used_up() -> None:
    """Every tier of the example stands on the route of some class."""
    table = _table()
    assert {tier for entry in table.classes.values() for tier in entry.route} == set(table.tiers)


@pytest.mark.parametrize("line", _lines(), ids=lambda line: line["custom_id"])
def test_job_is_valid(line: dict[str, Any]) -> None:
    """Every example job is a job of a class of the example configuration."""
    assert _job(line).task_class in _table().classes


def test_jobs_show_both_forms_for_every_class() -> None:
    """Each class has jobs in both line forms, and no two jobs share a custom_id."""
    forms = {(_job(line).task_class, "body" in line) for line in _lines()}
    assert forms == {(name, form) for name in _table().classes for form in (True, False)}
    assert max(Counter(line["custom_id"] for line in _lines()).values()) == 1
