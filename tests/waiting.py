"""Waiting for something to become true, instead of sleeping and hoping."""

import time
from collections.abc import Callable
from typing import TypeVar

_Found = TypeVar("_Found")
_POLL_S = 0.05
PATIENCE_S = 120.0
"""Far longer than anything takes: it ends a test that would never end."""


def wait_until(look: Callable[[], _Found], what: str, *, timeout_s: float = PATIENCE_S) -> _Found:
    """Look again and again until something is there.

    Args:
        look: answers what is there; anything false means not yet.
        what: names what is waited for, in the message of a failure.
        timeout_s: how long to look.

    Returns:
        What was found.
    """
    end = time.monotonic() + timeout_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, f"waited {timeout_s:g} s in vain until {what}"
        time.sleep(_POLL_S)
