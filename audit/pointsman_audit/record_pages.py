"""Listings of any length, read in pages of bounded size."""

from array import array
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from .listing import ShownRecord, as_listed
from .record_filter import RecordFilter
from .record_search import Search, begin, conditions, find, listed, one_of

PAGE = 1000
"""Records read at a time; a listing of any length needs this much memory, and eight bytes for each of a limit."""
Reading = Callable[[], AbstractAsyncContextManager[AsyncConnection]]
"""Gives a connection for a moment."""


async def listing(reading: Reading, wanted: RecordFilter) -> AsyncIterator[ShownRecord]:
    """Records, oldest first; no connection is held between two pages."""
    async with reading() as connection:
        search = await begin(connection, wanted)
    pages = _oldest(reading, search) if wanted.limit is None else _newest(reading, search, wanted.limit)
    async for numbers in pages:
        async with reading() as connection:
            bodies = await _bodies(connection, numbers)
        for seq in numbers:
            yield as_listed(wanted.kind, seq, bodies[seq])


async def count(connection: AsyncConnection, wanted: RecordFilter) -> int:
    """How many records a listing would show."""
    search = await begin(connection, wanted)
    if wanted.limit is not None:
        return len(await _newest_numbers(connection, search, wanted.limit))
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
        numbers = await _newest_numbers(connection, search, limit)
    numbers.reverse()
    for first in range(0, len(numbers), PAGE):
        yield numbers[first : first + PAGE]


async def _newest_numbers(connection: AsyncConnection, search: Search, limit: int) -> "array[int]":
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


async def _bodies(connection: AsyncConnection, numbers: Sequence[int]) -> dict[int, str]:
    query = text(f"SELECT seq, body FROM records WHERE seq {one_of(connection.dialect.name, 'numbers')}")
    rows = await connection.execute(query, {"numbers": listed(connection, list(numbers))})
    return {row.seq: row.body for row in rows}
