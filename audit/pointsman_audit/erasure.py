"""Erasing: what jobs asked and were answered is deleted, and a record says so; the chain stays as it is."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import islice
from typing import Literal, NamedTuple

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from pointsman_routes import ErasureRecord, RecordKind

from .intake import draft_of
from .ledger import Ledger
from .moment import Clock, to_micros, utc_now
from .schema import content, facets, open_jobs, records
from .scrubbing import rebuild_content
from .sequencer import wait_for_turn

_AT_ONCE = 500
"""Jobs in one statement."""


class Fate(StrEnum):
    """What became of a job that was to be erased."""

    ERASED = "erased"
    """There was something, and it is deleted."""
    NOTHING_LEFT = "nothing_left"
    """There was nothing any more."""
    UNFINISHED = "unfinished"
    """It has not ended, as far as the ledger knows; nothing was done."""
    UNKNOWN = "unknown"
    """The ledger has no record of it; nothing was done."""


class Erased(NamedTuple):
    """What became of one job."""

    fate: Fate
    seq: int | None = None
    """The record that says so; None where an earlier one does, or nothing was done."""


class _Known(NamedTuple):
    """What the ledger knows of a job."""

    task_class: str | None
    ended: bool
    erased: bool


class ErasureOrder(NamedTuple):
    """Who wants what erased, and why. Stands in records for ever: no word of it may say whom it is about."""

    scope: Literal["job", "subject"]
    reason: str
    by: str


async def jobs_about(ledger: Ledger, subject: str) -> Sequence[str]:
    """The jobs about somebody, as their metadata say; oldest first.

    Only those that the ledger still holds content of: nothing else tells whom a job was about.
    """
    query = select(content.c.job_id).where(content.c.subject == subject).order_by(content.c.stored_at, content.c.job_id)
    async with ledger.reading() as connection:
        return (await connection.execute(query)).scalars().all()


async def erasable(ledger: Ledger, job_ids: Collection[str]) -> dict[str, Fate | None]:
    """Why jobs cannot be erased; None for one that can."""
    async with ledger.reading() as connection:
        known = await _known(connection, job_ids)
    return {job_id: _obstacle(known.get(job_id)) for job_id in dict.fromkeys(job_ids)}


async def erase(
    ledger: Ledger,
    job_ids: Collection[str],
    order: ErasureOrder,
    *,
    wiped: Collection[str] = (),
    clock: Clock = utc_now,
) -> dict[str, Erased]:
    """Delete content from the ledger and append a record for each job, in one transaction.

    Redis comes first: what is recorded here has been done there. A job whose erasure is recorded gets another record
    only if there was something to erase once more. Call `scrub` afterwards.

    Args:
        ledger: to erase from; nobody else writes meanwhile.
        job_ids: jobs; those that have not ended are left alone.
        order: for the records.
        wiped: those of which Redis held something.
        clock: of the records.

    Raises:
        LedgerUnavailable: the database does not answer, or the role may not do this; nothing was deleted.
        LedgerBroken: if the end of the chain was changed by somebody else.
    """
    fates: dict[str, Erased] = {}
    async with ledger.writing() as connection:
        await wait_for_turn(connection)
        known = await _known(connection, job_ids)
        ready: list[str] = []
        for job_id in dict.fromkeys(job_ids):
            obstacle = _obstacle(known.get(job_id))
            if obstacle is None:
                ready.append(job_id)
            else:
                fates[job_id] = Erased(obstacle)
        held = await _delete(connection, ready)
        if held:
            await rebuild_content(connection)
        news = [job_id for job_id in ready if job_id in held or job_id in wiped or not known[job_id].erased]
        drafts = [
            draft_of(
                ErasureRecord(
                    job_id=job_id, task_class=known[job_id].task_class, erased=job_id in held, **order._asdict()
                ),
                to_micros(clock()),
            )
            for job_id in news
        ]
        head = await ledger.append_acts(connection, drafts)
    numbers = dict(zip(news, range(head.seq - len(news) + 1, head.seq + 1), strict=True))
    for job_id in ready:
        fate = Fate.ERASED if job_id in held or job_id in wiped else Fate.NOTHING_LEFT
        fates[job_id] = Erased(fate, numbers.get(job_id))
    return fates


def _obstacle(known: _Known | None) -> Fate | None:
    if known is None:
        return Fate.UNKNOWN
    return None if known.ended else Fate.UNFINISHED


async def _known(connection: AsyncConnection, job_ids: Iterable[str]) -> dict[str, _Known]:
    """What the ledger knows of jobs; those that it has no record of are left out."""
    found: dict[str, _Known] = {}
    for some in _groups(job_ids):
        query = (
            select(records.c.job_id, facets.c.kind, facets.c.task_class)
            .join_from(records, facets, facets.c.id == records.c.facet_id)
            .where(records.c.job_id.in_(some))
        )
        for job_id, kind, task_class in (await connection.execute(query)).all():
            before = found.get(job_id, _Known(None, ended=False, erased=False))
            found[job_id] = _Known(
                before.task_class or task_class,
                ended=before.ended or kind == RecordKind.FINAL,
                erased=before.erased or kind == RecordKind.ERASURE,
            )
        # Taken in anew after its end.
        again = select(open_jobs.c.job_id).where(open_jobs.c.job_id.in_(some))
        for job_id in (await connection.execute(again)).scalars().all():
            found[job_id] = found.get(job_id, _Known(None, ended=False, erased=False))._replace(ended=False)
    return found


async def _delete(connection: AsyncConnection, job_ids: Iterable[str]) -> frozenset[str]:
    """Delete content; says of which jobs there was any."""
    held: set[str] = set()
    for some in _groups(job_ids):
        statement = delete(content).where(content.c.job_id.in_(some)).returning(content.c.job_id)
        held.update((await connection.execute(statement)).scalars().all())
    return frozenset(held)


def _groups(job_ids: Iterable[str]) -> Iterator[list[str]]:
    left = iter(job_ids)
    while some := list(islice(left, _AT_ONCE)):
        yield some
