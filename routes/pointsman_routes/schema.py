"""The JSON Schema of `pointsman.toml`, for editors and for checks outside this program."""

from datetime import timedelta
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from .duration import format_duration
from .route_table import RouteTable

_NAMED = ("Provider", "TaskClass", "Tier")
"""Sections whose `name` is filled in from where they stand in the file."""


def config_schema() -> dict[str, Any]:
    """The schema of the configuration as a person writes it.

    It says what a single section may hold. What must hold between sections (routes, floors, regions,
    retention, windows) no schema can say; `read_route_table` checks that.
    """
    schema = RouteTable.model_json_schema(schema_generator=_AsWritten)
    for section in _NAMED:
        del schema["$defs"][section]["properties"]["name"]
    written = _without_null(schema)
    return {"$schema": GenerateJsonSchema.schema_dialect, **written, "title": "pointsman.toml"}


class _AsWritten(GenerateJsonSchema):
    """Defaults in the spelling of the file."""

    def encode_default(self, dft: Any) -> Any:
        return format_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def _without_null(node: Any) -> Any:
    """The same schema where an absent key is absent: TOML has no null. Only keys of the pattern are keys."""
    if isinstance(node, list):
        return [_without_null(item) for item in node]
    if not isinstance(node, dict):
        return node
    clean = {key: _without_null(value) for key, value in node.items() if not (key == "default" and value is None)}
    choices = clean.get("anyOf")
    if isinstance(choices, list) and {"type": "null"} in choices:
        rest = [choice for choice in choices if choice != {"type": "null"}]
        clean = {**clean, "anyOf": rest} if len(rest) > 1 else {**_except(clean, "anyOf"), **rest[0]}
    if "patternProperties" in clean:
        clean["additionalProperties"] = False
    return clean


def _except(node: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in node.items() if name != key}
