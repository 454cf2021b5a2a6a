"""Listings of any length, read in pages of bounded size."""

from array import array
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from .errors import LedgerBroken
from .listing import ShownRecord, as_listed
from .record_filter import RecordFilter
from .record_search import Search, begin, conditions, find, listed, one_of

PAGE = 1000
"""Records read at a time; a listing of any length needs this much memory, and eight bytes for each of a limit."""
Reading = Callable[[], AbstractAsyncContextManager[AsyncConnection]]
"""Gives a connection for a moment."""


class Stored(NamedTuple):
    """A record as it stands in the ledger."""

    seq: int
    hash: str
    text: str
    """Canonical JSON."""


async def listing(reading: Reading, wanted: RecordFilter) -> AsyncIterator[ShownRecord]:
    """Records, oldest first; no connection is held between two pages."""
    async with reading() as connection:
        search = await begin(connection, wanted)
    async for page in pages(reading, search, wanted.limit):
        for record in page:
            yield as_listed(wanted.kind, record.seq, record.text)


async def pages(reading: Reading, search: Search, limit: int | None) -> AsyncIterator[list[Stored]]:
    """What a search finds, oldest first, in pages; `limit` takes the newest."""
    found = _oldest(reading, search) if limit is None else _newest(reading, search, limit)
    async for numbers in found:
        async with reading() as connection:
            page = await stored(connection, numbers)
        yield page


async def count(connection: AsyncConnection, wanted: RecordFilter) -> int:
    """How many records a listing would show."""
    return await count_found(connection, await begin(connection, wanted), wanted.limit)


async def count_found(connection: AsyncConnection, search: Search, limit: int | None) -> int:
    """How many records `pages` gives of a search."""
    if limit is not None:
        return len(await newest_numbers(connection, search, limit))
    found = len(search.inside)
    if search.facets:
        where = conditions(connection.dialect.name, in_batch=search.batch_id is not None)
        asked = {**search.parameters, "facets": listed(connection, search.facets)}
        found += (await connection.execute(text(f"SELECT count(*) FROM records WHERE {where}"), asked)).scalar_one()
    return found


async def _oldest(reading: Reading, search: Search) -> AsyncIterator[Sequence[int]]:
    while True:
        async with reading() as connection:
            found = await find(connection, search, most=PAGE, newest=False)
        if found:
            yield [place.seq for place in found]
        if len(found) < PAGE:
            return
        search = replace(search, after=found[-1])


async def _newest(reading: Reading, search: Search, limit: int) -> AsyncIterator[Sequence[int]]:
    async with reading() as connection:
        numbers = await newest_numbers(connection, search, limit)
    numbers.reverse()
    for first in range(0, len(numbers), PAGE):
        yield numbers[first : first + PAGE]


async def newest_numbers(connection: AsyncConnection, search: Search, limit: int) -> "array[int]":
    """Numbers of the newest records, newest first."""
    numbers = array("q")
    while len(numbers) < limit:
        most = min(PAGE, limit - len(numbers))
        found = await find(connection, search, most=most, newest=True)
        numbers.extend(place.seq for place in found)
        if len(found) < most:
            break
        search = replace(search, before=found[-1])
    return numbers


async def stored(connection: AsyncConnection, numbers: Sequence[int]) -> list[Stored]:
    """The records of these numbers, in this order.

    Raises:
        LedgerBroken: if one of them is not there any more.
    """
    among = one_of(connection.dialect.name, "numbers")
    query = text(f"SELECT seq, record_hash, body FROM records WHERE seq {among}")
    rows = await connection.execute(query, {"numbers": listed(connection, list(numbers))})
    found = {row.seq: Stored(*row) for row in rows}
    for seq in numbers:
        if seq not in found:
            raise LedgerBroken(f"record {seq} was in the ledger a moment ago and is gone; see `pointsman audit verify`")
    return [found[seq] for seq in numbers]
