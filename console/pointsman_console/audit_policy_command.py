"""`pointsman audit policy`: the configurations that were in force."""

import asyncio
import json
from typing import TYPE_CHECKING, Annotated

import typer

from pointsman_queue import Settings
from pointsman_routes import UsageProblem

from . import screen
from .composition import open_ledger
from .printable import printable

if TYPE_CHECKING:
    from pointsman_audit import KnownPolicy


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("policy")(policy)


def policy(
    context: typer.Context,
    digest: Annotated[
        str | None, typer.Argument(metavar="[DIGEST]", help="SHA-256 of a policy, or enough of its beginning.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One object a line; of one policy its canonical text.")
    ] = False,
) -> None:
    """Print the configuration of that digest; without one, list all that were in force, the first one first.

    Records name the policy they were decided under by its digest: the SHA-256 of the canonical configuration, every
    default written out, secrets not in it. With --json it is printed as it is hashed, and a line feed after it.
    """
    if digest == "":
        raise UsageProblem("the digest is empty; write its beginning, or leave it out to list all policies")
    work = _list(context.obj, as_json) if digest is None else _one(context.obj, digest, as_json)
    raise typer.Exit(asyncio.run(work))


async def _one(settings: Settings, digest: str, as_json: bool) -> int:
    from pointsman_audit import find_policy

    async with open_ledger(settings) as ledger:
        found = await find_policy(ledger, digest)
    if found.policy is None:
        raise UsageProblem(f"the ledger knows that policy {found.digest} was in force, and does not have its text")
    if as_json:
        screen.verbatim(found.policy)
    else:
        screen.tell_json(json.loads(found.policy))
    screen.say(f"policy {found.digest}, first in force {found.first_at} (record {found.first_seq})")
    return 0


async def _list(settings: Settings, as_json: bool) -> int:
    from pointsman_audit import known_policies

    async with open_ledger(settings) as ledger:
        found = await known_policies(ledger)
    if as_json:
        for known in found:
            screen.line(_object(known))
        return 0
    columns = ("digest", "first_at", "first_seq", "worked_by", "came_with", "text")
    screen.table(columns, [_row(known) for known in found], whole=("digest",))
    screen.say(f"{len(found):,} policies")
    return 0


def _object(known: "KnownPolicy") -> dict[str, object]:
    return {
        "policy_digest": known.digest,
        "first_at": known.first_at,
        "first_seq": known.first_seq,
        "roles": known.roles,
        "by": known.by,
        "kept": known.policy is not None,
    }


def _row(known: "KnownPolicy") -> tuple[object, ...]:
    roles = ", ".join(printable(role) for role in known.roles)
    text = "kept" if known.policy is not None else "not kept"
    return known.digest, known.first_at, known.first_seq, roles, printable(known.by), text
