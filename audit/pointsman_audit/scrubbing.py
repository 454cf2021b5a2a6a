"""Deleted content off the disk, as far as the database can.

SQLite overwrites what is deleted (`secure_delete`), but not the copies that rows leave behind when a full page is
divided: measured, of one deleted row in a thousand something stayed. So erasing rebuilds the content table, and then
empties the file beside the ledger. PostgreSQL leaves deleted rows in their pages until these are used again.
"""

from typing import Final, NamedTuple

from sqlalchemy import text as sql
from sqlalchemy.ext.asyncio import AsyncConnection

from pointsman_routes import PointsmanError

from .ledger import Ledger
from .schema import content

_BEFORE: Final = "content_before"
_MADE_BY = sql("SELECT name, type, sql FROM sqlite_master WHERE tbl_name = :table AND sql IS NOT NULL")
_MAY_VACUUM = sql("""
SELECT pg_has_role(relowner, 'USAGE')
    OR pg_has_role((SELECT datdba FROM pg_database WHERE datname = current_database()), 'USAGE')
FROM pg_class WHERE oid = to_regclass('content')""")
"""Others are only warned, and nothing is done."""


class Leftover(NamedTuple):
    """What remains to be done about deleted content."""

    text: str
    """What it is, and who can do it."""
    again: bool
    """Whether scrubbing again will do."""


async def rebuild_content(connection: AsyncConnection) -> None:
    """Write SQLite's content table anew and overwrite every page of the old one, inside the caller's transaction.

    Takes 4 s for 100,000 jobs of 4 kB each; nobody else writes meanwhile, and the file may grow by the table's size.
    On PostgreSQL it does nothing.
    """
    if connection.dialect.name != "sqlite":
        return
    made = (await connection.execute(_MADE_BY, {"table": content.name})).all()
    for name in (part.name for part in made if part.type == "index"):
        await connection.exec_driver_sql(f'DROP INDEX "{name}"')
    await connection.exec_driver_sql(f"ALTER TABLE {content.name} RENAME TO {_BEFORE}")
    for part in (part for part in made if part.type == "table"):
        await connection.exec_driver_sql(part.sql)
    names = ", ".join(column.name for column in content.columns)
    await connection.exec_driver_sql(f"INSERT INTO {content.name} ({names}) SELECT {names} FROM {_BEFORE}")
    await connection.exec_driver_sql(f"DROP TABLE {_BEFORE}")
    for part in (part for part in made if part.type == "index"):
        await connection.exec_driver_sql(part.sql)


async def scrub(ledger: Ledger) -> Leftover | None:
    """Empty SQLite's file beside the ledger, which holds pages as they were; vacuum PostgreSQL's content table.

    Harmless at any time, and to be done after what was deleted is committed.

    Returns:
        What remains to be done; None if nothing does.
    """
    try:
        async with ledger.outside_transactions() as connection:
            if connection.dialect.name == "sqlite":
                return await _truncate(connection)
            return await _vacuum(connection)
    except PointsmanError as trouble:
        return Leftover(f"deleted pages may still be on the disk: {trouble}; run this again", again=True)


async def _truncate(connection: AsyncConnection) -> Leftover | None:
    busy = (await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")).scalar()
    if not busy:
        return None
    text = "another process is reading the ledger, so the file beside it still holds deleted pages; run this again"
    return Leftover(text, again=True)


async def _vacuum(connection: AsyncConnection) -> Leftover | None:
    if not (await connection.execute(_MAY_VACUUM)).scalar():
        return Leftover("this role may not vacuum the content table; let its owner run: VACUUM content", again=False)
    await connection.exec_driver_sql("VACUUM content")
    return None
