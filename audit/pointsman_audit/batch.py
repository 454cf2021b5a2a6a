"""A batch: what was read from the outbox in one go, written to the ledger in one transaction."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from pointsman_queue import START

from .intake import Garbage, Row
from .schema import answers, ledger_head, outbox_cursor, quarantine, records


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """The result line of a succeeded job, for a time."""

    job_id: str
    result: str
    stored_at: int
    expires_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Consecutive entries of one outbox."""

    source: str
    """The outbox."""
    after: str
    """The cursor they were read after."""
    until: str
    """The last entry's id: the cursor from now on."""
    rows: tuple[Row, ...] = ()
    garbage: tuple[Garbage, ...] = ()
    answers: tuple[StoredAnswer, ...] = ()


async def write_batch(connection: AsyncConnection, batch: Batch) -> int | None:
    """Append a batch inside the caller's transaction; the records get the next numbers.

    The lock on the head makes recorders take turns, and the cursor is looked at under that lock: that is why no
    record is there twice, no number is missing, and any number of recorders may run.

    Returns:
        The number of the last record, or None if another recorder has moved the cursor in the meantime; nothing
        was written then.
    """
    await _insist_on_disk(connection)
    last = (await connection.execute(select(ledger_head.c.last_seq).with_for_update())).scalar_one()
    if await read_cursor(connection, batch.source) != batch.after:
        return None
    if batch.rows:
        await connection.execute(
            insert(records), [{"seq": seq, **row} for seq, row in enumerate(batch.rows, start=last + 1)]
        )
        last += len(batch.rows)
        await connection.execute(update(ledger_head).values(last_seq=last))
    if batch.garbage:
        await connection.execute(insert(quarantine), [_quarantined(batch.source, entry) for entry in batch.garbage])
    if batch.answers:
        await _store_answers(connection, batch.answers)
    await _move_cursor(connection, batch)
    return int(last)


async def _insist_on_disk(connection: AsyncConnection) -> None:
    """Make this transaction's commit wait for the disk, also on a PostgreSQL that is set not to.

    What is committed here is dropped from Redis. SQLite is told once, when it is connected to.
    """
    if connection.dialect.name == "postgresql":
        # Only where it is off: another setting waits for even more, a standby's disk.
        await connection.execute(
            text(
                "SELECT set_config('synchronous_commit', 'on', true)"
                " WHERE current_setting('synchronous_commit') = 'off'"
            )
        )


async def read_cursor(connection: AsyncConnection, source: str) -> str:
    """The last entry of an outbox that is in the ledger; the start if none is."""
    query = select(outbox_cursor.c.entry_id).where(outbox_cursor.c.source == source)
    found = (await connection.execute(query)).scalar()
    return START if found is None else str(found)


async def _move_cursor(connection: AsyncConnection, batch: Batch) -> None:
    if batch.after == START:
        await connection.execute(insert(outbox_cursor), [{"source": batch.source, "entry_id": batch.until}])
        return
    mine = outbox_cursor.c.source == batch.source
    await connection.execute(update(outbox_cursor).where(mine).values(entry_id=batch.until))


async def _store_answers(connection: AsyncConnection, stored: tuple[StoredAnswer, ...]) -> None:
    # A job whose final record comes twice, after Redis lost its last second, keeps the later answer.
    latest = {answer.job_id: answer for answer in stored}
    await connection.execute(delete(answers).where(answers.c.job_id.in_(latest)))
    await connection.execute(
        insert(answers),
        [
            {
                "job_id": answer.job_id,
                "result": answer.result,
                "stored_at": answer.stored_at,
                "expires_at": answer.expires_at,
            }
            for answer in latest.values()
        ],
    )


def _quarantined(source: str, entry: Garbage) -> dict[str, Any]:
    return {
        "source": source,
        "entry_id": entry.entry_id,
        "at": entry.at,
        "reason": entry.reason,
        "raw": entry.raw,
    }
