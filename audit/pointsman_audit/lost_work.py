"""Questions of the reconciler: which jobs have no end in the ledger, and what is known of them."""

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from pydantic_core import from_json
from sqlalchemy import func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from pointsman_routes import RecordKind

from .redriving import LostJob
from .schema import content, facets, open_jobs, outbox_cursor, records


class OpenJob(NamedTuple):
    """A job with an acceptance and no end."""

    at: int
    """When it was accepted; microseconds since the epoch."""
    job_id: str


def _of_kind(kind: RecordKind) -> Any:
    return records.c.facet_id.in_(select(facets.c.id).where(facets.c.kind == kind.value))


async def open_page(connection: AsyncConnection, after: OpenJob | None, before: int, limit: int) -> list[OpenJob]:
    """Open jobs in the order of their acceptance.

    Args:
        connection: to the ledger.
        after: the last one seen.
        before: accepted earlier than this; microseconds since the epoch.
        limit: most to answer.
    """
    query = select(open_jobs.c.at, open_jobs.c.job_id).where(open_jobs.c.at < before)
    if after is not None:
        query = query.where(tuple_(open_jobs.c.at, open_jobs.c.job_id) > tuple_(after.at, after.job_id))
    rows = await connection.execute(query.order_by(open_jobs.c.at, open_jobs.c.job_id).limit(limit))
    return [OpenJob(row.at, row.job_id) for row in rows.all()]


async def still_open(connection: AsyncConnection, job_ids: Collection[str]) -> list[LostJob]:
    """Those of some jobs that are open, with what they ask as far as that is kept; oldest first."""
    query = (
        select(open_jobs.c.job_id, open_jobs.c.at, records.c.body, content.c.job, content.c.salt)
        .join_from(open_jobs, records, records.c.seq == open_jobs.c.seq)
        .outerjoin(content, content.c.job_id == open_jobs.c.job_id)
        .where(open_jobs.c.job_id.in_(job_ids))
        .order_by(open_jobs.c.at, open_jobs.c.seq)
    )
    found = []
    for row in (await connection.execute(query)).all():
        told = from_json(row.body)
        found.append(
            LostJob(row.job_id, told["custom_id"], told["batch_id"], told["task_class"], row.at, row.job, row.salt)
        )
    return found


async def batches_of(connection: AsyncConnection, job_ids: Collection[str]) -> frozenset[str]:
    """The batches of some open jobs."""
    query = (
        select(records.c.batch_id)
        .join_from(open_jobs, records, records.c.seq == open_jobs.c.seq)
        .where(open_jobs.c.job_id.in_(job_ids), records.c.batch_id.is_not(None))
    )
    return frozenset((await connection.execute(query.distinct())).scalars().all())


async def accepted_in(connection: AsyncConnection, batch_id: str, until: int) -> int:
    """How many jobs of a batch were accepted up to a moment, each counted once."""
    query = select(func.count(records.c.job_id.distinct())).where(
        records.c.batch_id == batch_id, _of_kind(RecordKind.ACCEPTED), records.c.at <= until
    )
    return int((await connection.execute(query)).scalar() or 0)


async def without_end(connection: AsyncConnection, job_ids: Collection[str]) -> frozenset[str]:
    """Those of some jobs that have no final record, or none since they were last accepted."""
    ended = select(records.c.job_id).where(records.c.job_id.in_(job_ids), _of_kind(RecordKind.FINAL))
    begun = select(open_jobs.c.job_id).where(open_jobs.c.job_id.in_(job_ids))
    has_end = set((await connection.execute(ended)).scalars().all())
    return frozenset(job_ids) - (has_end - set((await connection.execute(begun)).scalars().all()))


async def acceptances(connection: AsyncConnection, job_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The first accepted record of some jobs, as far as there is one."""
    query = select(records.c.job_id, records.c.body).where(
        records.c.job_id.in_(list(job_ids)), _of_kind(RecordKind.ACCEPTED)
    )
    found: dict[str, dict[str, Any]] = {}
    for row in (await connection.execute(query.order_by(records.c.seq))).all():
        found.setdefault(row.job_id, from_json(row.body))
    return found


async def knows_others(connection: AsyncConnection, source: str) -> bool:
    """Whether the ledger has recorded another outbox than this one."""
    query = select(outbox_cursor.c.source).where(outbox_cursor.c.source != source).limit(1)
    return (await connection.execute(query)).scalar() is not None
