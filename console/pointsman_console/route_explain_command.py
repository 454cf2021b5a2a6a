"""`pointsman routes explain`: an explanation read from Redis and shown."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer

from pointsman_queue import Settings
from pointsman_routes import RouteTable, RuleName, ServiceUnavailable, TaskClass, UsageProblem, format_duration

from . import screen
from .composition import load_table, open_line
from .foresight import Foreseen
from .gate_words import limit_lines
from .route_explanation import Explanation, Health

_EVERY_TIER = "EVERY TIER"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("explain")(explain)


def explain(
    context: typer.Context,
    class_name: Annotated[str, typer.Argument(metavar="CLASS", help="A task class.")],
    all_open: Annotated[
        bool, typer.Option("--all-open", help="Tell what follows a failure as if every tier were open.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One object a line.")] = False,
) -> None:
    """Show where jobs of a class go, and what follows if it fails there.

    Of each tier of the route: price, limits, why it may serve the class, and how it is now. What follows is decided as
    workers decide it, for a job with nothing counted against it: with the tiers open and shut as they are now, or all
    open with --all-open or where Redis does not answer.
    """
    raise typer.Exit(asyncio.run(_explain(context.obj, class_name, all_open=all_open, as_json=as_json)))


async def _explain(settings: Settings, class_name: str, *, all_open: bool, as_json: bool) -> int:
    table = load_table(settings)
    entry = table.classes.get(class_name)
    if entry is None:
        raise UsageProblem(f"unknown class {class_name!r}; the configuration has: {', '.join(table.classes)}")
    try:
        health = await _health(settings, table, entry)
    except ServiceUnavailable as outage:
        screen.say(f"health is unknown, and what follows is told as if every tier were open: {outage}")
        health = None
    explanation = Explanation(table=table, task_class=entry, health=health, all_open=all_open)
    rows, follows = explanation.chain(), explanation.follows()
    if as_json:
        for row in rows:
            screen.line({"kind": "tier", **row})
        screen.line(
            {
                "kind": "class",
                "class": entry.name,
                **entry.model_dump(mode="json", exclude={"name"}),
                "as_if_all_open": explanation.as_if_all_open,
                "if_every_tier_fails": {name: cells[-1].facts for name, cells in follows.items()},
            }
        )
        return 0
    _show_chain(entry, rows)
    _show_rules(rows)
    _show_follows(entry, follows, as_if_all_open=explanation.as_if_all_open)
    return 0


async def _health(settings: Settings, table: RouteTable, entry: TaskClass) -> Health:
    accounts = dict.fromkeys(table.tiers[tier].provider for tier in entry.route)
    async with open_line(settings) as line:
        gates = await line.switchboard.gates([*entry.route, *accounts])
        overview = await line.observer.overview(entry.route)
    serving = [health.get("tiers", {}) for health in overview.workers.values()]
    return Health(
        gates=gates,
        loads={load.tier: load for load in overview.tiers},
        workers={tier: sum(tier in tiers for tiers in serving) for tier in entry.route},
    )


def _show_chain(entry: TaskClass, rows: Sequence[dict[str, Any]]) -> None:
    screen.table(
        ("HOP", "TIER", "MODEL", "USD/MTOK", "LIMITS", "NOW"),
        ((row["hop"], row["tier"], row["model"], _price(row), _limits(row), _now(row)) for row in rows),
        title=f"class {entry.name}",
        whole={"TIER", "LIMITS"},
    )
    screen.out.print(
        f"\ndeadline {format_duration(entry.deadline)}; moves on after waiting {format_duration(entry.spill_after)}; "
        f"at most {entry.max_attempts} failed calls; with no tier left: {entry.on_exhausted.value}\n"
    )


def _show_rules(rows: Sequence[dict[str, Any]]) -> None:
    names = [name for name in RuleName if name is not RuleName.ROUTE]
    screen.table(
        ("TIER", *(name.value.upper() for name in names)),
        ([row["tier"], *(_because(row, name) for name in names)] for row in rows),
        title="why each may serve",
        whole={"TIER"},
    )
    screen.out.print()


def _show_follows(entry: TaskClass, follows: dict[str, list[Foreseen]], *, as_if_all_open: bool) -> None:
    rows: dict[tuple[str, ...], list[str]] = {}
    for name, cells in follows.items():
        rows.setdefault(tuple(cell.words for cell in cells), []).append(name)
    screen.table(
        ("IF IT IS", *entry.route, _EVERY_TIER),
        ((", ".join(names), *cells) for cells, names in rows.items()),
        title="what follows, " + ("as if every tier were open" if as_if_all_open else "as the tiers are now"),
        whole={*entry.route, _EVERY_TIER},
    )


def _price(row: dict[str, Any]) -> str:
    if row["price_source"] is None:
        return "unknown"
    return f"in {row['usd_per_mtok_in']}\nout {row['usd_per_mtok_out']}\n{row['price_source']}"


def _limits(row: dict[str, Any]) -> str:
    own, shared = limit_lines(row), limit_lines(row["account"])
    if shared == "none":
        return own
    account = [f"{row['account']['provider']} {text}" for text in shared.split("\n")]
    return "\n".join(account if own == "none" else (own, *account))


def _now(row: dict[str, Any]) -> str:
    if row["state"] is None:
        return "unknown"
    counts = (f"{name.replace('_', ' ')} {row[name]}" for name in ("queued", "in_flight", "held") if row[name])
    return "\n".join((row["state"], *counts, f"workers {row['workers']}"))


def _because(row: dict[str, Any], name: RuleName) -> str:
    found: Iterable[dict[str, Any]] = row["rules"]
    return next(
        (
            rule["because"] if rule["holds"] else f"NO: {rule['because']}"
            for rule in found
            if rule["rule"] == name.value
        ),
        "-",
    )
