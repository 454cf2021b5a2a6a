"""One line of the report."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A figure, what it is compared with, and whether it reaches its target."""

    what: str
    ours: str
    baseline: str
    ratio: str
    target: str
    reached: bool


def percentile(values: list[float], share: float) -> float:
    """The value below which this share of the values lies, by nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
