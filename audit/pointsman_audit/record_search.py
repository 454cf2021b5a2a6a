"""Finding records: which facets answer a question, and where the newest or oldest records of these are.

A few hundred facets stand for any number of records, and the index `records_by_facet` has the records of each in
order; a page is a merge of them, whatever was asked for, so it takes as long for a question that nothing answers. On
SQLite a recursive query is the merge: its queue holds the next record of every facet. On PostgreSQL, which has no such
queue, every facet gives as many records as could be on the page; a look at its first few tells how far to go.

With a batch it is the same through `records_by_batch`. The few records of a job are simply read.

Weakness: with more than `MOST_MERGED` facets, of vendors that name another model in every answer, the index
`records_by_time` is read until the page is full; a question that few records answer then takes as long as there are
records.
"""

import bisect
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import TextClause, and_, select, text, true
from sqlalchemy.ext.asyncio import AsyncConnection

from pointsman_routes import RecordKind

from .errors import FilterInvalid
from .moment import to_micros
from .record_filter import ListedKind, RecordFilter
from .schema import facets, ledger_head, open_attempts, records

MOST_MERGED = 2_000
"""Facets; a page takes a search in an index for each of them, some ten microseconds."""


class Place(NamedTuple):
    """Where a record stands in the order of listings."""

    at: int
    """Its own time: microseconds since the epoch."""
    seq: int


_FIRST: Final = Place(-1, 0)
_LAST: Final = Place(2**63 - 1, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is looked for, as the ledger stood when the question came. Records only get more, so pages fit together."""

    head: int
    """Number of the last record there was."""
    facets: tuple[int, ...]
    """Whose records are found, every one."""
    batch_id: str | None = None
    singled_out: tuple[Place, ...] = ()
    """Records that are found beside those, in order: calls in flight; or all there is, of a job."""
    after: Place = _FIRST
    """What is found comes after this place ..."""
    before: Place = _LAST
    """... and before that."""

    @property
    def parameters(self) -> dict[str, Any]:
        """The places and names as statements want them."""
        named = {} if self.batch_id is None else {"batch": self.batch_id}
        return {
            **named,
            "after_at": self.after.at,
            "after_seq": self.after.seq,
            "before_at": self.before.at,
            "before_seq": self.before.seq,
            "head": self.head,
        }

    @property
    def inside(self) -> Sequence[Place]:
        """Those singled out that are between the two places."""
        first = bisect.bisect_right(self.singled_out, self.after)
        return self.singled_out[first : bisect.bisect_left(self.singled_out, self.before)]


async def begin(connection: AsyncConnection, wanted: RecordFilter) -> Search:
    """Make a search of a filter; its limit is left to the caller.

    Raises:
        FilterInvalid: if a page is to begin before a record that is not there.
    """
    head, flying = await _standing(connection, wanted.kind)
    before = _LAST if wanted.until is None else Place(to_micros(wanted.until), 0)
    if wanted.before_seq is not None:
        before = min(before, await _place(connection, wanted.before_seq))
    ended, begun = await _facets(connection, wanted)
    search = Search(
        head=head,
        facets=ended,
        batch_id=wanted.batch_id,
        # Numbers begin with 1: the moment itself is in.
        after=_FIRST if wanted.since is None else Place(to_micros(wanted.since), 0),
        before=before,
    )
    if wanted.job_id is not None or wanted.custom_id is not None:
        named = await _of_jobs(connection, wanted)
        whole, in_flight = frozenset(ended), {one.seq for one in flying}
        found = [one for one in named if one.facet_id in whole or (one.facet_id in begun and one.seq in in_flight)]
        return _singling(search, (one for one in found if one.seq <= head), facets=())
    return _singling(search, (one for one in flying if one.facet_id in begun), facets=ended)


async def find(connection: AsyncConnection, search: Search, *, most: int, newest: bool) -> list[Place]:
    """The places of the newest records, newest first; or of the oldest ones, oldest first.

    Args:
        connection: to the ledger.
        search: from `begin`, narrowed by what was found before.
        most: so many are found if there are.
        newest: which end to begin at.
    """
    found = list(search.inside)
    if search.facets:
        statement = page_statement(
            connection.dialect.name,
            in_batch=search.batch_id is not None,
            newest=newest,
            merged=len(search.facets) <= MOST_MERGED,
        )
        asked = {**search.parameters, "facets": listed(connection, search.facets), "most": most}
        found += [Place(row.at, row.seq) for row in await connection.execute(statement, asked)]
    return sorted(found, reverse=newest)[:most]


def listed(connection: AsyncConnection, numbers: Sequence[int]) -> object:
    """Numbers as the one parameter that `one_of` reads."""
    return list(numbers) if connection.dialect.name == "postgresql" else json.dumps(numbers)


def one_of(dialect: str, parameter: str) -> str:
    """SQL for any of the numbers in a parameter."""
    if dialect == "postgresql":
        return f"= ANY (CAST(:{parameter} AS bigint[]))"
    return f"IN (SELECT value FROM json_each(:{parameter}))"


def conditions(dialect: str, *, in_batch: bool) -> str:
    """SQL for the records of a search's facets; the parameters are the search's own and `facets`."""
    batch = "batch_id = :batch AND " if in_batch else ""
    return f"{batch}facet_id {one_of(dialect, 'facets')} AND {_BOUNDS}"


_BOUNDS = "(at, seq) > (:after_at, :after_seq) AND (at, seq) < (:before_at, :before_seq) AND seq <= :head"


@cache
def page_statement(dialect: str, *, in_batch: bool, newest: bool, merged: bool) -> TextClause:
    """The statement that finds a page of places."""
    words = {
        "batch": "batch_id = :batch AND" if in_batch else "",
        "bounds": _BOUNDS,
        "loose_bounds": _BOUNDS.replace("(at, seq)", "(+at, seq)"),
        "index": "records_by_batch" if in_batch else "records_by_facet",
        "order": "at DESC, seq DESC" if newest else "at, seq",
        "second": "2 DESC, 3 DESC" if newest else "2, 3",
        "beyond": "<" if newest else ">",
        "inside": ">=" if newest else "<=",
        "furthest": _FIRST.at if newest else _LAST.at,
        "facet_is_wanted": f"+facet_id {one_of(dialect, 'facets')}",
    }
    template = _SCAN if not merged else _MERGE_POSTGRESQL if dialect == "postgresql" else _MERGE_SQLITE
    return text(template.format(**words))


_MERGE_SQLITE = """
WITH RECURSIVE found (facet_id, at, seq) AS (
  SELECT facet_id, at, seq FROM json_each(:facets) AS facet JOIN records ON seq = (
    SELECT seq FROM records INDEXED BY {index} WHERE {batch} facet_id = facet.value AND {bounds}
      ORDER BY {order} LIMIT 1)
  UNION ALL
  SELECT records.facet_id, records.at, records.seq FROM found JOIN records ON records.seq = coalesce(
    (SELECT seq FROM records INDEXED BY {index} WHERE {batch} facet_id = found.facet_id AND at = found.at
      AND seq {beyond} found.seq AND {loose_bounds} ORDER BY {order} LIMIT 1),
    (SELECT seq FROM records INDEXED BY {index} WHERE {batch} facet_id = found.facet_id AND at {beyond} found.at
      AND {bounds} ORDER BY {order} LIMIT 1))
  ORDER BY {second} LIMIT :most)
SELECT at, seq FROM found"""
"""In two steps to the next record, because SQLite compares pairs by an index's first column only, and thousands of jobs
are accepted in the same microsecond. The index is named so that no statistics lead to another."""
_MERGE_POSTGRESQL = """
WITH few AS MATERIALIZED (
  SELECT at, seq FROM unnest(CAST(:facets AS bigint[])) AS facet (id) CROSS JOIN LATERAL (
    SELECT at, seq FROM records WHERE {batch} facet_id = facet.id AND {bounds} ORDER BY {order}
    LIMIT 1 + CAST(:most AS bigint) / cardinality(CAST(:facets AS bigint[]))) AS first),
enough AS MATERIALIZED (
  SELECT coalesce((SELECT at FROM few ORDER BY {order} LIMIT 1 OFFSET CAST(:most AS bigint) - 1), {furthest}) AS at)
SELECT at, seq FROM unnest(CAST(:facets AS bigint[])) AS facet (id) CROSS JOIN LATERAL (
  SELECT at, seq FROM records WHERE {batch} facet_id = facet.id AND {bounds}
    AND at {inside} (SELECT at FROM enough) ORDER BY {order} LIMIT CAST(:most AS bigint)) AS page
ORDER BY {order} LIMIT CAST(:most AS bigint)"""
"""So many of the records are at `enough` or nearer that none beyond can be on the page."""
_SCAN = "SELECT at, seq FROM records WHERE {batch} {facet_is_wanted} AND {bounds} ORDER BY {order} LIMIT :most"
"""The plus sign keeps SQLite from reading and sorting everything there is of the facets."""


class _Found(NamedTuple):
    """A record that was met by other ways than its facet."""

    seq: int
    at: int
    facet_id: int
    batch_id: str | None


async def _standing(connection: AsyncConnection, kind: ListedKind) -> tuple[int, list[_Found]]:
    """The last record's number, and the calls in flight at the same moment: one statement, one view of the ledger."""
    if kind is not ListedKind.ATTEMPT:
        return int((await connection.execute(select(ledger_head.c.last_seq))).scalar_one()), []
    began = open_attempts.join(records, records.c.seq == open_attempts.c.seq)
    query = select(
        ledger_head.c.last_seq, records.c.seq, records.c.at, records.c.facet_id, records.c.batch_id
    ).select_from(ledger_head.outerjoin(began, true()))
    rows = (await connection.execute(query)).all()
    return rows[0].last_seq, [_Found(*row[1:]) for row in rows if row.seq is not None]


async def _place(connection: AsyncConnection, seq: int) -> Place:
    query = select(records.c.at, records.c.seq).where(records.c.seq == seq)
    # A database cannot be asked for a number that it has no room for.
    row = (await connection.execute(query)).one_or_none() if 0 < seq <= _LAST.at else None
    if row is None:
        raise FilterInvalid(f"there is no record {seq} that others could come before; write the `seq` of one")
    return Place(*row)


async def _facets(connection: AsyncConnection, wanted: RecordFilter) -> tuple[tuple[int, ...], frozenset[int]]:
    """Facets whose records are all wanted, and those of which only the calls in flight are."""
    asked: Mapping[str, object] = {**wanted.words, **wanted.flags}
    query = select(facets.c.id, facets.c.kind).where(
        facets.c.kind.in_([kind.value for kind in wanted.kind.records]),
        and_(true(), *(facets.c[name] == value for name, value in asked.items())),
    )
    rows = (await connection.execute(query.order_by(facets.c.id))).all()
    halves = RecordKind.ATTEMPT_STARTED if wanted.kind is ListedKind.ATTEMPT else None
    return (
        tuple(row.id for row in rows if row.kind != halves),
        frozenset(row.id for row in rows if row.kind == halves),
    )


async def _of_jobs(connection: AsyncConnection, wanted: RecordFilter) -> list[_Found]:
    query = select(records.c.seq, records.c.at, records.c.facet_id, records.c.batch_id)
    if wanted.job_id is not None:
        query = query.where(records.c.job_id == wanted.job_id)
    if wanted.custom_id is not None:
        named = select(records.c.job_id).where(records.c.custom_id == wanted.custom_id)
        query = query.where(records.c.job_id.in_(named))
    return [_Found(*row) for row in await connection.execute(query)]


def _singling(search: Search, found: Iterable[_Found], *, facets: tuple[int, ...]) -> Search:
    batch = search.batch_id
    places = sorted(Place(one.at, one.seq) for one in found if batch is None or one.batch_id == batch)
    return Search(
        head=search.head,
        facets=facets,
        batch_id=batch,
        singled_out=tuple(places),
        after=search.after,
        before=search.before,
    )
