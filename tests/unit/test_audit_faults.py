"""Which of a database's exceptions are outages, and that each becomes one of ours."""

import sqlite3
import ssl

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


FULL, BUSY, READONLY, CANTOPEN, CORRUPT, NOTADB = 13, 5, 8, 14, 11, 26
"""Result codes of SQLite; https://www.sqlite.org/rescode.html."""


CLOSED = "; let this account write to the file, to those beside it (-wal, -shm) and to its folder"


def of_sqlite(code: int, text: str) -> exc.DBAPIError:
    """What sqlite3 raises for a result code."""
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return wrapped(exc.OperationalError, error)


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (of_sqlite(FULL, "database or disk is full"), "; make room on its disk"),
        (of_sqlite(BUSY, "database is locked"), "; see which other process holds the file"),
        (of_sqlite(BUSY | 5 << 8, "database is locked"), "; see which other process holds the file"),
        (of_sqlite(READONLY, "readonly database"), CLOSED),
        (of_sqlite(CANTOPEN, "unable to open database file"), CLOSED),
        (of_sqlite(CORRUPT, "database disk image is malformed"), "; go back to a copy of the file that is whole"),
        (of_sqlite(NOTADB, "file is not a database"), "; see to the file, or name another with --ledger"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_remedy_for_a_file(error: Exception, remedy: str) -> None:
    """What is wrong with a file is said together with what to do about it."""
    with pytest.raises(LedgerUnavailable) as raised, ledger_faults(LedgerAddress.parse("sqlite:////ledger.db")):
        raise error
    assert str(raised.value).endswith(remedy)


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (asyncpg.InvalidPasswordError("x"), "; correct the password in its URL"),
        (asyncpg.InvalidAuthorizationSpecificationError("x"), "; correct the user in its URL"),
        (asyncpg.InvalidCatalogNameError("x"), "; create the database"),
        (asyncpg.InvalidSchemaNameError("x"), "; create the schema that is looked for"),
        (ssl.SSLCertVerificationError("x"), "; see to the certificates that its URL names, and to the server's"),
        (asyncpg.DiskFullError("x"), "; make room on its disk"),
        (asyncpg.LockNotAvailableError("x"), "; another process has held a lock for too long, see which one hangs"),
        (ConnectionRefusedError("x"), "; start it, or name another with --ledger"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_remedy_for_a_server(error: Exception, remedy: str) -> None:
    """What a server refuses is said together with what to do about it."""
    with pytest.raises(LedgerUnavailable) as raised, ledger_faults(ADDRESS):
        raise error
    assert str(raised.value).endswith(remedy)


def test_missing_rights() -> None:
    """A role that may not do something is told how the owner gives rights; it may be waited for."""
    refusal = "refuses this role: permission denied; "
    with pytest.raises(LedgerUnavailable, match=refusal) as raised, ledger_faults(ADDRESS):
        raise adapted(asyncpg.InsufficientPrivilegeError("permission denied"))
    assert "`pointsman audit migrate --grant-recorder ROLE`" in str(raised.value)


def test_silence_has_words() -> None:
    """A timeout has no text of its own; the message says what it means."""
    with pytest.raises(LedgerUnavailable, match="does not answer: no answer in time; "), ledger_faults(ADDRESS):
        raise TimeoutError


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


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.ClientConfigurationError("`sslmode` parameter must be one of: disable, require"),
        asyncpg.UndefinedObjectError('unrecognized configuration parameter "foo"'),
        asyncpg.InvalidParameterValueError('invalid value for parameter "statement_timeout": "soon"'),
        asyncpg.CantChangeRuntimeParamError('parameter "port" cannot be changed without restarting the server'),
    ],
)
def test_options_that_are_refused(error: Exception) -> None:
    """An option that the driver or the server does not take is a mistake in the URL."""
    with pytest.raises(LedgerUrlInvalid, match="the ledger's URL cannot be used: "), ledger_faults(ADDRESS):
        raise error


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
