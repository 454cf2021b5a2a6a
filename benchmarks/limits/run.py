"""What came of a run, read from the vendor's own list of its calls."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class Call(NamedTuple):
    """One call as the vendor saw it."""

    at: float
    """Arrival, in seconds of the vendor's own monotonic clock."""
    status: int
    tokens: int
    """What it costs; 0 where the vendor does not say."""
    model: str


class End(NamedTuple):
    """How a contestant ended."""

    answered: int
    """Jobs that have their answer."""
    stopped: bool
    """Whether it took too long and was stopped: then it had not got to some of the lost jobs."""


class MeasurementFailed(Exception):
    """A run gives no figures; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One contestant against one vendor."""

    jobs: int
    end: End
    ideal_s: float
    """The shortest time the vendor's limit allows for the jobs that were answered."""
    calls: Sequence[Call]

    @property
    def lost(self) -> int:
        """Jobs without an answer."""
        return self.jobs - self.end.answered

    @property
    def measured_s(self) -> float:
        """From the first call's arrival to that of the last one admitted: what the limit governs."""
        last = max((call.at for call in self.calls if call.status == 200), default=None)
        return 0.0 if last is None else last - self.calls[0].at

    @property
    def share(self) -> float:
        """Ideal time as a share of the measured."""
        return self.ideal_s / self.measured_s if self.measured_s else 0.0

    @property
    def refused(self) -> int:
        """Calls answered with 429: those over the limit."""
        return sum(call.status == 429 for call in self.calls)

    @property
    def refused_share(self) -> float:
        """Of all calls."""
        return self.refused / len(self.calls) if self.calls else 0.0

    @property
    def busiest_minute(self) -> int:
        """Most calls admitted in any 60 s, whatever the vendor itself thinks of it."""
        admitted = [call.at for call in self.calls if call.status == 200]
        most = first = 0
        for last, at in enumerate(admitted):
            while admitted[first] <= at - 60:
                first += 1
            most = max(most, last - first + 1)
        return most

    @property
    def middle(self) -> dict[str, float]:
        """Each model's share of the calls in the middle third of the time."""
        start, third = (self.calls[0].at if self.calls else 0.0), self.measured_s / 3
        counts = Counter(call.model for call in self.calls)
        within = Counter(call.model for call in self.calls if third <= call.at - start < 2 * third)
        return {model: within[model] / max(1, within.total()) for model in sorted(counts)}

    def write_calls(self, path: Path) -> None:
        """Write the list, one object a line; `at` counts from the first call."""
        lines = (json.dumps(call._asdict() | {"at": round(call.at - self.calls[0].at, 6)}) for call in self.calls)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
