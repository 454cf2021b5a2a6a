"""Time as vendors write it: seconds, durations, moments, and what their own clock shows.

Whatever cannot be one is None: nothing here raises, whatever stands in the text.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

_LONGEST: Final = 64
_NUMBER: Final = r"[0-9]{1,9}(?:\.[0-9]{1,30})?"
_SECONDS: Final = re.compile(_NUMBER)
_PART: Final = re.compile(rf"({_NUMBER})(h|ms|m|s|us|µs|ns)")
_DURATION: Final = re.compile(rf"(?:{_NUMBER}(?:h|ms|m|s|us|µs|ns))+")
_SECONDS_PER: Final[Mapping[str, float]] = {"h": 3600, "m": 60, "s": 1, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,30})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def seconds_of(text: str | None) -> float | None:
    """A plain decimal number, at most nine digits before the point: no sign, no exponent."""
    number = _trimmed(text)
    return float(number) if _SECONDS.fullmatch(number) else None


def duration_of(text: str | None) -> float | None:
    """The seconds of a duration as Go's `time.Duration` prints it: `20ms`, `6m0s`, `2m59.56s`, `1h2m3s`."""
    duration = _trimmed(text)
    if not _DURATION.fullmatch(duration):
        return None
    return sum(float(number) * _SECONDS_PER[unit] for number, unit in _PART.findall(duration))


def moment_of(text: str | None) -> datetime | None:
    """A moment of RFC 3339, with its zone."""
    moment = _trimmed(text)
    if not _MOMENT.fullmatch(moment):
        return None
    try:
        return datetime.fromisoformat(moment.upper())
    except ValueError:
        return None


# A worker reads thousands of replies a minute and nearly all of them carry the date of one second or the next.
@lru_cache(maxsize=64)
def http_date_of(text: str) -> datetime | None:
    """A date of RFC 9110, section 5.6.7, in UTC; one without a zone is taken for UTC.

    A year before 1970 or after 9998 is nonsense, and would overflow whoever reckons with it.
    """
    try:
        moment = parsedate_to_datetime(_trimmed(text))
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if 1970 <= moment.year < 9999 else None


def vendor_now(headers: Mapping[str, str], now: datetime) -> datetime:
    """What the vendor's clock showed when it answered: its `date` header (RFC 9110, section 6.6.1), else ours.

    Workers' clocks differ by minutes; a moment the vendor names is meant by its own. The header counts whole
    seconds, so what is counted from it is off by up to one, either way.

    Args:
        headers: names in lower case.
        now: our own clock; aware.
    """
    given = headers.get("date")
    return (http_date_of(given) if given is not None else None) or now


def seconds_until(moment: datetime, headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds from the vendor's now until a moment; None for one that has passed."""
    wait = (moment - vendor_now(headers, now)).total_seconds()
    return wait if wait >= 0 else None


def _trimmed(text: str | None) -> str:
    # Only what RFC 9110 calls white space: str.strip() takes more than float() forgives. Nothing that
    # means a time is long, and a length without end is not worth looking at.
    return text.strip(" \t") if text is not None and len(text) <= _LONGEST else ""
