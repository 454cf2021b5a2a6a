"""`pointsman audit reconcile`: what Redis or the ledger has lost, looked for and set right now."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from pointsman_queue import Settings

from . import screen
from .audit_filters import AsJson
from .composition import open_ledger, open_line, table_if_readable, yard_of
from .printable import printable

if TYPE_CHECKING:
    from pointsman_audit import Reconciled

_DONE = {"redriven": "taken in once more", "rebuilt": "final record written again", "stranded": "stranded"}
_WOULD = {"redriven": "would be taken in once more", "rebuilt": "final record would be written again"}
_WHY = {
    "no_line": "what it asks was not kept (`keep_content` of its class), or has been erased",
    "unreadable": "what was kept is not the job that was accepted",
    "class_gone": "the configuration does not have its class",
    "unfit": "no tier of its class can take it any more",
    "no_configuration": "there is no configuration to take it in under",
    "conflict": "another job has its id by now; submit it under another batch",
    "odd": "what stands in Redis under its name is no job",
    "no_end": "it has ended, and what is left does not tell how",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("reconcile")(reconcile)


def reconcile(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Look, and change nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Look at every job that has no end in the ledger, and at every end in Redis, and set right what was lost.

    Recorders do it all the time; this is for whoever wants to see it done. One must be running: what it has not
    recorded yet is not known to be lost. Jobs accepted in the last half minute are left out.

    A job that Redis has lost is taken in once more, if the ledger has kept what it asks: that of a class with
    `acceptance = "ledger"` always, of another by its `keep_content`. If not, it is stranded, and listed with the
    reason. A final record that was lost on its way is written again from the job's result. Exit 0 if no job stays
    stranded, 1 if one does.
    """
    raise typer.Exit(asyncio.run(_reconcile(context.obj, dry_run, as_json)))


async def _reconcile(settings: Settings, dry_run: bool, as_json: bool) -> int:
    from pointsman_audit import FullPass

    found: list[Reconciled] = []
    table = table_if_readable(settings)
    async with open_ledger(settings) as ledger, open_line(settings) as line:
        with screen.progress_bar() as bar:
            task = bar.add_task("looking at open jobs", total=None)
            full = FullPass(
                ledger,
                yard_of(settings, line, table),
                found.append,
                dry_run=dry_run,
                looked=lambda count: bar.update(task, completed=count),
            )
            returned = await full.run()
    if as_json:
        for entry in found:
            screen.line({**entry._asdict(), "dry_run": dry_run})
        if returned:
            screen.line({"act": "returned", "leases": returned, "dry_run": dry_run})
    else:
        _show(found, returned, dry_run=dry_run)
    return 1 if any(entry.act == "stranded" for entry in found) else 0


def _show(found: "list[Reconciled]", returned: int, *, dry_run: bool) -> None:
    words = {**_DONE, **_WOULD} if dry_run else _DONE
    if found:
        screen.table(
            ["JOB", "CLASS", "BATCH", "", "WHY"],
            (
                [
                    printable(entry.job_id),
                    printable(entry.task_class or "?"),
                    printable(entry.batch_id or "?"),
                    words[entry.act],
                    _WHY[entry.reason] if entry.reason is not None else "",
                ]
                for entry in found
            ),
        )
    counts = {act: sum(entry.act == act for entry in found) for act in ("redriven", "rebuilt", "stranded")}
    told = "; ".join(f"{count:,} {words[act]}" for act, count in counts.items() if count) or "nothing is lost"
    leases = f"; {returned:,} leases {'would be ' if dry_run else ''}returned" if returned else ""
    screen.say(f"{told}{leases}")
