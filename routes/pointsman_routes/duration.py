"""Durations as people write them in the configuration: `1s`, `250ms`, `5m`, `1h30m`, `30d`."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

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
    if text == "0" or (isinstance(text, int) and not isinstance(text, bool) and text == 0):
        return timedelta()
    if not isinstance(text, str) or not _WHOLE.fullmatch(text.replace(" ", "")):
        raise ValueError('not a duration; write a number with its unit, such as "250ms", "60s", "5m", "1h" or "30d"')
    parts = _PART.findall(text.replace(" ", ""))
    if sum(float(amount) * _UNITS[unit].total_seconds() for amount, unit in parts) > _LONGEST.total_seconds():
        raise ValueError('longer than ten years; write at most "3650d"')
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
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^(0|( *[0-9]+(\.[0-9]+)? *(ms|s|m|h|d))+ *)$"},
                {"const": 0},
            ],
            "examples": ["250ms", "60s", "5m", "1h", "30d"],
        }
    ),
]
"""A timedelta written as text; canonical in the policy digest."""


def _not_zero(value: timedelta) -> timedelta:
    if not value:
        raise ValueError("must be longer than nothing; write a time above 0")
    return value


PositiveDuration = Annotated[Duration, AfterValidator(_not_zero)]
"""A duration that cannot be zero: a timeout of nothing fails every call."""
