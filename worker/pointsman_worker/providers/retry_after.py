"""How long a vendor asks to wait."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

_NUMBER: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait, from `retry-after-ms` or else `retry-after`; None when neither says anything usable.

    `retry-after-ms` is OpenAI's and Azure's, and read first by their SDKs. `retry-after` is RFC 9110, section
    10.2.3: seconds or a date; vendors also send fractions. Nothing is capped here: a wait of a day is a fact.

    Args:
        headers: names in lower case.
        now: the moment a date is counted from; aware. A date in the past says nothing usable: the vendor's
            clock and ours differ, or the header is stale.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    given = headers.get("retry-after")
    seconds = _number(given)
    if seconds is not None or given is None:
        return seconds
    try:
        moment = parsedate_to_datetime(given)
        wait = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return wait.total_seconds() if wait.total_seconds() >= 0 else None


def _number(text: str | None) -> float | None:
    # Only what RFC 9110 calls white space: str.strip() takes more than float() forgives.
    number = (text or "").strip(" \t")
    return float(number) if _NUMBER.fullmatch(number) else None
