"""How long a vendor asks to wait: in its headers, or else in the error itself."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from .payload import object_of, text_of
from .vendor_time import duration_of, http_date_of, seconds_of, seconds_until

_LONGEST_S: Final = 999_999_999.0
_IN_WORDS: Final = re.compile(
    r"(?i)\b(?:try again|retry) (?:in|after) (?:([0-9][0-9.hms]{0,40}[hms])|([0-9.]{1,40}) seconds?)(?![0-9a-z])"
)
_LONGEST_READ: Final = 2000


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait, from `retry-after-ms` or else `retry-after`; None when neither says anything usable.

    `retry-after-ms` is OpenAI's and Azure's, and read first by their SDKs. `retry-after` is RFC 9110, section
    10.2.3: seconds or a date; vendors also send fractions. Nothing is capped here: a wait of a week is a fact.

    Args:
        headers: names in lower case.
        now: our own clock, which a date is counted from when the reply names no date of its own; aware. A date
            in the past says nothing usable: it is stale.
    """
    milliseconds = seconds_of(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    given = headers.get("retry-after")
    seconds = seconds_of(given)
    if seconds is not None or given is None:
        return seconds
    moment = http_date_of(given)
    return _sane(seconds_until(moment, headers, now)) if moment is not None else None


def told_wait_s(error: Mapping[str, object], message: str) -> float | None:
    """Seconds to wait, from the error itself; None when it says nothing usable.

    Google: `error.details` holds a `google.rpc.RetryInfo` with a `retryDelay` such as `27s` or `45.25s`. For a limit
    per day that is often far too short; that such a limit is no matter of waiting is for the codec to see. OpenAI's,
    Azure's and Google's messages say "try again in 1.2s", "retry after 9 seconds", "retry in 45.25s".

    Args:
        error: the error's object, of any shape.
        message: its message.
    """
    details = error.get("details")
    for entry in details if isinstance(details, list) else ():
        detail = object_of(entry)
        if (text_of(detail.get("@type")) or "").endswith("google.rpc.RetryInfo"):
            delay = _sane(duration_of(text_of(detail.get("retryDelay"))))
            if delay is not None:
                return delay
    found = _IN_WORDS.search(message[:_LONGEST_READ])
    if found is None:
        return None
    return _sane(duration_of(found[1]) if found[1] else seconds_of(found[2]))


def _sane(seconds: float | None) -> float | None:
    return seconds if seconds is not None and seconds <= _LONGEST_S else None
