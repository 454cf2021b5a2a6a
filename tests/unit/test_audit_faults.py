"""Which of a database's exceptions are outages, and that each becomes one of ours."""

import sqlite3

import asyncpg
import pytest
from sqlalchemy import exc

from pointsman_audit import LedgerRefused, LedgerUnavailable, LedgerUrlInvalid
from pointsman_audit.address import LedgerAddress
from pointsman_audit.faults import ledger_faults

ADDRESS = LedgerAddress.parse("postgresql://ana:s3cret@db.example/audit")


class Adapted(Exception):
    """What SQLAlchemy's asyncpg adapter raises: the driver's error is its cause."""


def wrapped(kind: type[exc.DBAPIError], orig: BaseException) -> exc.DBAPIError:
    """A driver's error as SQLAlchemy raises it."""
    return kind("SELECT 1", {}, orig)


def adapted(driver: BaseException) -> exc.DBAPIError:
    """An asyncpg error as it comes through both adapters."""
    inner = Adapted(str(driver))
    inner.__cause__ = driver
    return wrapped(exc.DBAPIError, inner)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError("connection refused"),
        FileNotFoundError("no socket"),
        TimeoutError(),
        exc.TimeoutError("pool"),
        wrapped(exc.OperationalError, sqlite3.OperationalError("database is locked")),
        wrapped(exc.OperationalError, sqlite3.OperationalError("database or disk is full")),
        wrapped(exc.OperationalError, sqlite3.OperationalError("disk I/O error")),
        wrapped(exc.DatabaseError, sqlite3.DatabaseError("file is not a database")),
        adapted(asyncpg.AdminShutdownError("terminating connection")),
        adapted(asyncpg.DiskFullError("no space left")),
        adapted(asyncpg.TooManyConnectionsError("sorry")),
        adapted(asyncpg.DeadlockDetectedError("deadlock")),
        adapted(asyncpg.ReadOnlySQLTransactionError("a standby")),
        adapted(asyncpg.ConnectionDoesNotExistError("closed in the middle of operation")),
        adapted(asyncpg.InterfaceError("connection is closed")),
        asyncpg.InvalidPasswordError("password authentication failed"),
        asyncpg.InvalidCatalogNameError("database does not exist"),
        asyncpg.InsufficientPrivilegeError("permission denied"),
    ],
    ids=lambda error: type(getattr(error, "orig", None) or error).__name__,
)
def test_outage(error: Exception) -> None:
    """What may pass by waiting is `LedgerUnavailable`: exit code 3, one line, no password."""
    with pytest.raises(LedgerUnavailable) as raised, ledger_faults(ADDRESS):
        raise error
    message = str(raised.value)
    assert message.startswith("the ledger postgresql://ana@db.example/audit does not answer: ")
    assert "\n" not in message
    assert raised.value.exit_code == 3


@pytest.mark.parametrize(
    "error",
    [
        wrapped(exc.IntegrityError, sqlite3.IntegrityError("UNIQUE constraint failed: records.seq")),
        wrapped(exc.ProgrammingError, sqlite3.ProgrammingError("type not supported")),
        adapted(asyncpg.UniqueViolationError("duplicate key")),
        adapted(asyncpg.CharacterNotInRepertoireError("invalid byte sequence")),
        adapted(asyncpg.UndefinedTableError("no such table")),
        exc.ArgumentError("nonsense"),
    ],
    ids=lambda error: type(getattr(error, "orig", None) or error).__name__,
)
def test_defect(error: Exception) -> None:
    """What no waiting cures is `LedgerRefused`, so nobody waits for it."""
    with pytest.raises(LedgerRefused), ledger_faults(ADDRESS):
        raise error


def test_options_the_driver_refuses() -> None:
    """An option libpq does not know the value of is a mistake in the URL."""
    with pytest.raises(LedgerUrlInvalid), ledger_faults(ADDRESS):
        raise asyncpg.exceptions.ClientConfigurationError("`sslmode` parameter must be one of: disable, require")


def test_reason_is_redacted_and_short() -> None:
    """A reason that repeats the password or goes on for pages does neither in the message."""
    with pytest.raises(LedgerUnavailable) as raised, ledger_faults(ADDRESS):
        raise OSError("no route for s3cret\n" + "x" * 10_000)
    message = str(raised.value)
    assert "no route for *** x" in message
    assert len(message) < 400


def test_our_own_errors_pass() -> None:
    """What is no database's exception is left as it is."""
    with pytest.raises(KeyError), ledger_faults(ADDRESS):
        raise KeyError("mine")
