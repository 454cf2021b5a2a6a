"""The ledger's months, added up by the database: a few statements, each over the records of the month once."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, case, func, literal_column, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from pointsman_routes import RecordKind

from .columns import Facet
from .ledger import Ledger
from .moment import to_iso, to_micros
from .month import Month
from .monthly_report import Frame, MonthlyReport
from .report_making import Cell, Standing, Timing, make_report
from .schema import facets, ledger_head, open_attempts, open_jobs, records

_DAY_US = timedelta(days=1) // timedelta(microseconds=1)


async def report_month(ledger: Ledger, month: Month, *, now: datetime, version: str) -> MonthlyReport:
    """Add a month up, as the ledger stands at one moment, whatever is recorded meanwhile.

    Weakness: every record of the month is read, so it takes seconds for millions; on PostgreSQL a minute is the most
    that one statement may take.

    Args:
        ledger: where from.
        month: which one; it need not be over, or have begun.
        now: when the report is made.
        version: of Pointsman.
    """
    async with ledger.reading() as connection:
        if connection.dialect.name == "postgresql":
            # A transaction of SQLite reads one state anyway.
            await connection.execution_options(isolation_level="REPEATABLE READ")
        frame = await _frame(connection, month, now, version)
        cells = [_cell(row) for row in (await connection.execute(_cells(month))).all()]
        bounds = {"since": to_micros(month.since), "until": to_micros(month.until)}
        timings = [Timing(*row) for row in (await connection.execute(_TIMINGS, bounds)).all()]
        return make_report(frame, cells, timings, await _standing(connection, month))


async def _frame(connection: AsyncConnection, month: Month, now: datetime, version: str) -> Frame:
    head = (await connection.execute(select(ledger_head))).one()
    # One by one: asked for both at once, SQLite reads the whole index.
    first = (await connection.execute(select(func.min(records.c.at)))).scalar()
    last = (await connection.execute(select(func.max(records.c.at)))).scalar()
    return Frame(
        month=str(month),
        since=to_iso(to_micros(month.since)),
        until=to_iso(to_micros(month.until)),
        made_at=to_iso(to_micros(now)),
        version=version,
        ledger_id=head.ledger_id,
        head_seq=head.last_seq,
        head_hash=head.last_hash,
        first_record_at=None if first is None else to_iso(first),
        last_record_at=None if last is None else to_iso(last),
    )


def _cells(month: Month) -> Select[Any]:
    """The month's records by facet and day."""
    # Written out: as a parameter it would be another one in each place, and not the same expression.
    day: ColumnElement[int] = literal_column(f"records.at / {_DAY_US}")
    untold_tokens = or_(records.c.input_tokens.is_(None), records.c.output_tokens.is_(None))
    added = (
        select(
            records.c.facet_id,
            day.label("day"),
            func.count().label("records"),
            func.sum(records.c.input_tokens).label("input_tokens"),
            func.sum(records.c.output_tokens).label("output_tokens"),
            func.count(case((untold_tokens, 1))).label("untold_tokens"),
            func.sum(records.c.cost_microusd).label("cost_microusd"),
            func.count(case((records.c.cost_microusd.is_(None), 1))).label("untold_cost"),
        )
        .where(_inside(month, records.c.at))
        .group_by(records.c.facet_id, day)
        .subquery()
    )
    words = [facets.c[name] for name in Facet._fields]
    figures = [added.c[name] for name in Cell._fields[1:]]
    return select(*words, *figures).join_from(added, facets, facets.c.id == added.c.facet_id)


def _cell(row: Row[Any]) -> Cell:
    words = len(Facet._fields)
    # Sums are decimals on PostgreSQL.
    figures: list[Any] = [figure if figure is None else int(figure) for figure in row[words:]]
    return Cell(Facet(*row[:words]), *figures)


def _inside(month: Month, at: ColumnElement[int]) -> ColumnElement[bool]:
    return and_(at >= to_micros(month.since), at < to_micros(month.until))


_TIMINGS = text(f"""
WITH timed AS (
  SELECT facets.kind AS kind, CASE WHEN facets.kind = '{RecordKind.FINAL}' THEN task_class ELSE tier END AS name,
    duration_us
  FROM records JOIN facets ON facets.id = facet_id
  WHERE facets.kind IN ('{RecordKind.ATTEMPT_FINISHED}', '{RecordKind.FINAL}')
    AND at >= :since AND at < :until AND duration_us IS NOT NULL),
placed AS (
  SELECT kind, name, duration_us,
    row_number() OVER (PARTITION BY kind, name ORDER BY duration_us) AS place,
    count(*) OVER (PARTITION BY kind, name) AS many,
    row_number() OVER (PARTITION BY kind ORDER BY duration_us) AS place_of_all,
    count(*) OVER (PARTITION BY kind) AS all_of_them
  FROM timed)
SELECT kind, name, count(*), max(CASE WHEN place = (many * 50 + 99) / 100 THEN duration_us END),
  max(CASE WHEN place = (many * 95 + 99) / 100 THEN duration_us END)
FROM placed GROUP BY kind, name
UNION ALL
SELECT kind, NULL, count(*), max(CASE WHEN place_of_all = (all_of_them * 50 + 99) / 100 THEN duration_us END),
  max(CASE WHEN place_of_all = (all_of_them * 95 + 99) / 100 THEN duration_us END)
FROM placed GROUP BY kind""")
"""The nearest rank of a share p among n in order is the one at ceil(p n): https://en.wikipedia.org/wiki/Percentile"""


async def _standing(connection: AsyncConnection, month: Month) -> Standing:
    held = select(facets.c.id).where(facets.c.kind == RecordKind.HELD.value)
    questions = (
        select(func.count()).select_from(open_jobs).where(_inside(month, open_jobs.c.at)),
        select(func.count())
        .join_from(open_attempts, records, records.c.seq == open_attempts.c.seq)
        .where(_inside(month, records.c.at)),
        select(func.count(records.c.job_id.distinct())).where(
            records.c.facet_id.in_(held), _inside(month, records.c.at)
        ),
    )
    return Standing(*[int((await connection.execute(question)).scalar_one()) for question in questions])
