"""`pointsman audit prove`: whether a text is the one that a job's records have the digest of."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pointsman_producer import LineParser, LineProblem
from pointsman_queue import Settings
from pointsman_routes import JobNotFound, UsageProblem

from . import screen
from .audit_filters import AsJson
from .composition import open_ledger
from .operator_name import see_to_word
from .printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pointsman_audit import Candidate, ContentPart, Proof

LONGEST = 32 * 1024 * 1024
"""Bytes; a job's line has a quarter of it at most."""
_STANDARD_INPUT = Path("-")
_BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("prove")(prove)


def prove(
    context: typer.Context,
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="A job id.")],
    content: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="The text: the job's line, a line of an output file, or the answer itself; - is standard input.",
        ),
    ],
    part: Annotated[
        Literal["prompt", "answer"] | None, typer.Option(help="Only this; without it what fits is found out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say whether a text is what the job was asked or has answered, by the digests in its records.

    Of a job's line only class, messages and parameters count, not the names its producer gave it; both forms of a
    line are read. Of an output file's line only the answer counts. Whether the records themselves are those that were
    written is for `pointsman audit verify` to say.

    Exit code 0: it is. 1: it is not, or it cannot be told: the salt of the digests is gone with the content. 2: wrong
    use, or there is no such job. 3: the ledger does not answer.
    """
    from pointsman_audit import ContentPart  # here, so that other commands do not load SQL

    see_to_word("the job id", job_id)
    wanted = None if part is None else ContentPart(part)
    raise typer.Exit(asyncio.run(_prove(context.obj, job_id, _read(content), wanted, as_json=as_json)))


async def _prove(settings: Settings, job_id: str, text: str, part: "ContentPart | None", *, as_json: bool) -> int:
    from pointsman_audit import Agreement, answer_forms, digests_of, prove

    async with open_ledger(settings) as ledger:
        digests = await digests_of(ledger, job_id)
    if digests is None:
        raise JobNotFound(f"the ledger has no record of job {job_id!r}; see `pointsman audit list`")
    forms = [*prompt_forms(text, digests.task_class), *answer_forms(text)]
    proof = prove(forms, digests, part)
    if as_json:
        screen.line({"job_id": job_id, **proof._asdict()})
    else:
        screen.tell(_told(job_id, proof))
    return 0 if proof.agreement is Agreement.SAME else 1


def prompt_forms(text: str, task_class: str | None) -> "Iterator[Candidate]":
    """What a text asks, if it is a job's line: as it says itself, and under the class the job was accepted under."""
    from pointsman_audit import Candidate, ContentPart

    line = text.strip().encode()
    if not line or task_class is None:
        return
    for override, form in ((None, "job line"), (task_class, "job line under the class that the job had")):
        found = LineParser({task_class}, override).parse(1, line)
        if not isinstance(found, LineProblem):
            yield Candidate(ContentPart.PROMPT, form, found.asked())
            # The other reading says something only where this one does not.
            return


def _read(path: Path) -> str:
    """The text.

    Raises:
        UsageProblem: it cannot be read, is too long or no UTF-8.
    """
    name = "standard input" if path == _STANDARD_INPUT else str(path)
    try:
        if path == _STANDARD_INPUT:
            data = sys.stdin.buffer.read(LONGEST + 1)
        else:
            with path.open("rb") as file:
                data = file.read(LONGEST + 1)
    except OSError as error:
        raise UsageProblem(f"--content: {name} cannot be read: {error.strerror}; name another file") from None
    if len(data) > LONGEST:
        raise UsageProblem(f"--content: {name} has more than {LONGEST:,} bytes; give one job's text")
    try:
        return data.decode().removeprefix(_BYTE_ORDER_MARK)
    except UnicodeDecodeError as error:
        raise UsageProblem(f"--content: {name} is not UTF-8 at byte {error.start + 1}; save it as UTF-8") from None


def _told(job_id: str, proof: "Proof") -> str:
    from pointsman_audit import Agreement

    job, seqs = printable(job_id), ", ".join(map(str, proof.seqs))
    if proof.agreement is Agreement.SAME:
        return f"proven: as {proof.form}, this is the {proof.part} of job {job}; digest of record {seqs}"
    if proof.agreement is Agreement.DIFFERENT:
        return f"not the same: {proof.why}; job {job}, record {seqs}"
    if proof.agreement is Agreement.CONTRADICTORY:
        return f"the ledger contradicts itself about job {job}: {proof.why}"
    return f"cannot be told of job {job}: {proof.why}"
