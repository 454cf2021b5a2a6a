"""Content: what was asked and answered, beside the records and for a time."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from pointsman_routes import RecordKind

from .schema import content, facets, records


class Asked(NamedTuple):
    """What a job asks, from its acceptance on."""

    job_id: str
    task_class: str
    subject: str | None
    """Whom it is about, as its metadata say."""
    salt: str | None
    job: str
    """The job's line."""
    stored_at: int
    expires_at: int
    """Microseconds since the epoch; put off when the job ends."""


class Answered(NamedTuple):
    """What came of a job, at its end."""

    job_id: str
    task_class: str
    answer: str | None
    """The result's line; None where there is none."""
    stored_at: int
    expires_at: int | None
    """When both are deleted, microseconds since the epoch; None deletes them now."""


_DELETE = delete(content).where(content.c.job_id == bindparam("job_of"))

_PUT_OFF = update(content).where(content.c.job_id == bindparam("job_of")).values(expires_at=bindparam("over"))


async def store(connection: AsyncConnection, asked: Sequence[Asked], answered: Sequence[Answered]) -> None:
    """Keep content, in the transaction of the records it belongs to.

    A job that was taken in twice keeps what it asked first; one that ended twice keeps the later answer. Of a job that
    was erased nothing is kept again.
    """
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    erased = await _erased(connection, {row.job_id for row in asked} | {row.job_id for row in answered})
    new = {row.job_id: row for row in reversed(asked) if row.job_id not in erased}
    if new:
        await connection.execute(
            insert(content).on_conflict_do_nothing(), [{**row._asdict(), "answer": None} for row in new.values()]
        )
    ends = {row.job_id: row for row in answered}
    if over := [{"job_of": row.job_id} for row in ends.values() if row.expires_at is None]:
        await connection.execute(_DELETE, over)
    kept = [row for row in ends.values() if row.expires_at is not None and row.job_id not in erased]
    if ended := [{"job_of": row.job_id, "over": row.expires_at} for row in kept if row.answer is None]:
        await connection.execute(_PUT_OFF, ended)
    if kept := [row for row in kept if row.answer is not None]:
        statement = insert(content)
        statement = statement.on_conflict_do_update(
            index_elements=[content.c.job_id],
            set_={name: getattr(statement.excluded, name) for name in ("answer", "expires_at")},
        )
        await connection.execute(
            statement, [{**row._asdict(), "subject": None, "salt": None, "job": None} for row in kept]
        )


async def _erased(connection: AsyncConnection, job_ids: set[str]) -> frozenset[str]:
    """Those of these jobs whose content was erased."""
    kind = select(facets.c.id).where(facets.c.kind == RecordKind.ERASURE.value)
    erasures = (await connection.execute(kind)).scalars().all()
    if not erasures or not job_ids:
        return frozenset()
    query = select(records.c.job_id).where(records.c.job_id.in_(job_ids), records.c.facet_id.in_(erasures))
    return frozenset((await connection.execute(query)).scalars().all())


async def forget_expired(connection: AsyncConnection, now: int) -> int:
    """Delete what is over, salts included; says of how many jobs."""
    return (await connection.execute(delete(content).where(content.c.expires_at <= now))).rowcount
