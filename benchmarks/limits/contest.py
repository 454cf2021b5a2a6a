"""One contest: a vendor with its limits, jobs, how our line is set up for them, and what is asked of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pointsman_routes import Job

from .run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorPlan:
    """A vendor's limits, and how much of them it tells."""

    kind: Literal["llmock", "strict"] = "strict"
    rpm: int = 0
    tpm: int = 0
    enforce: Literal["bucket", "window"] = "bucket"
    capacity_s: float = 60.0
    """Seconds of the rate a bucket holds. llmock's always hold a minute."""
    headers: Literal["full", "none"] = "full"
    retry_after: bool = True
    latency_s: float = 0.2

    def ideal_s(self, requests: int, tokens: float) -> float:
        """The shortest time in which so much can be admitted, from the first call to the last.

        A bucket gives what it holds at once and the rest at its rate; a window gives its limit once a minute.
        """
        return max(self._shortest_s(requests, self.rpm), self._shortest_s(tokens, self.tpm))

    def _shortest_s(self, amount: float, per_minute: int) -> float:
        if not per_minute or amount <= 0:
            return 0.0
        if self.enforce == "window":
            return 60.0 * ((amount - 1) // per_minute)
        rate = per_minute / 60
        return max(0.0, amount - max(1.0, rate * self.capacity_s)) / rate


@dataclass(frozen=True, slots=True, kw_only=True)
class TierPlan:
    """A tier of ours, with a class that has it as its whole route."""

    limits: Mapping[str, int]
    """As the configuration states them; empty leaves them unset."""
    burst: str | None = None
    """None keeps the default."""
    workers: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a run must reach."""

    share: float = 0.0
    """Ideal time as a share of the time it took, at least."""
    refused: float = 1.0
    """429s as a share of all calls, at most."""
    window: int | None = None
    """Calls admitted in any 60 s, at most."""
    thirds: bool = False
    """Whether every tier must have a third of the calls in the middle third of the run."""

    def reached_by(self, run: Run) -> bool:
        """Whether a run reaches it. No job may be lost."""
        return (
            not run.lost
            and run.share >= self.share
            and run.refused_share <= self.refused
            and (self.window is None or run.busiest_minute <= self.window)
            and (not self.thirds or (len(run.middle) > 1 and min(run.middle.values()) >= 1 / 3))
        )

    def __str__(self) -> str:
        """In a few words."""
        parts = [f"share {self.share:.2f}"] if self.share else []
        parts.append("0 lost")
        if self.refused < 1:
            parts.append(f"429s up to {self.refused:.1%}" if self.refused else "0 calls over")
        if self.thirds:
            parts.append("a third each")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """One line of the table, or several: ours, and the others' beside it."""

    name: str
    title: str
    """How the limit is set, and the vendor: the strict one where nothing else is said; mute: without headers."""
    vendor: VendorPlan
    jobs: Callable[[], Sequence[Job]]
    tiers: Mapping[str, TierPlan]
    target: Target
    account: Mapping[str, int]
    """Limits of the account, shared by its tiers."""
    clock_ahead_s: int = 0
    """How far the clock of one of the workers is ahead."""
    others: bool = False
    """Whether the others run it too."""
    told_rpm: int = 0
    """The limit that whoever runs it is told; 0 is none."""
