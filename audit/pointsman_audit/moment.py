"""Moments: microseconds since the epoch in storage, ISO-8601 in UTC for people."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]
"""Tells the time; the datetime has a time zone."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
LATEST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
"""The last moment that has a calendar date."""


def utc_now() -> datetime:
    """The present, by this machine's clock."""
    return datetime.now(UTC)


def to_micros(moment: datetime) -> int:
    """Microseconds since the epoch; exact, which `timestamp()` is not."""
    return (moment - _EPOCH) // _MICROSECOND


def to_iso(micros: int) -> str:
    """A moment as `2025-01-31T09:30:00.000001Z`, always with six digits."""
    moment = (_EPOCH + timedelta(microseconds=micros)).replace(tzinfo=None)
    return f"{moment.isoformat(timespec='microseconds')}Z"
