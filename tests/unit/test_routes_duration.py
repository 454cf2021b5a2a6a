"""Durations as people write them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman_routes import format_duration, parse_duration

_TEN_YEARS_MS = 3650 * 86_400_000


@given(st.integers(0, _TEN_YEARS_MS))
def test_round_trip(milliseconds: int) -> None:
    """What is written is read back as the same value, to the millisecond."""
    value = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(value)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("250ms", timedelta(milliseconds=250)),
        ("60s", timedelta(minutes=1)),
        ("5m", timedelta(minutes=5)),
        ("1h30m", timedelta(minutes=90)),
        ("1h 30m", timedelta(minutes=90)),
        ("1.5h", timedelta(minutes=90)),
        ("30d", timedelta(days=30)),
        ("3650d", timedelta(days=3650)),
        ("0", timedelta()),
        ("0s", timedelta()),
        (0, timedelta()),
        (timedelta(seconds=7), timedelta(seconds=7)),
    ],
)
def test_read(text: object, value: timedelta) -> None:
    """A number with its unit, or several, is a duration; so is nothing at all."""
    assert parse_duration(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "5", "5 minutes", "m", "-5m", "1e3s", "5m?", "soon", "1h-30m", 5, 1.5, 0.0, None, True, False, [], {"s": 1}],
)
def test_unreadable(text: object) -> None:
    """Anything else is refused with examples of what to write: a bare number has no unit to guess."""
    with pytest.raises(ValueError, match="write a number with its unit"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["3651d", "3650d1ms", "9" * 400 + "d"])
def test_too_long(text: str) -> None:
    """More than ten years is a typing mistake."""
    with pytest.raises(ValueError, match="longer than ten years"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (timedelta(), "0"),
        (timedelta(milliseconds=250), "250ms"),
        (timedelta(seconds=90), "1m30s"),
        (timedelta(days=1, hours=1), "1d1h"),
        (timedelta(microseconds=1), "0"),
    ],
)
def test_written(value: timedelta, text: str) -> None:
    """A duration is written in the largest units that fit, and below a millisecond as nothing."""
    assert format_duration(value) == text
