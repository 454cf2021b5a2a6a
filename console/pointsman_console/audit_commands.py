"""`pointsman audit`: what the ledger knows."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from pointsman_queue import Settings

from . import (
    audit_erase_command,
    audit_export_command,
    audit_list_command,
    audit_migrate_command,
    audit_policy_command,
    audit_prove_command,
    audit_reconcile_command,
    audit_report_command,
    audit_show_command,
    audit_verify_command,
    screen,
)
from . import audit_filters as of
from .composition import open_ledger
from .outcome_table import outcome_object, outcome_table

if TYPE_CHECKING:
    from pointsman_audit import RecordFilter

app = typer.Typer(
    help="Ask the ledger which model answered, why that one and at what cost, and whether anybody changed a record. "
    "What to ask how: docs/auditing.md.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
audit_list_command.register(app)
audit_export_command.register(app)
audit_show_command.register(app)
audit_migrate_command.register(app)
audit_policy_command.register(app)
audit_reconcile_command.register(app)
audit_report_command.register(app)
audit_verify_command.register(app)
audit_prove_command.register(app)
audit_erase_command.register(app)


@app.command("rates")
def rates(
    context: typer.Context,
    class_name: of.OfClass = None,
    tier: Annotated[str | None, typer.Option("--tier", help="Only calls to this tier: openai/fast.")] = None,
    since: of.Since = "24h",
    until: of.Until = None,
    as_json: of.AsJson = False,
) -> None:
    """Show how calls ended, by tier and class: the share of empty, truncated, refused, misrouted and broken answers."""
    from pointsman_audit import ListedKind, RecordFilter

    begin, end = of.span(since, until)
    wanted = RecordFilter(kind=ListedKind.ATTEMPT, task_class=class_name, tier=tier, since=begin, until=end)
    raise typer.Exit(asyncio.run(_rates(context.obj, wanted, as_json)))


async def _rates(settings: Settings, wanted: "RecordFilter", as_json: bool) -> int:
    async with open_ledger(settings) as ledger:
        found = await ledger.outcomes(wanted)
        unknown = () if found else await ledger.unknown_words(wanted)
    by_place: dict[tuple[str, str], dict[str, int]] = {}
    for entry in found:
        by_place.setdefault((entry.tier, entry.task_class), {})[entry.outcome] = entry.calls
    if as_json:
        for (tier, task_class), counts in by_place.items():
            screen.line(outcome_object(tier, task_class, counts))
    else:
        rows = [(tier, task_class, counts) for (tier, task_class), counts in by_place.items()]
        outcome_table(rows, title="how calls ended")
        screen.say(f"{sum(entry.calls for entry in found):,} calls")
    for remark in of.unknown_remarks(wanted.kind.value, unknown):
        screen.say(remark)
    return 0
