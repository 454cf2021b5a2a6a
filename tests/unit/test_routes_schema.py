"""The JSON Schema of the configuration describes the file a person writes."""

import json
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from project_tree import ROOT
from route_cases import problems_of, raw_table

from pointsman_routes import Problem, config_schema, parse_duration

VALIDATOR = Draft202012Validator(config_schema())


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from _nodes(value)


def test_is_a_schema() -> None:
    """It is a valid schema of its own dialect, and plain JSON."""
    schema = config_schema()
    Draft202012Validator.check_schema(schema)
    assert json.loads(json.dumps(schema)) == schema
    assert schema["$schema"].endswith("/draft/2020-12/schema")


def test_example_fits() -> None:
    """The example configuration is valid by the schema."""
    raw = tomllib.loads((ROOT / "examples" / "pointsman.toml").read_text())
    assert [error.message for error in VALIDATOR.iter_errors(raw)] == []


def test_names_are_not_keys() -> None:
    """What the table fills in from where a section stands is not a key to write."""
    for section in ("Provider", "Tier", "TaskClass"):
        assert "name" not in config_schema()["$defs"][section]["properties"]


def test_no_null() -> None:
    """TOML has no null, so the schema neither allows it nor names it as a default."""
    for node in _nodes(config_schema()):
        assert node.get("type") != "null"
        assert node.get("default", 0) is not None


def test_durations_are_as_written() -> None:
    """Default durations stand in the spelling of the file."""
    properties = config_schema()["$defs"]["TaskClass"]["properties"]
    assert properties["deadline"]["default"] == "1d"
    assert properties["spill_after"]["default"] == "5m"
    assert parse_duration(config_schema()["$defs"]["Tier"]["properties"]["timeout"]["default"]).seconds == 60


def test_every_key_is_described() -> None:
    """Each key carries a description for editors to show, its own or that of what it refers to."""
    schema = config_schema()
    for section in ("KeySource", "Limits", "Price", "Provider", "TaskClass", "Tier"):
        for name, key in schema["$defs"][section]["properties"].items():
            referred = schema["$defs"].get(key.get("$ref", "").rpartition("/")[2], {})
            assert key.get("description") or referred.get("description"), f"{section}.{name}"


REFUSED: list[dict[str, dict[str, Any]]] = [
    {"provider": {"colour": "red"}},
    {"provider": {"name": "beta"}},
    {"provider": {"kind": "carrier-pigeon"}},
    {"provider": {"api_key": "sk-something"}},
    {"provider": {"api_key": {}}},
    {"provider": {"api_key": {"env": "A", "file": "b"}}},
    {"provider": {"api_key": {"env": "not-a-variable"}}},
    {"provider": {"limits": {"rpm": -1}}},
    {"provider": {"tiers": {}}},
    {"provider": {"tiers": {"Main Tier": {"model": "m"}}}},
    {"tier": {"quality": 1.5}},
    {"tier": {"timeout": 60}},
    {"tier": {"timeout": "soon"}},
    {"tier": {"price": {"input": 1}}},
    {"task_class": {"route": []}},
    {"task_class": {"on_refused": "ignore"}},
    {"task_class": {"max_attempts": 0}},
]


@pytest.mark.parametrize("changes", REFUSED)
def test_schema_and_table_refuse_alike(changes: dict[str, dict[str, Any]]) -> None:
    """What the schema refuses within one section, the route table refuses too."""
    raw = raw_table(**changes)
    assert not VALIDATOR.is_valid(raw)
    found: tuple[Problem, ...] = problems_of(raw)
    assert found


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"provider": {"api_key": {"file": "secrets/alpha"}}},
        {"tier": {"timeout": "1m 30s", "burst": "250ms"}},
        {"tier": {"price": {"input": 0.25, "output": 2, "cached_input": 0}}},
        {"task_class": {"spill_after": 0, "deadline": "1.5h"}},
    ],
)
def test_schema_and_table_accept_alike(changes: dict[str, dict[str, Any]]) -> None:
    """What the route table accepts, the schema accepts too."""
    raw = raw_table(**changes)
    assert problems_of(raw) == ()
    assert [error.message for error in VALIDATOR.iter_errors(raw)] == []
