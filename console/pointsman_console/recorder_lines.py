"""What `status` says of the recorders and of what they count."""

from collections.abc import Iterable, Mapping
from typing import Any

from pointsman_queue import Overview

from .forecast import in_words

QUIET_S = 10.0
"""A recorder that has not got through a round for so long gets a word. A sound one does so at least every second."""

_SEE = {"quarantined": "pointsman audit list --kind quarantined", "stranded": "pointsman audit reconcile --dry-run"}

Healths = Mapping[str, Mapping[str, Any]]
"""What each living recorder told, by its id."""


def line_counts(overview: Overview) -> dict[str, int | None]:
    """What the line as a whole counts, as `--json` shows it; None where no living recorder knows.

    Of several recorders' counts the largest: each tells of the same ledger, some a little later than others.
    """
    return {
        "held": overview.held,
        "unrecorded": overview.outbox,
        "recorders": len(overview.recorders),
        "quarantined": _most(overview.recorders, "quarantined"),
        "stranded": _most(overview.recorders, "stranded"),
        "unsigned": _most(overview.recorders, "unsigned"),
    }


def recorder_lines(overview: Overview) -> Iterable[str]:
    """The lines under the table: each recorder, then what they count; or that there is none, and what to do."""
    if not overview.recorders:
        waiting = f", and {overview.outbox:,} records wait for one" if overview.outbox else ""
        yield f"no recorder is running{waiting}; start one with `pointsman recorder`"
        return
    for name, health in overview.recorders.items():
        yield f"recorder {name}: {_faring(health)}"
    counts = line_counts(overview)
    yield "; ".join(
        (
            _counted(counts, "quarantined", "quarantined entries"),
            _counted(counts, "stranded", "stranded jobs"),
            _counted(counts, "unsigned", "records not yet signed"),
        )
    )


def _faring(health: Mapping[str, Any]) -> str:
    quiet_s = health.get("quiet_s") or 0.0
    if quiet_s >= QUIET_S:
        return f"has not got on for {in_words(quiet_s)}; its log says what it waits for"
    return f"{_figure(health.get('per_s'))} records a second, at record {_figure(health.get('seq'))}"


def _counted(counts: Mapping[str, int | None], name: str, what: str) -> str:
    count = counts[name]
    see = f" (see `{_SEE[name]}`)" if count and name in _SEE else ""
    return f"{_figure(count)} {what}{see}"


def _figure(value: float | None) -> str:
    return "?" if value is None else f"{value:,}"


def _most(recorders: Healths, name: str) -> int | None:
    told = [health.get(name) for health in recorders.values()]
    return max((count for count in told if count is not None), default=None)
