"""The database engine of a ledger: drivers, time limits, and SQLite's transactions."""

import asyncio
import sqlite3
import time
from datetime import timedelta
from typing import Any

import asyncpg
from sqlalchemy import URL, Connection, event
from sqlalchemy.engine.interfaces import DBAPIConnection, ExceptionContext
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from .address import LedgerAddress

_BEGIN = "ledger_begin"
"""The execution option that names the statement a SQLite transaction begins with; empty for none."""
_CONNECT_S = 10.0
STATEMENT_S = 60.0
"""Most seconds for a statement; a frozen PostgreSQL is noticed after this long."""
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_LOCKED_PAUSE_S = 0.02
_CACHE_KIB = 32 * 1024
_CHECKPOINT_PAGES = 10_000
"""SQLite's own is 1,000: a batch of as many records would have its pages copied into the file at once."""


def build_engine(
    address: LedgerAddress, *, busy_timeout: timedelta, statement_s: float | None = STATEMENT_S
) -> AsyncEngine:
    """Make the engine; nothing is connected yet.

    Args:
        address: where the ledger is.
        busy_timeout: how long SQLite waits for another process's lock; PostgreSQL does not use it.
        statement_s: how long PostgreSQL may take for a statement; None for as long as it likes.
    """
    # Parameters hold answers: they stay out of error messages.
    if address.path is not None:
        url = URL.create("sqlite+aiosqlite", database=str(address.path))
        engine = create_async_engine(url, hide_parameters=True)
        _tune_sqlite(engine, busy_timeout)
        return engine
    dsn = address.dsn

    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        address.require_files()
        connection = await asyncpg.connect(dsn, timeout=_CONNECT_S, command_timeout=statement_s)
        # To compile a question takes longer than to answer it. Not a parameter of the start: poolers refuse it there.
        await connection.execute("SET jit = off")
        return connection

    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=connect, hide_parameters=True, pool_pre_ping=True, pool_size=2
    )
    event.listen(engine.sync_engine, "handle_error", _give_up_after_timeout)
    return engine


def _give_up_after_timeout(context: ExceptionContext) -> None:
    """Let go of a connection that did not answer in time: rolling back would wait for it once more."""
    if isinstance(context.original_exception, TimeoutError):
        context.is_disconnect = True


def for_writing(engine: AsyncEngine) -> AsyncEngine:
    """The same engine, whose transactions take SQLite's write lock when they begin.

    A transaction that starts by reading and then writes fails on SQLite if anybody wrote in between, and no
    waiting helps; one that asks for the lock first waits its turn.
    """
    return engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})


def without_transactions(engine: AsyncEngine) -> AsyncEngine:
    """The same engine, for statements that no transaction may hold: each is one of its own."""
    if engine.dialect.name == "postgresql":
        return engine.execution_options(isolation_level="AUTOCOMMIT")
    return engine.execution_options(**{_BEGIN: ""})


async def keep_write_ahead_log(engine: AsyncEngine, *, busy_timeout: timedelta) -> None:
    """Let a SQLite file be read while it is written; the file remembers it.

    Args:
        engine: a SQLite engine.
        busy_timeout: how long to wait for others. SQLite's own busy timeout does not cover this statement:
            it is refused at once while anybody else is writing.
    """
    until = time.monotonic() + busy_timeout.total_seconds()
    while True:
        try:
            await _write_ahead(engine)
        except OperationalError as error:
            locked = getattr(error.orig, "sqlite_errorcode", None) in _LOCKED
            if not locked or time.monotonic() >= until:
                raise
            await asyncio.sleep(_LOCKED_PAUSE_S)
        else:
            return


async def _write_ahead(engine: AsyncEngine) -> None:
    async with without_transactions(engine).connect() as connection:
        await connection.exec_driver_sql("PRAGMA journal_mode = WAL")


def _tune_sqlite(engine: AsyncEngine, busy_timeout: timedelta) -> None:
    milliseconds = int(busy_timeout.total_seconds() * 1000)

    @event.listens_for(engine.sync_engine, "connect")
    def _connected(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        # Python's driver would begin transactions at moments of its own; the listener below does it instead.
        # An attribute of the driver that the interface does not declare.
        driver: Any = connection
        driver.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {milliseconds}")
        # FULL: a committed record is dropped from Redis, so it must be on the disk.
        cursor.execute("PRAGMA synchronous = FULL")
        # What is deleted is overwritten, freed pages too: FAST would leave those as they are. Measured: recording is
        # no slower, and to delete what 50,000 jobs asked and were answered takes 1.2 s instead of 0.7 s.
        cursor.execute("PRAGMA secure_delete = ON")
        # Job ids are random, so a batch touches pages all over the file. Measured at 5 million records, the two
        # together: a fifth more records a second; the file beside the ledger grows to about 45 MB.
        cursor.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        cursor.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begun(connection: Connection) -> None:
        statement: str = connection.get_execution_options().get(_BEGIN, "BEGIN")
        if statement:
            connection.exec_driver_sql(statement)
