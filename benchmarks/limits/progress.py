"""A line on standard error every few seconds while a run lasts."""

import sys
import time
from dataclasses import dataclass, field

_EVERY_S = 5.0


@dataclass(slots=True, kw_only=True)
class Progress:
    """Counts answered jobs."""

    label: str
    total: int
    answered: int = 0
    _began: float = field(default_factory=time.monotonic)
    _said: float = field(default_factory=time.monotonic)

    def one(self) -> None:
        """Another job has its answer."""
        self.answered += 1
        if time.monotonic() - self._said >= _EVERY_S:
            self.say(f"{self.answered:,} of {self.total:,} answered")

    def say(self, what: str) -> None:
        """Print a line."""
        self._said = time.monotonic()
        print(f"{self._said - self._began:6.1f} s  {self.label}: {what}", file=sys.stderr, flush=True)
