"""An examination: the whole ledger read once, a page at a time, and held against what was signed.

Needs the database, the checkpoints and the public keys; changes nothing and holds up nobody, also while a recorder
appends: it goes as far as the ledger was when it began.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from .chain import Head
from .checkpoint_file import Checkpoints
from .columns import Facet
from .finding import Verdict
from .ledger import Ledger
from .schema import ledger_head, policies, records
from .signing_key import PublicKey
from .verification import Verifier
from .witnesses import Witnesses

PAGE = 2000
"""Records in memory at a time."""
Progress = Callable[[int, int], object]
"""Told after every page: the last record read, and the last there is to read."""

# Read past SQLAlchemy's types: they would turn what somebody wrote into a flag's column into a flag.
_FACETS = text(f"SELECT id, key, {', '.join(Facet._fields)} FROM facets")
_COLUMNS = ", ".join(column.name for column in records.columns)
_RECORDS = text(f"SELECT {_COLUMNS} FROM records WHERE seq > :after AND seq <= :until ORDER BY seq LIMIT :most")


async def examine(
    ledger: Ledger,
    checkpoints: Sequence[Checkpoints],
    keys: Sequence[PublicKey],
    *,
    progress: Progress = lambda _, __: None,
) -> Verdict:
    """Recompute the chain and say whether anything was changed.

    What it cannot see: that records after the last checkpoint were cut off, or rewritten, by somebody who also put the
    ledger's own word about its end right; and that a record was false when it was written.

    Args:
        ledger: that is there; reading rights are enough.
        checkpoints: what each file of them holds, read before the call. None at all: what rewrites the chain to its
            end, or cuts it, is not found.
        keys: the public keys that are accepted.
        progress: for a bar.

    Raises:
        LedgerUnavailable: if the database does not answer. What was read until then says nothing.
    """
    ledger_id = await ledger.ledger_id()
    async with ledger.reading() as connection:
        head, end = await _ends(connection)
        # None that a record up to the end has is added later.
        facets = await _facets(connection)
    verifier = Verifier(ledger_id, Witnesses(checkpoints, keys, ledger_id), facets)
    after = 0
    while True:
        async with ledger.reading() as connection:
            rows = await _page(connection, after, end)
        verifier.feed(rows)
        if len(rows) < PAGE:
            break
        after = rows[-1][0]
        progress(after, end)
    async with ledger.reading() as connection:
        query = select(policies.c.digest, policies.c.policy, policies.c.first_seq).where(policies.c.first_seq <= end)
        kept = (await connection.execute(query)).all()
    return verifier.finish(head, [(row.digest, row.policy, row.first_seq) for row in kept])


async def _ends(connection: AsyncConnection) -> tuple[Head, int]:
    """Where the ledger says it ends, and where it does: at one moment, for a recorder may be appending."""
    last = select(records.c.seq).order_by(records.c.seq.desc()).limit(1).scalar_subquery()
    row = (await connection.execute(select(ledger_head.c.last_seq, ledger_head.c.last_hash, last.label("last")))).one()
    return Head(row.last_seq, row.last_hash), row.last or 0


async def _page(connection: AsyncConnection, after: int, until: int) -> Sequence[Any]:
    values = {"after": after, "until": until, "most": PAGE}
    rows: Sequence[Any] = (await connection.execute(_RECORDS, values)).all()
    return rows


async def _facets(connection: AsyncConnection) -> dict[int, Facet | None]:
    known: dict[int, Facet | None] = {}
    for number, key, *words in (await connection.execute(_FACETS)).all():
        # SQLite has no flags, only numbers.
        found: Any = [bool(word) if word in (0, 1) else word for word in words]
        facet = Facet(*found)
        known[number] = facet if facet.key == key else None
    return known
