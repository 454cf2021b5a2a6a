"""`pointsman audit`: what the ledger knows."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from pointsman_queue import Settings
from pointsman_routes import JobNotFound

from . import audit_list_command, audit_verify_command, screen
from .audit_filters import AsJson, moment
from .composition import open_ledger
from .outcome_table import outcome_object, outcome_table

if TYPE_CHECKING:
    from pointsman_audit import Ledger, RecordFilter, ShownRecord

app = typer.Typer(help="Ask the ledger.", no_args_is_help=True, rich_markup_mode=None)
audit_list_command.register(app)
audit_verify_command.register(app)


@app.command("rates")
def rates(
    context: typer.Context,
    class_name: Annotated[str | None, typer.Option("--class", help="Only this class.")] = None,
    tier: Annotated[str | None, typer.Option(help="Only this tier.")] = None,
    since: Annotated[str, typer.Option(help="From this moment: 2026-01-31T09:30:00Z, or 2h ago as 2h.")] = "24h",
    until: Annotated[str | None, typer.Option(help="Before this moment.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show how calls ended, by tier and class: the share of empty, truncated, refused, misrouted and broken answers."""
    from pointsman_audit import RecordFilter

    wanted = RecordFilter(
        task_class=class_name, tier=tier, since=moment("--since", since), until=moment("--until", until)
    )
    raise typer.Exit(asyncio.run(_rates(context.obj, wanted, as_json)))


@app.command("show")
def show(
    context: typer.Context,
    job_id: Annotated[str, typer.Argument(help="A job id.")],
    as_json: AsJson = False,
) -> None:
    """Tell a job's story: every record of it, in order."""
    raise typer.Exit(asyncio.run(_show(context.obj, job_id, as_json)))


async def _rates(settings: Settings, wanted: "RecordFilter", as_json: bool) -> int:
    async with open_ledger(settings) as ledger:
        found = await ledger.outcomes(wanted)
    by_place: dict[tuple[str, str], dict[str, int]] = {}
    for entry in found:
        by_place.setdefault((entry.tier, entry.task_class), {})[entry.outcome] = entry.calls
    if as_json:
        for (tier, task_class), counts in by_place.items():
            screen.line(outcome_object(tier, task_class, counts))
        return 0
    rows = [(tier, task_class, counts) for (tier, task_class), counts in by_place.items()]
    outcome_table(rows, title="how calls ended")
    screen.say(f"{sum(entry.calls for entry in found):,} calls")
    return 0


async def _show(settings: Settings, job_id: str, as_json: bool) -> int:
    async with open_ledger(settings) as ledger:
        story = await _story(ledger, job_id)
    for record in story:
        if as_json:
            screen.line(record)
        else:
            screen.out.print(_told(record), markup=False)
    return 0


async def _story(ledger: "Ledger", job_id: str) -> "list[ShownRecord]":
    story = list(await ledger.story(job_id))
    if not story:
        raise JobNotFound(f"the ledger has no record of job {job_id!r}; see `pointsman audit list`")
    return story


def _told(record: "ShownRecord") -> str:
    """One record as a line for a person: when, what, and the fields that say something."""
    moments = ("accepted_at", "started_at", "finished_at", "at")
    kind = record["kind"]
    own = {"accepted": "accepted_at", "attempt_started": "started_at"}.get(kind, "finished_at")
    when = record.get(own) or next((record[name] for name in moments if record.get(name)), "")
    hidden = {"kind", "seq", "job_id", *moments}
    facts = " ".join(
        f"{name}={value}" for name, value in record.items() if name not in hidden and value not in (None, False, [])
    )
    return f"{record['seq']:>8}  {when}  {kind:<17} {facts}"
