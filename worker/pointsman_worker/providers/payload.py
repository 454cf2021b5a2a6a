"""Writing JSON, and reading vendors' without trusting its shape: a field of the wrong type is an absent one."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json

_MOST_TOKENS = 1_000_000_000
"""A count above it is nonsense and would not fit where counts are stored."""
_MOST_BRACKETS = 200_000
"""No answer has as many objects and lists. Made of nothing else, one of a few megabytes would fill the memory, and stop
the worker for seconds."""


def parse_object(body: bytes) -> Mapping[str, object] | None:
    """The JSON object in a body, or None when there is none.

    Some vendors wrap an error's object in a list; a list of one object is that object. The parser refuses
    what Python's own lets through and cannot store: lone surrogates, nesting without end.
    """
    if body.count(b"{") + body.count(b"[") > _MOST_BRACKETS:
        return None
    try:
        parsed: object = from_json(body, allow_inf_nan=False)
    except ValueError:
        return None
    if isinstance(parsed, list) and len(parsed) == 1:
        parsed = parsed[0]
    return parsed if isinstance(parsed, dict) else None


def object_of(value: object) -> Mapping[str, object]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def text_of(value: object) -> str | None:
    """The value if it is a string with something in it."""
    return value if isinstance(value, str) and value else None


def count_of(value: object) -> int | None:
    """The value if it can be a number of tokens."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= _MOST_TOKENS else None


def read_arguments(text: str) -> dict[str, Any] | None:
    """The arguments of a call as the object they stand for; None if they are none, or cannot be written again."""
    try:
        parsed: object = from_json(text, allow_inf_nan=False)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) and write_arguments(parsed) is not None else None


def write_arguments(arguments: Mapping[str, object]) -> str | None:
    """The arguments of a call as text; None if JSON cannot have them: 1e999 is read as infinity."""
    try:
        return json.dumps(arguments, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        return None


def to_json(body: Mapping[str, object]) -> bytes:
    """Compact JSON in UTF-8; a Job holds no text that cannot be written so."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
