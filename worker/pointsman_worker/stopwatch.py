"""How long a call takes."""

import time
from collections.abc import Callable

Nanoseconds = Callable[[], int]
"""A clock that nobody sets and that never goes back; where it begins says nothing."""


class Stopwatch:
    """Runs from when it is made."""

    def __init__(self, clock: Nanoseconds = time.perf_counter_ns) -> None:
        self._clock = clock
        self._began = clock()

    @property
    def elapsed_us(self) -> int:
        """Microseconds until now, rounded down."""
        return (self._clock() - self._began) // 1000
