"""Moments and spans of a story, in words: moments in UTC, spans from one step to the next."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

_NAMES = {"accepted": "accepted_at", "attempt_started": "started_at", "attempt_finished": "finished_at"}
_MICROSECOND = timedelta(microseconds=1)
_SHORT_US = 120_000_000


def time_of(record: Mapping[str, Any]) -> datetime | None:
    """A record's own time; None if it has none."""
    kind = record.get("kind")
    name = "finished_at" if kind == "final" else _NAMES.get(str(kind), "at")
    return read_time(record.get(name))


def read_time(text: object) -> datetime | None:
    """A moment as records are shown with; None if it is none."""
    if not isinstance(text, str):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def in_utc(moment: datetime | None) -> str:
    """`2026-01-31 09:30:00.25 UTC`: as exact as it is, and no more digits."""
    if moment is None:
        return "at an unknown time"
    text = moment.replace(tzinfo=None).isoformat(sep=" ")
    return f"{text.rstrip('0') if '.' in text else text} UTC"


def span(seconds: timedelta) -> str:
    """`0.808 s`, from two minutes on `1h 02m 03s`; what is not zero is not shown as zero."""
    micros = abs(seconds) // _MICROSECOND
    sign = "-" if seconds < timedelta() else ""
    if micros >= _SHORT_US:
        minutes, rest = divmod(micros // 1_000_000, 60)
        hours, minutes = divmod(minutes, 60)
        days, hours = divmod(hours, 24)
        parts = [f"{days}d"] * bool(days) + [f"{hours:02}h"] * bool(days or hours) + [f"{minutes:02}m {rest:02}s"]
        return sign + " ".join(parts).lstrip("0")
    digits = 3 if micros == 0 or micros >= 500 else 6
    return f"{sign}{micros / 1_000_000:.{digits}f} s"


def after(earlier: datetime | None, later: datetime | None) -> str:
    """How long after a moment another one was, with its sign; a question mark where either is unknown."""
    if earlier is None or later is None:
        return "?"
    gone = later - earlier
    return f"{'' if gone < timedelta() else '+'}{span(gone)}"
