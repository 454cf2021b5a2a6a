"""Which words records have: whoever asks for another one is told."""

from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from .record_filter import RecordFilter
from .schema import facets


class UnknownWord(NamedTuple):
    """A word that no record of the kind has."""

    field: str
    """The filter's field."""
    word: str
    known: tuple[str, ...]
    """The words that records of the kind have there, in order; empty where the kind has no such field, or no record."""


async def unknown_words(connection: AsyncConnection, wanted: RecordFilter) -> list[UnknownWord]:
    """Words of a filter that no record of its kind has."""
    of_kind = facets.c.kind.in_([kind.value for kind in wanted.kind.records])
    unknown: list[UnknownWord] = []
    for field, word in wanted.words.items():
        column = facets.c[field]
        query = select(column).where(of_kind, column.is_not(None)).distinct().order_by(column)
        known = tuple((await connection.execute(query)).scalars().all())
        if word not in known:
            unknown.append(UnknownWord(field, word, known))
    return unknown
