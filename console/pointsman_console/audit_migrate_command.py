"""`pointsman audit migrate`: make the ledger, bring it to this version, and say what database roles may do to it."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from pointsman_queue import Settings
from pointsman_routes import UsageProblem

from . import screen
from .composition import migrate_ledger

if TYPE_CHECKING:
    from pointsman_audit import Migration, Roles

_MOST_NAMED = 10


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("migrate")(migrate)


def migrate(
    context: typer.Context,
    grant_recorder: Annotated[
        str | None, typer.Option(metavar="ROLE", help="May append records and keep content; change and remove none.")
    ] = None,
    grant_auditor: Annotated[
        str | None, typer.Option(metavar="ROLE", help="May read everything but what was asked and answered.")
    ] = None,
    grant_operator: Annotated[
        str | None, typer.Option(metavar="ROLE", help="May read as an auditor, erase content, and export.")
    ] = None,
    with_content: Annotated[
        bool, typer.Option("--with-content", help="The auditor may read what was asked and answered, too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One object a line.")] = False,
) -> None:
    """Make the ledger, or bring an older one to this version: all of it, or nothing if anything goes wrong.

    Before you migrate an older one: stop every recorder, and back it up. Every old record is chained under the number
    it has, about 10,000 a second; on its disk there must be room for all of it once more. Nobody can write meanwhile.

    With PostgreSQL run it as the owner of the database, and let recorders and auditors log in as other roles: the
    `--grant-` options give these what they need and take everything else from them; give them again after every
    migration. The owner, and every superuser, can undo whatever protects the records: only `audit verify`, with
    checkpoints kept elsewhere, finds that.
    """
    roles = _roles(grant_recorder, grant_auditor, grant_operator, with_content=with_content)
    raise typer.Exit(asyncio.run(_migrate(context.obj, roles, as_json)))


def _roles(recorder: str | None, auditor: str | None, operator: str | None, *, with_content: bool) -> "Roles | None":
    from pointsman_audit import Roles

    if with_content and auditor is None:
        raise UsageProblem("--with-content says what the auditor may read; give --grant-auditor too")
    roles = Roles(recorder=recorder, auditor=auditor, operator=operator, auditor_sees_content=with_content)
    return roles if roles.names else None


async def _migrate(settings: Settings, roles: "Roles | None", as_json: bool) -> int:
    with screen.progress_bar() as bar:
        task = bar.add_task("chaining records", total=None)
        address, done = await migrate_ledger(
            settings, lambda records, total: bar.update(task, completed=records, total=total), roles
        )
    granted = [] if roles is None else list(roles.names)
    if as_json:
        screen.line({"ledger": address, **done._asdict(), "granted": granted})
        return 0
    for text in _told(address, done, granted):
        screen.tell(text)
    return 0


def _told(address: str, done: "Migration", granted: list[str]) -> list[str]:
    told = [_step(address, done)]
    if aside := done.put_aside:
        named = ", ".join(str(number) for number in aside[:_MOST_NAMED]) + (", ..." if aside[_MOST_NAMED:] else "")
        told.append(
            f"could not be expressed and were put aside, {len(aside):,} in all: records {named}; their text is in the "
            "quarantine, and under their numbers stands a record of that"
        )
    if granted:
        told.append(f"rights were given to {', '.join(granted)}")
    return told


def _step(address: str, done: "Migration") -> str:
    if done.before is None:
        return f"the ledger {address} was made, with schema {done.after}"
    if done.before == done.after:
        return f"the ledger {address} has schema {done.after} already"
    return f"the ledger {address} was migrated from schema {done.before} to {done.after}: {done.records:,} records"
