"""What is under way, as far as the ledger knows: jobs without an end, calls without an end."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, delete
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from pointsman_routes import RecordKind

from .intake import Draft
from .schema import open_attempts, open_jobs

_CLOSE_JOB = delete(open_jobs).where(open_jobs.c.job_id == bindparam("job"))
_CLOSE_ATTEMPT = delete(open_attempts).where(
    open_attempts.c.job_id == bindparam("job"),
    open_attempts.c.attempt == bindparam("number"),
    open_attempts.c.fence == bindparam("token"),
)
_Call = tuple[str, int, int]
"""Job, attempt, fence: a job that is retried by hand may count its calls from 1 again."""


async def follow(connection: AsyncConnection, drafts: Sequence[Draft]) -> None:
    """Bring the lists up to date with records that have just been appended, in the same transaction."""
    jobs: dict[str, dict[str, Any] | None] = {}
    calls: dict[_Call, dict[str, Any] | None] = {}
    for kind, columns, body, _ in drafts:
        job_id = columns.job_id or ""
        if kind is RecordKind.ACCEPTED:
            jobs[job_id] = {"job_id": job_id, "seq": body["seq"], "at": columns.at}
        elif kind is RecordKind.FINAL:
            jobs[job_id] = None
        elif kind is RecordKind.ATTEMPT_STARTED and (call := _call(job_id, body)) is not None:
            calls[call] = {"seq": body["seq"], "job_id": job_id, "attempt": call[1], "fence": call[2]}
        elif kind is RecordKind.ATTEMPT_FINISHED and (call := _call(job_id, body)) is not None:
            # One that began in the same batch was never written down.
            calls[call] = None
    await _write(connection, jobs, calls)


async def _write(
    connection: AsyncConnection,
    jobs: dict[str, dict[str, Any] | None],
    calls: dict[_Call, dict[str, Any] | None],
) -> None:
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    if ended := [{"job": job_id} for job_id, row in jobs.items() if row is None]:
        await connection.execute(_CLOSE_JOB, ended)
    if begun := [row for row in jobs.values() if row is not None]:
        await connection.execute(insert(open_jobs).on_conflict_do_nothing(), begun)
    finished = [call for call, row in calls.items() if row is None]
    if finished:
        names = ("job", "number", "token")
        await connection.execute(_CLOSE_ATTEMPT, [dict(zip(names, call, strict=True)) for call in finished])
    if started := [row for row in calls.values() if row is not None]:
        await connection.execute(insert(open_attempts).on_conflict_do_nothing(), started)


def _call(job_id: str, body: dict[str, Any]) -> _Call | None:
    """None for one whose number or fence is no number: nobody could ever end it."""
    attempt, fence = body["attempt"], body["fence"]
    return (job_id, attempt, fence) if type(attempt) is int and type(fence) is int else None
