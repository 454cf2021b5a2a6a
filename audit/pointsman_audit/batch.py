"""A batch: what was read from the outbox in one go, written to the ledger in one transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from pointsman_queue import START
from pointsman_routes import QuarantinedRecord

from . import open_work, sequencer
from .chain import Head
from .columns import Facet
from .content import Answered, Asked, store
from .intake import Draft, Garbage, draft_of
from .schema import outbox_cursor, quarantine
from .sequencer import FacetIds


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Consecutive entries of one outbox."""

    source: str
    """The outbox."""
    after: str
    """The cursor they were read after."""
    until: str
    """The last entry's id: the cursor from now on."""
    entries: tuple[Draft | Garbage, ...] = ()
    asked: tuple[Asked, ...] = ()
    answered: tuple[Answered, ...] = ()

    @property
    def drafts(self) -> tuple[Draft, ...]:
        """The entries that are records."""
        return tuple(entry for entry in self.entries if not isinstance(entry, Garbage))

    @property
    def garbage(self) -> tuple[Garbage, ...]:
        """The entries that are none."""
        return tuple(entry for entry in self.entries if isinstance(entry, Garbage))


async def write_batch(
    connection: AsyncConnection, batch: Batch, facet_ids: FacetIds
) -> tuple[Head, Mapping[Facet, int]] | None:
    """Append a batch inside the caller's transaction; the records get the next numbers.

    Recorders take turns, and the cursor is looked at in one's turn: that is why no record is there twice, no number is
    missing, and any number of recorders may run. An entry that is no record is put aside, and a record says so.

    Returns:
        Where the chain ends, and the facets to be remembered once this is committed; None if another recorder has
        moved the cursor in the meantime: nothing was written then.

    Raises:
        LedgerBroken: if the end of the chain was changed by somebody else.
    """
    head = await sequencer.take_turn(connection)
    if await read_cursor(connection, batch.source) != batch.after:
        return None
    drafts = [entry if isinstance(entry, Draft) else _told(batch.source, entry) for entry in batch.entries]
    head, found = await sequencer.append(connection, head, drafts, facet_ids)
    await open_work.follow(connection, drafts)
    await store(connection, batch.asked, batch.answered)
    if batch.garbage:
        await connection.execute(insert(quarantine), [_quarantined(batch.source, entry) for entry in batch.garbage])
    await _move_cursor(connection, batch)
    return head, found


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


def _told(source: str, entry: Garbage) -> Draft:
    """What a record says of an entry that is none; what was in it stays out of the chain."""
    record = QuarantinedRecord(reason=entry.reason, source=source, entry_id=entry.entry_id, raw_digest=entry.raw_digest)
    return draft_of(record, entry.at)


def _quarantined(source: str, entry: Garbage) -> dict[str, Any]:
    return {
        "source": source,
        "entry_id": entry.entry_id,
        "at": entry.at,
        "reason": entry.reason,
        "raw": entry.raw,
    }
