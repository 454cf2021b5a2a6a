"""`pointsman audit show`: a job's story."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from pointsman_queue import Settings
from pointsman_routes import JobNotFound, UsageProblem

from . import screen
from .audit_filters import AsJson
from .composition import open_ledger
from .job_story import tell_story
from .operator_name import see_to_word
from .printable import printable

if TYPE_CHECKING:
    from pointsman_audit import Ledger, ShownRecord

_NAMED = 20
"""Jobs of one custom id that are named, the newest."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("show")(show)


def show(
    context: typer.Context,
    job_id: Annotated[str | None, typer.Argument(metavar="[JOB]", help="A job id.")] = None,
    custom_id: Annotated[
        str | None, typer.Option("--custom-id", help="Instead of a job id: the job that was submitted under this one.")
    ] = None,
    batch: Annotated[str | None, typer.Option("--batch", help="With --custom-id: the batch it was in.")] = None,
    as_json: AsJson = False,
) -> None:
    """Tell a job's story: what was asked, each call and how it ended, why it moved or waited, what answered, the cost.

    Beside each step is when it was, counted from the acceptance, how long after the step before, and the number of its
    record. At the end is the policy it was dealt with under, and by its rules why each tier was allowed. A job that has
    not ended says what it waits for, as far as records tell.

    --json prints the records themselves, in order. Exit code 2: there is no such job, or several have the custom id.
    """
    if (job_id is None) == (custom_id is None):
        raise UsageProblem("name one job: by its id, or by --custom-id")
    if batch is not None and custom_id is None:
        raise UsageProblem("--batch goes with --custom-id; a job id needs none")
    for what, word in (("the job id", job_id), ("--custom-id", custom_id), ("--batch", batch)):
        see_to_word(what, word or "")
    raise typer.Exit(asyncio.run(_show(context.obj, job_id, custom_id, batch, as_json=as_json)))


async def _show(
    settings: Settings, job_id: str | None, custom_id: str | None, batch: str | None, *, as_json: bool
) -> int:
    from pointsman_audit import known_policies

    async with open_ledger(settings) as ledger:
        story = await _story(ledger, job_id or await _job_of(ledger, custom_id or "", batch))
        if not as_json:
            policies = {known.digest: known for known in await known_policies(ledger)}
    if as_json:
        for record in story:
            screen.line(record)
        return 0
    for text in tell_story(story, policies):
        screen.tell(text)
    return 0


async def _story(ledger: "Ledger", job_id: str) -> "list[ShownRecord]":
    story = list(await ledger.story(job_id))
    if not story:
        raise JobNotFound(f"the ledger has no record of job {job_id!r}; see `pointsman audit list`")
    return story


async def _job_of(ledger: "Ledger", custom_id: str, batch: str | None) -> str:
    """The one job of that custom id.

    Raises:
        JobNotFound: if there is none.
        UsageProblem: if there are several; they are listed first.
    """
    from pointsman_audit import ListedKind, RecordFilter

    found: dict[str, ShownRecord] = {}
    # Of a job that was accepted before there was a ledger only the end is known.
    for kind in (ListedKind.ACCEPTED, ListedKind.FINAL):
        wanted = RecordFilter(kind=kind, custom_id=custom_id, batch_id=batch)
        async for record in ledger.list(wanted):
            found.setdefault(record["job_id"], record)
    where = f" in batch {batch!r}" if batch is not None else ""
    if not found:
        raise JobNotFound(f"the ledger has no job with the custom id {custom_id!r}{where}; see `pointsman audit list`")
    if len(found) > 1:
        for job_id, record in list(found.items())[-_NAMED:]:
            screen.say(f"{printable(job_id)}  batch {printable(record['batch_id'])}  accepted {record['accepted_at']}")
        older = f", of which the last {_NAMED} are above" if len(found) > _NAMED else ""
        raise UsageProblem(f"{len(found)} jobs have the custom id {custom_id!r}{where}{older}; name one by its id")
    return next(iter(found))
