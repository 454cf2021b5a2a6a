"""`pointsman routes`: the table checked, shown, explained, and its switches."""

import asyncio
import getpass
import json
from typing import Annotated, Any

import typer

from pointsman_queue import Gate, Settings
from pointsman_routes import ConfigError, RouteTable, UsageProblem, config_schema, format_duration

from . import screen
from .composition import load_table, open_line, surrounding_problems

app = typer.Typer(
    help="Check, show and explain routes; switch tiers off and on.", no_args_is_help=True, rich_markup_mode=None
)
AsJson = Annotated[bool, typer.Option("--json", help="One object a line.")]
Scope = Annotated[str, typer.Argument(help="A tier (provider/tier) or a provider.")]


@app.command("check")
def check(
    context: typer.Context,
    keys: Annotated[bool, typer.Option(help="Also see that every key can be read here.")] = True,
) -> None:
    """Check the configuration: every mistake at once, each with its key and what to write instead. Exit 0 or 2."""
    settings: Settings = context.obj
    table = load_table(settings)
    problems = surrounding_problems(settings, table, keys=keys)
    if problems:
        raise ConfigError(problems)
    screen.say(
        f"{settings.config}: {len(table.providers)} providers, {len(table.tiers)} tiers, {len(table.classes)} classes; "
        f"policy {table.policy_digest}"
    )


@app.command("schema")
def schema() -> None:
    """Print the JSON Schema of pointsman.toml, for editors."""
    screen.out.print_json(json.dumps(config_schema()))


@app.command("show")
def show(context: typer.Context, as_json: AsJson = False) -> None:
    """Show every class with its route, and every tier."""
    table = load_table(context.obj)
    rows = [_tier_facts(table, name) for name in table.tiers]
    if as_json:
        for entry in table.classes.values():
            screen.line({"kind": "class", "class": entry.name, **entry.model_dump(mode="json", exclude={"name"})})
        for row in rows:
            screen.line({"kind": "tier", **row})
        return
    screen.table(
        ("CLASS", "ROUTE", "FLOOR", "REGIONS", "DEADLINE"),
        (
            (
                entry.name, " -> ".join(entry.route), entry.quality_floor or None,
                ", ".join(entry.regions or ()) or "any", format_duration(entry.deadline),
            )
            for entry in table.classes.values()
        ),
    )  # fmt: skip
    screen.out.print()
    screen.table(rows[0].keys(), (row.values() for row in rows))


@app.command("explain")
def explain(
    context: typer.Context,
    class_name: Annotated[str, typer.Argument(metavar="CLASS", help="A task class.")],
    as_json: AsJson = False,
) -> None:
    """Show where jobs of a class go, in order: quality, region, price, and whether each tier is open now."""
    raise typer.Exit(asyncio.run(_explain(context.obj, class_name, as_json)))


@app.command("disable")
def disable(
    context: typer.Context,
    scope: Scope,
    reason: Annotated[str, typer.Option(help="Why; stands in the ledger.")],
    by: Annotated[str | None, typer.Option(help="Who; default: the user of this machine.")] = None,
) -> None:
    """Take no more jobs at a tier or provider, from the next claim on; its queued jobs move on."""
    raise typer.Exit(asyncio.run(_switch(context.obj, "disable", scope, reason, by)))


@app.command("enable")
def enable(
    context: typer.Context,
    scope: Scope,
    reason: Annotated[str, typer.Option(help="Why; stands in the ledger.")] = "enabled by an operator",
    by: Annotated[str | None, typer.Option(help="Who; default: the user of this machine.")] = None,
) -> None:
    """Take jobs again: undoes `disable`, a closing by the dispatcher and an open breaker."""
    raise typer.Exit(asyncio.run(_switch(context.obj, "enable", scope, reason, by)))


async def _switch(settings: Settings, action: str, scope: str, reason: str, by: str | None) -> int:
    table = load_table(settings)
    if scope not in table.tiers and scope not in table.providers:
        known = ", ".join([*table.tiers, *table.providers])
        raise UsageProblem(f"unknown tier or provider {scope!r}; the configuration has: {known}")
    who = by or getpass.getuser()
    async with open_line(settings) as line:
        throw = line.switchboard.disable if action == "disable" else line.switchboard.enable
        await throw(table, scope, reason=reason, by=who)
    screen.say(f"{scope} is {action}d by {who}: {reason}")
    return 0


async def _explain(settings: Settings, class_name: str, as_json: bool) -> int:
    table = load_table(settings)
    entry = table.classes.get(class_name)
    if entry is None:
        raise UsageProblem(f"unknown class {class_name!r}; the configuration has: {', '.join(table.classes)}")
    scopes = [*entry.route, *{table.tiers[tier].provider for tier in entry.route}]
    async with open_line(settings) as line:
        gates = await line.switchboard.gates(scopes)
    rows = [
        {
            "hop": hop,
            **_tier_facts(table, tier),
            "downgraded": table.downgraded(entry, tier),
            "open": _open_text(gates[tier], gates[table.tiers[tier].provider]),
        }
        for hop, tier in enumerate(entry.route)
    ]
    if as_json:
        for row in rows:
            screen.line(row)
        return 0
    screen.table(rows[0].keys(), (row.values() for row in rows), title=f"class {class_name}")
    screen.out.print(
        f"\nfloor {entry.quality_floor}; regions {', '.join(entry.regions or ()) or 'any'}; deadline "
        f"{format_duration(entry.deadline)}; moves on after {format_duration(entry.spill_after)} of waiting; "
        f"with no tier left: {entry.on_exhausted.value}"
    )
    return 0


def _tier_facts(table: RouteTable, name: str) -> dict[str, Any]:
    from pointsman_worker import rate_for  # here, so that checking a route table starts no HTTP library

    tier, provider = table.tiers[name], table.provider_of(name)
    rate = rate_for(provider, tier)
    return {
        "tier": name,
        "model": tier.model,
        "region": provider.region,
        "retention_days": provider.retention_days,
        "quality": tier.quality,
        "usd_per_mtok_in": str(rate.price.input) if rate else None,
        "usd_per_mtok_out": str(rate.price.output) if rate else None,
        "owner": provider.owner,
    }


def _open_text(*gates: Gate) -> str:
    return "yes" if all(gate.open for gate in gates) else "no"
