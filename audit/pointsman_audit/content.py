"""Content: what was asked and answered, beside the records and for a time."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import delete
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from .schema import content


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
    """The result's line; None where none is kept."""
    stored_at: int
    expires_at: int
    """When both are deleted; a moment that has passed deletes them with the next tidying."""


async def store(connection: AsyncConnection, asked: Sequence[Asked], answered: Sequence[Answered]) -> None:
    """Keep content, in the transaction of the records it belongs to.

    A job that was taken in twice keeps what it asked first; one that ended twice keeps the later answer.
    """
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    new = {row.job_id: row for row in reversed(asked)}
    if new:
        rows = [{**row._asdict(), "answer": None} for row in reversed(new.values())]
        await connection.execute(insert(content).on_conflict_do_nothing(), rows)
    ends = {row.job_id: row for row in answered}
    if ends:
        statement = insert(content)
        statement = statement.on_conflict_do_update(
            index_elements=[content.c.job_id],
            set_={name: getattr(statement.excluded, name) for name in ("answer", "expires_at")},
        )
        rows = [{**row._asdict(), "subject": None, "salt": None, "job": None} for row in ends.values()]
        await connection.execute(statement, rows)


async def forget_expired(connection: AsyncConnection, now: int) -> int:
    """Delete what is over, salts included; says of how many jobs."""
    return (await connection.execute(delete(content).where(content.c.expires_at <= now))).rowcount
