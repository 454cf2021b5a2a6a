"""What a vendor's headers say is left of its limits, in every spelling in use.

Sources: OpenAI: rate limits guide; Azure OpenAI: quota how-to, and openai-dotnet issue 838 for the -1; Groq: rate
limits; Anthropic: API reference, rate limits, response headers; Cerebras: rate limits; Mistral: not documented,
its clients. xAI, llmock and many a gateway write OpenAI's.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from pointsman_routes import Allowance, LimitName

from .vendor_time import duration_of, moment_of, seconds_of, seconds_until

_COUNT: Final = re.compile(r"[0-9]{1,13}")
_MOST: Final = 10**12
_LONGEST_RESET_S: Final = 32 * 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spelling:
    """The headers of one limit. Of several names for one field the first that says something usable counts."""

    name: LimitName
    limit: tuple[str, ...]
    remaining: tuple[str, ...]
    reset: str
    window_unsaid: bool = False
    """The names do not say whether the requests are per minute or per day."""


def _anthropic(name: LimitName, what: str) -> _Spelling:
    stem = f"anthropic-ratelimit-{what}"
    return _Spelling(name=name, limit=(f"{stem}-limit",), remaining=(f"{stem}-remaining",), reset=f"{stem}-reset")


def _openai(name: LimitName, what: str, *, window_unsaid: bool = False) -> _Spelling:
    return _Spelling(
        name=name,
        limit=(f"x-ratelimit-limit-{what}",),
        remaining=(f"x-ratelimit-remaining-{what}",),
        reset=f"x-ratelimit-reset-{what}",
        window_unsaid=window_unsaid,
    )


_SPELLINGS: Final = (
    # Those that name their window come first: a gateway may add headers of its own that don't.
    _anthropic("rpm", "requests"),
    _anthropic("tpm", "tokens"),
    _anthropic("itpm", "input-tokens"),
    _anthropic("otpm", "output-tokens"),
    _openai("rpm", "requests-minute"),
    _openai("rpm", "req-minute"),
    _openai("tpm", "tokens-minute"),
    _openai("rpd", "requests-day"),
    _openai("rpm", "requests", window_unsaid=True),
    _openai("tpm", "tokens"),
    _Spelling(
        name="tpm",
        limit=("x-ratelimitbysize-limit-minute", "ratelimitbysize-limit"),
        remaining=("x-ratelimitbysize-remaining-minute", "ratelimitbysize-remaining"),
        reset="ratelimitbysize-reset",
    ),
)
"""Left out: limits per hour and per month, and tokens per day, which no bucket of ours counts."""


def counts_requests_per_day(base_url: str) -> bool:
    """Whether this vendor's `-requests` headers are about the day: Groq's are, its tokens are per minute."""
    return (urlsplit(base_url).hostname or "").rstrip(".").endswith(".groq.com")


def read_allowances(headers: Mapping[str, str], now: datetime, *, requests_per_day: bool) -> tuple[Allowance, ...]:
    """What is left of each limit, at most one allowance a limit.

    A field nobody can read is None, and an allowance that says neither its limit nor what is left is none. How long a
    bucket takes to refill would tell a limit per day from one per minute, but not from a window that was just begun,
    so only the host decides. A moment is counted from the vendor's own clock. Both that clock and Anthropic's moments
    count whole seconds, so such a reset is off by up to one second either way; and Anthropic rounds the tokens left to
    thousands.

    Args:
        headers: names in lower case.
        now: our own clock, for a reply that names no date; aware.
        requests_per_day: what `-requests` headers without a window mean; see `counts_requests_per_day`.
    """
    found: dict[LimitName, Allowance] = {}
    for spelling in _SPELLINGS:
        limit, remaining = _first_count(spelling.limit, headers), _first_count(spelling.remaining, headers)
        if limit is None and remaining is None:
            continue
        if limit is not None and remaining is not None:
            remaining = min(remaining, limit)
        reset_s = _reset_s(headers.get(spelling.reset), headers, now)
        name: LimitName = "rpd" if spelling.window_unsaid and requests_per_day else spelling.name
        found.setdefault(name, Allowance(name=name, limit=limit, remaining=remaining, reset_s=reset_s))
    if found.keys() >= {"itpm", "otpm"}:
        # Anthropic's `tokens` then shows whichever limit is tightest at the moment, so now one and now another.
        found.pop("tpm", None)
    return tuple(found.values())


def _first_count(names: tuple[str, ...], headers: Mapping[str, str]) -> int | None:
    return next((count for count in (_count(headers.get(name)) for name in names) if count is not None), None)


def _count(text: str | None) -> int | None:
    digits = (text or "").strip(" \t")
    if not _COUNT.fullmatch(digits):
        return None
    count = int(digits)
    return count if count <= _MOST else None


def _reset_s(text: str | None, headers: Mapping[str, str], now: datetime) -> float | None:
    if text is None:
        return None
    reset_s = seconds_of(text)
    if reset_s is None:
        reset_s = duration_of(text)
    if reset_s is None and (moment := moment_of(text)) is not None:
        reset_s = seconds_until(moment, headers, now)
    return reset_s if reset_s is not None and reset_s <= _LONGEST_RESET_S else None
