"""Records added up: how many, how much, how long, by class, tier, day and other words.

Unknown is never zero: a record without tokens or cost is not in the sum, and is counted beside it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Row, TextClause, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from pointsman_routes import RecordKind

from .record_filter import RecordFilter
from .record_search import Search, begin, conditions, listed, one_of
from .schema import facets

_DAY = timedelta(days=1)
_MICROS_OF_A_DAY = _DAY // timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class GroupKey(StrEnum):
    """What records can be grouped by."""

    CLASS = "class"
    TIER = "tier"
    PROVIDER = "provider"
    OWNER = "owner"
    MODEL = "model"
    REGION = "region"
    STATE = "state"
    OUTCOME = "outcome"
    REASON = "reason"
    KIND = "kind"
    DAY = "day"
    """The day of a record's own time, in UTC."""


class RecordGroup(NamedTuple):
    """Records that have something in common, added up. A sum of which nothing is known is None."""

    keys: tuple[str | None, ...]
    """What they have in common, in the order asked for; a day as 2026-01-31. None where they have no such word."""
    records: int
    input_tokens: int | None
    output_tokens: int | None
    unknown_tokens: int
    """Records of which not both are known."""
    cost_microusd: int | None
    unknown_cost: int
    """Records of which it is not known."""
    p50_us: int | None
    """The median duration in microseconds: of an attempt the call, of a job from acceptance to its end."""
    p95_us: int | None
    """95 in a hundred took at most so long. Both are nearest ranks: durations that have been measured."""
    unknown_duration: int
    """Records of which it is not known."""
    fallback: int
    """Records of another tier than the primary."""
    downgraded: int
    """Answers below the class's floor."""


class OutcomeCount(NamedTuple):
    """Calls of one tier for one class that ended in one way."""

    tier: str
    task_class: str
    outcome: str
    calls: int


async def groups(connection: AsyncConnection, wanted: RecordFilter, keys: Sequence[GroupKey]) -> list[RecordGroup]:
    """Add records up, by all keys together; in the order of the keys.

    A call that was not billed has no tokens and no cost, and these are not unknown. Weakness: every record that is
    found is read, so this takes seconds for millions; on PostgreSQL a minute is the most that anything may take.

    Args:
        connection: to the ledger.
        wanted: which records; its limit says nothing here.
        keys: at least one.
    """
    search = await begin(connection, wanted)
    dialect = connection.dialect.name
    statement = groups_statement(dialect, tuple(keys), in_batch=search.batch_id is not None)
    rows = (await connection.execute(statement, _asked(connection, search))).all()
    return sorted((_group(row, keys) for row in rows), key=lambda group: [(key is None, key) for key in group.keys])


async def outcomes(connection: AsyncConnection, wanted: RecordFilter) -> list[OutcomeCount]:
    """How calls that have ended did so, by tier, class and outcome.

    Args:
        connection: to the ledger.
        wanted: which attempts; those in flight are not counted.
    """
    search = await begin(connection, wanted)
    ended = facets.c.kind == RecordKind.ATTEMPT_FINISHED.value
    words = select(facets.c.id, facets.c.tier, facets.c.task_class, facets.c.outcome).where(ended)
    named = {facet_id: (tier, name, outcome) for facet_id, tier, name, outcome in await connection.execute(words)}
    counted: dict[tuple[str, str, str], int] = {}
    rows = await connection.execute(
        outcomes_statement(connection.dialect.name, in_batch=search.batch_id is not None), _asked(connection, search)
    )
    for facet_id, calls in rows.all():
        if facet_id in named:
            counted[named[facet_id]] = counted.get(named[facet_id], 0) + calls
    return [
        OutcomeCount(*place, calls)
        for place, calls in sorted(counted.items(), key=lambda one: [word or "" for word in one[0]])
    ]


@cache
def outcomes_statement(dialect: str, *, in_batch: bool) -> TextClause:
    """The statement that counts the records of every facet of a search."""
    return text(
        f"SELECT facet_id, count(*) FROM ({_chosen(dialect, in_batch, 'facet_id')}) AS chosen GROUP BY facet_id"
    )


@cache
def groups_statement(dialect: str, keys: tuple[GroupKey, ...], *, in_batch: bool) -> TextClause:
    """The statement that adds records up."""
    measured = "input_tokens, output_tokens, cost_microusd, duration_us"
    names = ", ".join(f"key_{number}" for number in range(len(keys)))
    named = ", ".join(f"{_SQL.get(key, key.value)} AS key_{number}" for number, key in enumerate(keys))
    chosen = _chosen(dialect, in_batch, f"facet_id, at, {measured}")
    return text(_GROUPS.format(chosen=chosen, names=names, named=named, measured=measured))


_SQL = {GroupKey.CLASS: "task_class", GroupKey.DAY: f"at / {_MICROS_OF_A_DAY}"}
_GROUPS = """
WITH chosen AS ({chosen}),
named AS (
  SELECT {named}, {measured}, fallback, downgraded, coalesce(usage_source, '') <> 'none' AS billed
  FROM chosen JOIN facets ON facets.id = chosen.facet_id),
ranked AS (
  SELECT named.*, row_number() OVER (PARTITION BY {names} ORDER BY duration_us NULLS LAST) AS place,
    count(duration_us) OVER (PARTITION BY {names}) AS timed
  FROM named)
SELECT {names}, count(*) AS records, sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
  count(CASE WHEN billed AND (input_tokens IS NULL OR output_tokens IS NULL) THEN 1 END) AS unknown_tokens,
  sum(cost_microusd) AS cost_microusd, count(CASE WHEN billed AND cost_microusd IS NULL THEN 1 END) AS unknown_cost,
  max(CASE WHEN place = (timed * 50 + 99) / 100 THEN duration_us END) AS p50_us,
  max(CASE WHEN place = (timed * 95 + 99) / 100 THEN duration_us END) AS p95_us,
  count(CASE WHEN duration_us IS NULL THEN 1 END) AS unknown_duration,
  count(CASE WHEN fallback THEN 1 END) AS fallback, count(CASE WHEN downgraded THEN 1 END) AS downgraded
FROM ranked GROUP BY {names}"""
"""The nearest rank of a share p among n in order is the one at ceil(p n): https://en.wikipedia.org/wiki/Percentile"""


def _chosen(dialect: str, in_batch: bool, columns: str) -> str:
    where = conditions(dialect, in_batch=in_batch)
    return (
        f"SELECT {columns} FROM records WHERE {where}"
        f" UNION ALL SELECT {columns} FROM records WHERE seq {one_of(dialect, 'singled_out')}"
    )


def _asked(connection: AsyncConnection, search: Search) -> dict[str, Any]:
    return {
        **search.parameters,
        "facets": listed(connection, search.facets),
        "singled_out": listed(connection, [place.seq for place in search.inside]),
    }


def _group(row: Row[Any], keys: Sequence[GroupKey]) -> RecordGroup:
    common = zip(keys, row[: len(keys)], strict=True)
    # Sums are decimals on PostgreSQL.
    figures: list[Any] = [figure if figure is None else int(figure) for figure in row[len(keys) :]]
    return RecordGroup(tuple(_day(value) if key is GroupKey.DAY else value for key, value in common), *figures)


def _day(number: int) -> str:
    return (_EPOCH + number * _DAY).date().isoformat()
