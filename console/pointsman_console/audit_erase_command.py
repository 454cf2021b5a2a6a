"""`pointsman audit erase`: what jobs asked and were answered, deleted; the chain stays."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from pointsman_queue import JobTraces, Settings, Wiped
from pointsman_routes import ServiceUnavailable, UsageProblem

from . import screen
from .audit_filters import AsJson
from .composition import open_ledger, open_line
from .operator_name import operator_name, see_to_word, writable
from .printable import printable

if TYPE_CHECKING:
    from pointsman_audit import Erased, ErasureOrder, Fate, Leftover

_LONGEST_REASON = 500
_NOT_CLEANED = "Redis was not cleaned"
_LEDGER_ONLY = "--ledger-only"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    jobs: Sequence[str]
    subject: str | None
    order: "ErasureOrder"
    confirmed: bool
    ledger_only: bool
    as_json: bool


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("erase")(erase)


def erase(
    context: typer.Context,
    jobs: Annotated[list[str] | None, typer.Argument(metavar="JOB", help="Job ids.")] = None,
    subject: Annotated[
        str | None,
        typer.Option(help="Instead of job ids: every job whose metadata say it is about this subject."),
    ] = None,
    reason: Annotated[
        str, typer.Option(help="Why. Stays in the records for ever: name nobody in it.", show_default=False)
    ] = "",
    by: Annotated[str | None, typer.Option("--by", help="Who erases; default: the user of this machine.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether you are sure.")] = False,
    ledger_only: Annotated[
        bool,
        typer.Option(_LEDGER_ONLY, help="Leave Redis alone, where results expire by themselves; the record says so."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Delete what jobs asked and were answered, and the salts of their digests, from Redis and from the ledger.

    The records stay, and with them the chain: they hold salted digests, which nobody can match with a text any more.
    A record is added for each job that says who erased it and why. It cannot be undone.

    A job that has not ended is left alone: cancel it first. --subject finds the jobs that the ledger still holds
    content of. What copies, backups and the disks of Redis and PostgreSQL keep, and for how long: docs/auditing.md.

    Exit code 0: nothing of these jobs is left. 1: some could not be erased; they are named. 2: wrong use.
    3: the ledger or Redis does not answer.
    """
    from pointsman_audit import ErasureOrder  # here, so that other commands do not load SQL

    wanted = tuple(dict.fromkeys(jobs or ()))
    _see_to(wanted, subject, reason)
    if not yes and not sys.stdin.isatty():
        raise UsageProblem("what is erased does not come back; say --yes where nobody can be asked")
    told = f"{reason.strip()} ({_NOT_CLEANED})" if ledger_only else reason.strip()
    order = ErasureOrder("job" if subject is None else "subject", writable(told), operator_name(by))
    wish = _Wish(jobs=wanted, subject=subject, order=order, confirmed=yes, ledger_only=ledger_only, as_json=as_json)
    raise typer.Exit(asyncio.run(_erase(context.obj, wish)))


def _see_to(jobs: Sequence[str], subject: str | None, reason: str) -> None:
    """Refuse what cannot be meant.

    Raises:
        UsageProblem: with the remedy.
    """
    if bool(jobs) == (subject is not None):
        raise UsageProblem("name the jobs by their ids, or whom they are about by --subject")
    if subject is not None and not subject:
        raise UsageProblem("--subject is empty; name whom the jobs are about")
    for what, word in (*(("the job id", job_id) for job_id in jobs), ("--subject", subject or "")):
        see_to_word(what, word)
    if not reason.strip():
        raise UsageProblem("say why with --reason; it stays in the records, so name nobody in it")
    if len(reason) > _LONGEST_REASON:
        raise UsageProblem(f"--reason has {len(reason):,} characters; write {_LONGEST_REASON} at most")
    if subject is not None and subject.casefold() in reason.casefold():
        raise UsageProblem("--reason names the subject, and stays in the records for ever; write it without")


async def _erase(settings: Settings, wish: _Wish) -> int:
    from pointsman_audit import erasable, erase, jobs_about, scrub

    async with _traces(settings, ledger_only=wish.ledger_only) as traces, open_ledger(settings) as ledger:
        jobs = wish.jobs if wish.subject is None else await jobs_about(ledger, wish.subject)
        if not jobs:
            screen.say("the ledger holds nothing about that subject; erase by job id what Redis may still hold")
            return 1
        obstacles = await erasable(ledger, jobs)
        ready = [job_id for job_id in jobs if obstacles[job_id] is None]
        if ready and not wish.confirmed and not _sure(len(ready)):
            screen.say("nothing was erased")
            return 1
        wiped, busy = await _wipe(traces, ready)
        done = await erase(ledger, [job_id for job_id in ready if job_id not in busy], wish.order, wiped=wiped)
        left = await scrub(ledger) if ready else None
        fates = _fates(jobs, obstacles, done)
    return _tell(fates, wish, left)


@asynccontextmanager
async def _traces(settings: Settings, *, ledger_only: bool) -> AsyncIterator[JobTraces | None]:
    """What cleans Redis; None where it is to be left alone."""
    async with AsyncExitStack() as stack:
        if ledger_only:
            yield None
            return
        try:
            line = await stack.enter_async_context(open_line(settings))
        except ServiceUnavailable as trouble:
            raise ServiceUnavailable(f"{trouble}; or erase from the ledger alone with {_LEDGER_ONLY}") from None
        yield JobTraces(line.redis)


def _sure(count: int) -> bool:
    """Ask. Not by typer: that writes to standard output."""
    what = "one job" if count == 1 else f"{count:,} jobs"
    screen.err.print(f"Erase what {what} asked and answered? It does not come back. [y/N] ", markup=False, end="")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


async def _wipe(traces: JobTraces | None, jobs: Sequence[str]) -> tuple[frozenset[str], frozenset[str]]:
    """Clean Redis; says of which jobs it held something, and which have been taken in anew."""
    if traces is None:
        return frozenset(), frozenset()
    found: dict[str, Wiped] = {}
    with screen.progress_bar() as bar:
        for job_id in bar.track(jobs, description="cleaning Redis"):
            found[job_id] = await traces.wipe(job_id)
    wiped = frozenset(job_id for job_id, what in found.items() if what is Wiped.WIPED)
    return wiped, frozenset(job_id for job_id, what in found.items() if what is Wiped.UNDER_WAY)


def _fates(jobs: Sequence[str], obstacles: "dict[str, Fate | None]", done: "dict[str, Erased]") -> "dict[str, Erased]":
    from pointsman_audit import Erased, Fate

    # Of those that could be erased, only what is under way in Redis is not done.
    return {job_id: done.get(job_id) or Erased(obstacles[job_id] or Fate.UNFINISHED) for job_id in jobs}


def _tell(fates: "dict[str, Erased]", wish: _Wish, left: "Leftover | None") -> int:
    from pointsman_audit import Fate

    if wish.as_json:
        for job_id, one in fates.items():
            screen.line({"job_id": job_id, "fate": one.fate.value, "seq": one.seq})
    else:
        rows = [(printable(job_id), one.fate.value, one.seq) for job_id, one in fates.items()]
        screen.table(("JOB", "FATE", "RECORD"), rows)
    counts = Counter(one.fate for one in fates.values())
    _explain(fates)
    done = counts[Fate.ERASED] + counts[Fate.NOTHING_LEFT]
    if done:
        cleaned = f"; {_NOT_CLEANED}: results there expire by themselves" if wish.ledger_only else ""
        screen.say(f"{counts[Fate.ERASED]:,} erased, {counts[Fate.NOTHING_LEFT]:,} had nothing left{cleaned}")
    if left is not None:
        screen.say(left.text)
    return 1 if done < len(fates) or (left is not None and left.again) else 0


def _explain(fates: "dict[str, Erased]") -> None:
    """Say why a job was not erased, and what to do."""
    from pointsman_audit import Fate

    for job_id, one in fates.items():
        job = printable(job_id)
        if one.fate is Fate.UNKNOWN:
            screen.say(f"the ledger has no record of job {job}; see `pointsman audit list`")
        elif one.fate is Fate.UNFINISHED:
            screen.say(
                f"job {job} has no end in the ledger yet, so nothing of it was erased; end it with "
                f"`pointsman jobs cancel {job}`, or wait for the recorder"
            )
