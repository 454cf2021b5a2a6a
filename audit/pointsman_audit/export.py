"""Records taken out of the ledger: a snapshot in pages, and the record that says so.

An export shows the ledger as it was when it began, however long it takes, and holds no more than a page in memory: with
a limit eight bytes for each record more. What was asked and answered is in no record, so it is in no export.
"""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from sqlalchemy import select, text

from pointsman_routes import ExportRecord

from .chain import GENESIS, Head
from .errors import LedgerBroken
from .exported_row import Row, VendorBook, row_of
from .intake import draft_of
from .ledger import Ledger
from .moment import Clock, to_micros, utc_now
from .record_filter import RecordFilter
from .record_pages import Stored, count_found, newest_numbers, pages, stored
from .record_search import Search, begin, conditions, listed
from .schema import ledger_head, records
from .semantic_names import NAMES

PAGE = 1000
"""Records read at a time in the order of the chain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What is taken out: a question and the state of the ledger it is asked of."""

    wanted: RecordFilter
    ledger_id: str
    head: Head
    """Where the chain ended."""
    count: int
    """Records there are to export."""
    search: Search

    @property
    def metadata(self) -> Mapping[str, str]:
        """What a file can say of itself."""
        return {
            "pointsman.ledger_id": self.ledger_id,
            "pointsman.head_seq": str(self.head.seq),
            "pointsman.head_hash": self.head.hash,
            "pointsman.kind": self.wanted.kind.value,
            "pointsman.records": str(self.count),
            "pointsman.names": NAMES,
        }


async def begin_export(ledger: Ledger, wanted: RecordFilter) -> Export:
    """Fix what is exported.

    Raises:
        LedgerBroken: if the last record is gone.
    """
    async with ledger.reading() as connection:
        search = await begin(connection, wanted)
        count = await count_found(connection, search, wanted.limit)
        ledger_id = (await connection.execute(select(ledger_head.c.ledger_id))).scalar_one()
        last = select(records.c.record_hash).where(records.c.seq == search.head)
        found = (await connection.execute(last)).scalar()
    if found is None and search.head:
        raise LedgerBroken("the ledger's last record is gone; see `pointsman audit verify`")
    head = Head(search.head, found or GENESIS)
    return Export(wanted=wanted, ledger_id=str(ledger_id), head=head, count=count, search=search)


async def rows(ledger: Ledger, export: Export) -> AsyncIterator[list[Row]]:
    """Pages of records under their exported names, oldest first as in a listing.

    Raises:
        LedgerBroken: if records have gone since the export began.
    """
    book, done = VendorBook(ledger.reading), 0
    async for page in pages(ledger.reading, export.search, export.wanted.limit):
        read = [json.loads(one.text) for one in page]
        vendors = await book.of(read)
        yield [row_of(one, record, vendors) for one, record in zip(page, read, strict=True)]
        done += len(page)
    _insist(export, done)


async def texts(ledger: Ledger, export: Export) -> AsyncIterator[list[str]]:
    """Pages of records as they stand in the chain, in its order: the texts that are hashed.

    Weakness: reads every record up to the last one it shows, also where few are wanted.

    Raises:
        LedgerBroken: if records have gone since the export began.
    """
    done = 0
    found = _in_order(ledger, export) if export.wanted.limit is None else _newest(ledger, export, export.wanted.limit)
    async for page in found:
        yield [one.text for one in page]
        done += len(page)
    _insist(export, done)


async def record_export(ledger: Ledger, act: ExportRecord, *, clock: Clock = utc_now) -> Head:
    """Append the record of an export to the chain."""
    async with ledger.writing() as connection:
        return await ledger.append_acts(connection, [draft_of(act, to_micros(clock()))])


def _insist(export: Export, done: int) -> None:
    if done != export.count:
        raise LedgerBroken(
            f"{export.count:,} records were to be exported and {done:,} were found: somebody else changes the ledger; "
            "see `pointsman audit verify`"
        )


async def _in_order(ledger: Ledger, export: Export) -> AsyncIterator[list[Stored]]:
    search, after = export.search, 0
    apart = sorted(place.seq for place in search.inside)
    while True:
        async with ledger.reading() as connection:
            dialect = connection.dialect.name
            where = conditions(dialect, in_batch=search.batch_id is not None)
            # By its number: SQLite would rather read an index and sort everything, for every page.
            by_number = "NOT INDEXED" if dialect == "sqlite" else ""
            query = text(
                f"SELECT seq, record_hash, body FROM records {by_number} WHERE seq > :last AND {where}"
                " ORDER BY seq LIMIT :most"
            )
            asked = {**search.parameters, "facets": listed(connection, search.facets), "last": after, "most": PAGE}
            page = [Stored(*row) for row in await connection.execute(query, asked)]
            beside = [seq for seq in apart if seq > after][:PAGE]
            page = sorted([*page, *await stored(connection, beside)])[:PAGE]
        if page:
            yield page
        if len(page) < PAGE:
            return
        after = page[-1].seq


async def _newest(ledger: Ledger, export: Export, limit: int) -> AsyncIterator[list[Stored]]:
    async with ledger.reading() as connection:
        numbers = sorted(await newest_numbers(connection, export.search, limit))
    for first in range(0, len(numbers), PAGE):
        async with ledger.reading() as connection:
            page = await stored(connection, numbers[first : first + PAGE])
        yield page
