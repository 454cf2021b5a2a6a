"""Durations as people write them in the configuration: `1s`, `250ms`, `5m`, `1h30m`, `30d`."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_WHOLE = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
_LONGEST = timedelta(days=3650)


def parse_duration(text: object) -> timedelta:
    """Read a duration.

    Args:
        text: a string such as `"250ms"`, `"5m"` or `"1h30m"`; `"0"`; or a timedelta, handed back.

    Raises:
        ValueError: it is none of these, or longer than ten years.
    """
    if isinstance(text, timedelta):
        return text
    if text in ("0", 0):
        return timedelta()
    if not isinstance(text, str) or not _WHOLE.fullmatch(text.replace(" ", "")):
        raise ValueError('write a duration with its unit, such as "250ms", "60s", "5m", "1h" or "30d"')
    parts = _PART.findall(text.replace(" ", ""))
    if sum(float(amount) * _UNITS[unit].total_seconds() for amount, unit in parts) > _LONGEST.total_seconds():
        raise ValueError("a duration is at most ten years")
    return sum((float(amount) * _UNITS[unit] for amount, unit in parts), timedelta())


def format_duration(value: timedelta) -> str:
    """Write a duration so that `parse_duration` reads the same value back, to the millisecond."""
    rest = round(value.total_seconds() * 1000)
    if rest == 0:
        return "0"
    text = ""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)):
        count, rest = divmod(rest, size)
        text += f"{count}{unit}" if count else ""
    return text


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["250ms", "60s", "5m", "1h", "30d"]}),
]
"""A timedelta written as text; canonical in the policy digest."""
