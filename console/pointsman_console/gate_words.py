"""A gate in words: whether a tier takes calls, its limits and what is left of them."""

from collections.abc import Mapping
from typing import Any, Final

from pointsman_queue import Gate
from pointsman_routes import Limits

_SIZES: Final = ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k"))


def state_of(gate: Gate, account: Gate) -> str:
    """Whether a tier takes calls, and if not, who or what says so; its own gate comes before its account's."""
    for entry in (gate, account):
        if entry.disabled is not None:
            return f"disabled by {entry.disabled_by}: {entry.disabled}"
        if entry.closed is not None:
            span = f" for {entry.closed_for_s:.0f}s" if entry.closed_for_s is not None else " until enabled"
            return f"closed{span}: {entry.closed}"
    if gate.breaker.value != "closed":
        return f"breaker {gate.breaker.value}"
    waits = max(gate.throttled_for_s, account.throttled_for_s)
    return f"throttled for {waits:.1f}s" if waits > 0 else "open"


def limits_of(configured: Limits, gate: Gate | None) -> dict[str, Any]:
    """Limits for a program: as configured, as learned, and what the buckets held. Without a gate nothing is learned."""
    learned = gate.learned if gate is not None else {}
    return {
        "limits": configured.model_dump(exclude_defaults=True),
        "learned": {
            name: {"limit": limit.limit, "from": "vendor" if limit.told else "refusals", "refills": limit.refills}
            for name, limit in learned.items()
        },
        "levels": {name: round(level, 3) for name, level in (gate.levels.items() if gate is not None else ())},
    }


def limit_lines(row: Mapping[str, Any]) -> str:
    """One limit a line: what is configured, and after an arrow what was learned, with ~ where refusals taught it.

    Args:
        row: from `limits_of`.
    """
    return "\n".join(f"{name} {_figures(row, name)}" for name in _names(row)) or "none"


def left_lines(row: Mapping[str, Any]) -> str:
    """What the buckets held at the last claim, each on the line its limit has in `limit_lines`."""
    return "\n".join(short(row["levels"][name]) if name in row["levels"] else "-" for name in _names(row))


def short(number: float) -> str:
    """A figure of three or four digits: `500`, `200k`, `1.5M`; what is below a thousand is whole."""
    whole = round(number)
    for size, letter in _SIZES:
        if abs(whole) >= size:
            return f"{whole / size:.1f}".removesuffix(".0") + letter
    return str(whole)


def _names(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*row["limits"], *row["learned"], *row["levels"])))


def _figures(row: Mapping[str, Any], name: str) -> str:
    learned, set_to = row["learned"].get(name), row["limits"].get(name)
    text = short(set_to) if set_to is not None else ""
    if learned is not None and learned["limit"] != set_to:
        text += f"->{'' if learned['from'] == 'vendor' else '~'}{short(learned['limit'])}"
    return text or "?"
