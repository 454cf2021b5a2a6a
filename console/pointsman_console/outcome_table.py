"""How calls ended, by tier and class, as a table: counts, and the shares of what was no answer."""

from collections.abc import Iterable, Mapping
from typing import Any

from pointsman_routes import OutcomeKind

from . import screen
from .printable import printable

_SHOWN = {
    "OK": (OutcomeKind.OK,),
    "EMPTY": (OutcomeKind.EMPTY,),
    "TRUNC": (OutcomeKind.TRUNCATED,),
    "REFUSED": (OutcomeKind.REFUSED,),
    "MISROUTED": (OutcomeKind.MISROUTED,),
    "BROKEN": (OutcomeKind.TRANSIENT, OutcomeKind.OVERLOADED, OutcomeKind.UNKNOWN),
    "WAIT": (OutcomeKind.THROTTLED,),
}
"""Column -> outcomes; what is in none of them is under OTHER."""

Counts = Mapping[str, int]
"""Outcome -> calls."""
Ends = tuple[str, str, Counts]
"""A tier, a class, and how its calls ended."""


def outcome_table(rows: Iterable[Ends], *, title: str) -> None:
    """Show shares of calls in percent.

    Args:
        rows: each with at least one call.
        title: over the table.
    """
    shown = [
        (printable(tier), printable(task_class), f"{sum(counts.values()):,}", *_shares(counts))
        for tier, task_class, counts in rows
    ]
    if shown:
        screen.table(("TIER", "CLASS", "CALLS", *_SHOWN, "OTHER"), shown, title=title)


def outcome_object(tier: str, task_class: str, counts: Counts) -> dict[str, Any]:
    """The same for a program: every outcome that occurred, with its calls."""
    return {"tier": tier, "class": task_class, "calls": sum(counts.values()), "outcomes": dict(sorted(counts.items()))}


def _shares(counts: Counts) -> Iterable[str]:
    total = sum(counts.values())
    rest = total
    for outcomes in _SHOWN.values():
        part = sum(counts.get(outcome.value, 0) for outcome in outcomes)
        rest -= part
        yield _percent(part, total)
    yield _percent(rest, total)


def _percent(part: int, total: int) -> str:
    """Nothing is a dash, and a little is never rounded to nothing, nor nearly all to all."""
    if part == 0:
        return "-"
    share = 100 * part / total
    if share < 0.1:
        return "<0.1%"
    return f"{min(share, 99.9) if part < total else 100:.{0 if part == total else 1}f}%"
