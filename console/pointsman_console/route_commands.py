"""`pointsman routes`: the table checked, shown, explained, and its switches."""

import asyncio
import getpass
from typing import Annotated

import typer

from pointsman_queue import Settings
from pointsman_routes import ConfigError, RouteTable, UsageProblem, config_schema, format_duration

from . import route_explain_command, route_test_command, screen
from .composition import load_table, open_line, surrounding_problems
from .route_explanation import tier_facts

app = typer.Typer(
    help="Check, show, explain and test routes; switch tiers off and on.", no_args_is_help=True, rich_markup_mode=None
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
    screen.tell_json(config_schema())


@app.command("show")
def show(context: typer.Context, as_json: AsJson = False) -> None:
    """Show every class with its route, and every tier."""
    table = load_table(context.obj)
    rows = [tier_facts(table, name) for name in table.tiers]
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


route_explain_command.register(app)
route_test_command.register(app)


@app.command("disable")
def disable(
    context: typer.Context,
    scope: Scope,
    reason: Annotated[str, typer.Option(help="Why; stands in the ledger.")],
    by: Annotated[str | None, typer.Option(help="Who; default: the user of this machine.")] = None,
    abort: Annotated[bool, typer.Option("--abort", help="Cut calls in flight too; they may be billed.")] = False,
) -> None:
    """Take no more jobs at a tier or provider, from the next claim on; its queued jobs move on."""
    raise typer.Exit(asyncio.run(_disable(context.obj, scope, reason, by, abort=abort)))


@app.command("enable")
def enable(
    context: typer.Context,
    scope: Scope,
    reason: Annotated[str, typer.Option(help="Why; stands in the ledger.")] = "enabled by an operator",
    by: Annotated[str | None, typer.Option(help="Who; default: the user of this machine.")] = None,
) -> None:
    """Take jobs again: undoes `disable`, a closing by the dispatcher and an open breaker."""
    raise typer.Exit(asyncio.run(_enable(context.obj, scope, reason, by)))


async def _disable(settings: Settings, scope: str, reason: str, by: str | None, *, abort: bool) -> int:
    table, who = _known(settings, scope), by or getpass.getuser()
    async with open_line(settings) as line:
        await line.switchboard.disable(table, scope, reason=reason, by=who, abort=abort)
    screen.say(f"{scope} is disabled by {who}: {reason}")
    return 0


async def _enable(settings: Settings, scope: str, reason: str, by: str | None) -> int:
    table, who = _known(settings, scope), by or getpass.getuser()
    async with open_line(settings) as line:
        await line.switchboard.enable(table, scope, reason=reason, by=who)
    screen.say(f"{scope} is enabled by {who}: {reason}")
    return 0


def _known(settings: Settings, scope: str) -> RouteTable:
    """The route table, which has that tier or provider."""
    table = load_table(settings)
    if scope not in table.tiers and scope not in table.providers:
        known = ", ".join([*table.tiers, *table.providers])
        raise UsageProblem(f"unknown tier or provider {scope!r}; the configuration has: {known}")
    return table
