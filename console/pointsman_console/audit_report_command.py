"""`pointsman audit report`: a month in figures, as tables, as an object, as a page."""

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointsman_queue import Settings
from pointsman_routes import UsageProblem

from . import screen
from .composition import open_ledger
from .new_file import new_file, see_to, sync
from .report_heading import provenance, remarks, summary
from .report_page import report_page
from .report_sections import sections

if TYPE_CHECKING:
    from pointsman_audit import Month, MonthlyReport

_OPTION = "--html"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report")(report)


def report(
    context: typer.Context,
    month: Annotated[
        str | None, typer.Option("--month", help="Which one, in UTC: 2026-11. Without it: the one that is running.")
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(_OPTION, metavar="FILE", help="Write it as a page with charts, which needs no other file."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="With --html: replace the file if it is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The whole report as one object.")] = False,
) -> None:
    """Add up a month: what was spent by class, tier, owner of the key and day, and how jobs and calls ended.

    Money is that of calls, those of failed jobs and trials too, on the day they ended. A call of which nobody said what
    it cost is in the spend with its estimate, shown apart; one whose cost is unknown is counted and in no sum. The
    report names the ledger, and the record and hash up to which it looked: `pointsman audit verify` proves those.
    """
    from pointsman_audit import Month  # here, so that other commands do not load SQL

    now = datetime.now(UTC)
    if force and page is None:
        raise UsageProblem("--force goes with --html; without it nothing is written")
    if page is not None:
        see_to(_OPTION, page, force=force)
    wanted = Month.of(now) if month is None else Month.parse(month)
    made = asyncio.run(_report(context.obj, wanted, now))
    if page is not None:
        write_page(page, report_page(made), force=force)
        screen.say(f"{wanted} is in {page}")
    if as_json:
        screen.line(asdict(made))
    elif page is None:
        _show(made)
    for remark in remarks(made.frame, made.records):
        screen.say(remark)


def write_page(path: Path, text: str, *, force: bool) -> None:
    """Write a file: all of it, or nothing, whatever goes wrong.

    Raises:
        UsageProblem: if it cannot be written there, or has come to be there and `force` is not given.
    """
    with new_file(_OPTION, path, force=force) as draft:
        draft.write_text(text, encoding="utf-8")
        sync(draft)


async def _report(settings: Settings, month: "Month", now: datetime) -> "MonthlyReport":
    from pointsman_audit import report_month

    async with open_ledger(settings) as ledger:
        with screen.progress_bar() as bar:
            bar.add_task(f"adding up {month}", total=None)
            return await report_month(ledger, month, now=now, version=version("pointsman"))


def _show(made: "MonthlyReport") -> None:
    screen.table(("MONTH", made.frame.month), summary(made), right=(made.frame.month,))
    for section in sections(made):
        screen.tell("")
        figures = section.columns[section.names :]
        screen.table(section.columns, section.rows, title=section.title, right=figures)
        if section.note is not None:
            screen.tell(section.note)
    screen.tell("")
    screen.table(("THESE FIGURES", "ARE FROM"), provenance(made.frame))
