"""Records added up by class, tier, day and other words, as a table and as objects."""

from typing import TYPE_CHECKING, Any

from pointsman_routes import format_usd

from . import screen
from .printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pointsman_audit import GroupKey, RecordGroup

_FIGURES = ("RECORDS", "INPUT", "OUTPUT", "COST_USD", "P50", "P95", "FALLBACK", "DOWNGRADED")


def group_object(keys: "Sequence[GroupKey]", group: "RecordGroup") -> dict[str, Any]:
    """A group for a program. Sums are over what is known; how many records are not in them stands beside."""
    return {
        **{key.value: value for key, value in zip(keys, group.keys, strict=True)},
        "records": group.records,
        "input_tokens": group.input_tokens,
        "output_tokens": group.output_tokens,
        "unknown_tokens": group.unknown_tokens,
        "cost_microusd": group.cost_microusd,
        "cost_usd": None if group.cost_microusd is None else format_usd(group.cost_microusd),
        "unknown_cost": group.unknown_cost,
        "p50_us": group.p50_us,
        "p95_us": group.p95_us,
        "unknown_duration": group.unknown_duration,
        "fallback": group.fallback,
        "fallback_share": _share(group.fallback, group.records),
        "downgraded": group.downgraded,
        "downgraded_share": _share(group.downgraded, group.records),
    }


def group_table(keys: "Sequence[GroupKey]", groups: "Iterable[RecordGroup]") -> None:
    """Show groups, one a row; what is unknown stands beside the sum it is missing from."""
    rows = [
        (
            *(None if key is None else printable(key) for key in group.keys),
            f"{group.records:,}",
            _sum(group.input_tokens, group.unknown_tokens),
            _sum(group.output_tokens, group.unknown_tokens),
            _cost(group.cost_microusd, group.unknown_cost),
            _seconds(group.p50_us),
            _seconds(group.p95_us),
            _percent(group.fallback, group.records),
            _percent(group.downgraded, group.records),
        )
        for group in groups
    ]
    names = [key.value.upper() for key in keys]
    screen.table((*names, *_FIGURES), rows, whole=names, right=_FIGURES)


def _sum(known: int | None, unknown: int) -> str | None:
    return None if known is None else f"{known:,}{_and(unknown)}"


def _cost(known: int | None, unknown: int) -> str | None:
    return None if known is None else f"{format_usd(known)}{_and(unknown)}"


def _and(unknown: int) -> str:
    return f" + {unknown:,} unknown" if unknown else ""


def _seconds(duration_us: int | None) -> str | None:
    return None if duration_us is None else f"{duration_us / 1_000_000:.3f}s"


def _share(part: int, total: int) -> float:
    return round(part / total, 6)


def _percent(part: int, total: int) -> str:
    """Nothing is a dash, and a little is never rounded to nothing, nor nearly all to all."""
    if part in (0, total):
        return "100%" if part else "-"
    return f"{min(max(100 * part / total, 0.1), 99.9):.1f}%"
