"""How vendors keep a limit: a bucket that refills continuously, or a window that slides."""

import math
from collections import deque
from typing import Protocol

_WINDOW_S = 60.0
_HAIR = 1e-9
"""Rounding of floats is nobody's overdraft."""


class Limit(Protocol):
    """A limit of so much a minute, as one account has it. Times are seconds of a clock that never goes back."""

    per_minute: int

    def wait_s(self, amount: int, now: float) -> float:
        """Seconds until so much fits; 0 is now, infinity never."""
        ...

    def take(self, amount: int, now: float) -> None:
        """Charge so much, that fits."""
        ...

    def remaining(self, now: float) -> int:
        """What would fit now."""
        ...

    def reset_s(self, now: float) -> float:
        """What the vendor's reset header says, in seconds."""
        ...


class Bucket:
    """Refills continuously; full at the start. Its reset is the time until it is full again."""

    def __init__(self, per_minute: int, *, capacity_s: float, now: float) -> None:
        self.per_minute = per_minute
        self._rate = per_minute / 60
        self._capacity = max(1.0, self._rate * capacity_s)
        self._level = self._capacity
        self._at = now

    def wait_s(self, amount: int, now: float) -> float:
        """See `Limit`."""
        if amount > self._capacity:
            return math.inf
        self._refill(now)
        missing = amount - self._level
        return missing / self._rate if missing > _HAIR else 0.0

    def take(self, amount: int, now: float) -> None:
        """See `Limit`."""
        self._refill(now)
        self._level -= amount

    def remaining(self, now: float) -> int:
        """See `Limit`."""
        self._refill(now)
        return max(0, math.floor(self._level + _HAIR))

    def reset_s(self, now: float) -> float:
        """See `Limit`."""
        self._refill(now)
        return (self._capacity - self._level) / self._rate

    def _refill(self, now: float) -> None:
        self._level = min(self._capacity, self._level + (now - self._at) * self._rate)
        self._at = now


class Window:
    """Never more than the limit in any 60 s, counted at arrival. Its reset is when its oldest call leaves it."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._taken: deque[tuple[float, int]] = deque()
        self._sum = 0

    def wait_s(self, amount: int, now: float) -> float:
        """See `Limit`."""
        if amount > self.per_minute:
            return math.inf
        self._slide(now)
        excess = self._sum + amount - self.per_minute
        if excess <= 0:
            return 0.0
        for at, cost in self._taken:
            excess -= cost
            if excess <= 0:
                # Never 0: that would say it fits.
                return max(at + _WINDOW_S - now, _HAIR)
        return math.inf

    def take(self, amount: int, now: float) -> None:
        """See `Limit`."""
        self._taken.append((now, amount))
        self._sum += amount

    def remaining(self, now: float) -> int:
        """See `Limit`."""
        self._slide(now)
        return self.per_minute - self._sum

    def reset_s(self, now: float) -> float:
        """See `Limit`."""
        self._slide(now)
        return self._taken[0][0] + _WINDOW_S - now if self._taken else 0.0

    def _slide(self, now: float) -> None:
        while self._taken and self._taken[0][0] <= now - _WINDOW_S:
            self._sum -= self._taken.popleft()[1]
