"""What Google's errors mean.

Sources: ai.google.dev, API errors and rate limits; google/api/error_reason.proto and google/rpc/error_details.proto;
what python-genai, gemini-cli and others were answered (issues googleapis/python-genai 2044, google-gemini/gemini-cli
6678 and 22486).
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from pointsman_routes import OutcomeKind

from .failure import Failure, quota_violations
from .payload import object_of, text_of
from .signal_table import Signal

_PACIFIC: Final = ZoneInfo("America/Los_Angeles")
_NONE_AT_ALL: Final = re.compile(r"\blimit: 0(?![.\d])")
_PER_DAY: Final = re.compile(r"per_?day")
_MONEY: Final = re.compile(r"spend(?:ing)? (?:cap|limit)|credits? (?:are|is|have been) depleted")
_TOO_MUCH_HERE: Final = re.compile(r"input token count|maximum number of tokens|but the supported range is")
_ACCOUNT: Final = re.compile(r"\blocation\b|\bcountry\b|\bregion\b|free tier|billing|\bpolicy\b")
_THINKING: Final = re.compile(
    r"\bthinking|thinking_(?:level|budget|config)|thought[ _]?signature|budget -?\d+ is invalid"
)
_SCHEMA: Final = re.compile(r"schema|too many states|function_?declarations?\b")
_TURNS: Final = re.compile(r"please ensure that (?:the number of )?(?:function|multiturn|single ?turn)")
_ADDRESS: Final = re.compile(
    r"cannot fetch|fetch content from|file ?ur[il]\b|unknown name .{0,200}cannot find field", re.DOTALL
)
_BAD_REQUEST: Final = frozenset({400})
_TOO_MANY: Final = frozenset({429})


def _nothing_allowed(failure: Failure) -> bool:
    """Whether the account has no quota for this model at all.

    The message says "limit: 0", or the details have the value "0". A quota without a value may be one of 0, since
    protobuf leaves a zero out, or one whose value is not told: that it is none cannot be known from it.
    """
    told = any(quota.get("quotaValue") in ("0", 0) for quota in quota_violations(failure.details))
    return told or _NONE_AT_ALL.search(failure.message) is not None


def _of_the_day(failure: Failure) -> bool:
    """Whether a limit per day is used up, be it among others."""
    return any(_PER_DAY.search(name.lower()) for name in _quota_names(failure)) or "per day" in failure.message


def _quota_names(failure: Failure) -> Iterator[str]:
    """`GenerateRequestsPerDayPerProjectPerModel-FreeTier` and the like."""
    for quota in quota_violations(failure.details):
        yield text_of(quota.get("quotaId")) or ""
    for detail in failure.details:
        yield text_of(object_of(detail.get("metadata")).get("quota_limit")) or ""


def _until_midnight(failure: Failure) -> float:
    """Seconds until midnight Pacific time, when limits per day begin anew (ai.google.dev, rate limits).

    The RetryInfo of such an error is no guide: seconds, for a limit that has hours to go.
    """
    tomorrow = failure.now.astimezone(_PACIFIC).date() + timedelta(days=1)
    midnight = datetime.combine(tomorrow, time(), _PACIFIC)
    # In UTC: between two moments of one zone Python counts by the clock on the wall, an hour off twice a year.
    return max(0.0, (midnight.astimezone(UTC) - failure.now).total_seconds())


GOOGLE_SIGNALS: Final = (
    Signal(
        says="400 with the reason `API_KEY_INVALID`",
        status=_BAD_REQUEST,
        names=frozenset({"api_key_invalid"}),
        outcome=OutcomeKind.UNAUTHORIZED,
    ),
    Signal(
        says="400 `FAILED_PRECONDITION` whose message speaks of the place, of billing or of a policy",
        status=_BAD_REQUEST,
        names=frozenset({"failed_precondition"}),
        words=_ACCOUNT,
        outcome=OutcomeKind.UNAUTHORIZED,
    ),
    # Such as a file that is not ready: it is about one job, and closes nothing.
    Signal(
        says="400 `FAILED_PRECONDITION` of another kind",
        status=_BAD_REQUEST,
        names=frozenset({"failed_precondition"}),
        outcome=OutcomeKind.UNSUPPORTED,
    ),
    Signal(
        says="429 whose message speaks of a spending cap or of depleted credits",
        status=_TOO_MANY,
        words=_MONEY,
        outcome=OutcomeKind.EXHAUSTED,
    ),
    Signal(
        says="429 of a quota of 0: none for this model",
        status=_TOO_MANY,
        when=_nothing_allowed,
        outcome=OutcomeKind.EXHAUSTED,
    ),
    Signal(
        says="429 of a quota per day; until midnight Pacific time, whatever its RetryInfo says",
        status=_TOO_MANY,
        when=_of_the_day,
        outcome=OutcomeKind.EXHAUSTED,
        reset_s=_until_midnight,
    ),
    Signal(
        says="400 whose message says that tokens are beyond the model's range",
        status=_BAD_REQUEST,
        words=_TOO_MUCH_HERE,
        outcome=OutcomeKind.UNSUPPORTED,
    ),
    Signal(
        says="400 whose message speaks of thinking, or of a thought signature",
        status=_BAD_REQUEST,
        words=_THINKING,
        outcome=OutcomeKind.UNSUPPORTED,
    ),
    Signal(
        says="400 whose message speaks of a schema",
        status=_BAD_REQUEST,
        words=_SCHEMA,
        outcome=OutcomeKind.UNSUPPORTED,
    ),
    Signal(
        says="400 whose message asks for another order of turns",
        status=_BAD_REQUEST,
        words=_TURNS,
        outcome=OutcomeKind.UNSUPPORTED,
    ),
    Signal(
        says="400 of an image that could not be fetched, or of a field this version of the API does not have",
        status=_BAD_REQUEST,
        words=_ADDRESS,
        outcome=OutcomeKind.UNSUPPORTED,
    ),
)
"""Most particular first. What it says in a 400 about a model's own bounds moves the job: another model has others."""

GOOGLE_SIGNALS_ANY_STATUS: Final = (
    Signal(
        says="403 whose message says that a file, which a job may name, is not to be read",
        status=frozenset({403}),
        words=re.compile(r"permission to access the file\b"),
        outcome=OutcomeKind.UNSUPPORTED,
    ),
    Signal(says="501 `UNIMPLEMENTED`", names=frozenset({"unimplemented"}), outcome=OutcomeKind.UNSUPPORTED),
)
