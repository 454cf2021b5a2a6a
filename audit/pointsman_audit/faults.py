"""A database's exceptions become ours here and nowhere else: those of SQLAlchemy, sqlite3 and asyncpg.

An outage (`LedgerUnavailable`) is something that waiting can cure. Whatever else a database
says is a defect (`LedgerRefused`), for waiting would hide it.
"""

import sqlite3
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from sqlalchemy import exc

from pointsman_routes import PointsmanError

from .address import LedgerAddress
from .errors import LedgerRefused, LedgerUnavailable, LedgerUrlInvalid

LEDGER_FAULTS: tuple[type[Exception], ...] = (
    exc.SQLAlchemyError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
"""What a database call can raise."""

_OUTAGE_CLASSES = frozenset({"08", "25", "28", "3D", "3F", "40", "53", "55", "57", "58", "XX"})
"""SQLSTATE classes that pass: connection, read-only, log-in, no such database, no such schema, rolled back, out of
resources, object in use, shut down by an operator, I/O error, internal error. Source: PostgreSQL's appendix A."""
_URL_STATES = frozenset({"42704", "22023", "55P02"})
"""What a server says to an option it does not know, or not with that value: it gets them from the URL alone."""
_NOT_PERMITTED = "42501"
_REMEDIES = {
    _NOT_PERMITTED: "its owner gives rights with `pointsman audit migrate --grant-recorder ROLE`, --grant-auditor or "
    "--grant-operator",
    "55P03": "another process has held a lock for too long, see which one hangs",
    "3D000": "create the database",
    "3F000": "create the schema that is looked for",
    "28000": "correct the user in its URL",
    "28P01": "correct the password in its URL",
    "53100": "make room on its disk",
}
"""What to do, by SQLSTATE."""
_CLOSED = "let this account write to the file, to those beside it (-wal, -shm) and to its folder"
_SQLITE_REMEDIES = {
    sqlite3.SQLITE_BUSY: "see which other process holds the file",
    sqlite3.SQLITE_LOCKED: "see which other process holds the file",
    sqlite3.SQLITE_FULL: "make room on its disk",
    sqlite3.SQLITE_READONLY: _CLOSED,
    sqlite3.SQLITE_CANTOPEN: _CLOSED,
    sqlite3.SQLITE_CORRUPT: "go back to a copy of the file that is whole",
}
"""What to do, by the primary result code, the lower eight bits."""
_LONGEST_REASON = 200


@contextmanager
def ledger_faults(address: LedgerAddress) -> Iterator[None]:
    """Turn what the database raises inside into one of our errors.

    Raises:
        LedgerUnavailable: if waiting may help.
        LedgerUrlInvalid: if the driver cannot make sense of the URL's options.
        LedgerRefused: otherwise.
    """
    try:
        yield
    except LEDGER_FAULTS as error:
        raise _translate(address, error) from error


def _translate(address: LedgerAddress, error: Exception) -> PointsmanError:
    root = _root(error)
    reason = address.redact(_one_line(root))
    if isinstance(root, asyncpg.ClientConfigurationError) or getattr(root, "sqlstate", None) in _URL_STATES:
        return LedgerUrlInvalid(f"the ledger's URL cannot be used: {reason}; write its options as libpq knows them")
    if _outage(error):
        says = "refuses this role" if not_permitted(error) else "does not answer"
        return LedgerUnavailable(f"the ledger {address} {says}: {reason}; {_remedy(address, root)}")
    return LedgerRefused(f"the ledger {address} refused a statement: {reason}; report it with this line")


def not_permitted(error: Exception) -> bool:
    """Whether PostgreSQL refused something because the role may not do it."""
    return getattr(_root(error), "sqlstate", None) == _NOT_PERMITTED


def _remedy(address: LedgerAddress, root: BaseException) -> str:
    if isinstance(root, ssl.SSLError):
        return "see to the certificates that its URL names, and to the server's"
    if address.path is None:
        return _REMEDIES.get(getattr(root, "sqlstate", None) or "", "start it, or name another with --ledger")
    code = getattr(root, "sqlite_errorcode", None) or 0
    return _SQLITE_REMEDIES.get(code & 0xFF, "see to the file, or name another with --ledger")


def _outage(error: Exception) -> bool:
    if isinstance(error, OSError | TimeoutError | exc.TimeoutError):
        return True
    if isinstance(error, exc.DBAPIError) and error.connection_invalidated:
        return True
    root = _root(error)
    state = getattr(root, "sqlstate", None)
    if isinstance(state, str):
        return state[:2] in _OUTAGE_CLASSES or state == _NOT_PERMITTED
    if isinstance(root, sqlite3.Error):
        # DatabaseError itself, not a subclass: "file is not a database", "disk image is malformed".
        return isinstance(root, sqlite3.OperationalError) or type(root) is sqlite3.DatabaseError
    return isinstance(root, asyncpg.InterfaceError | OSError | TimeoutError)


def _root(error: Exception) -> BaseException:
    """The driver's own error: SQLAlchemy wraps it once, its asyncpg adapter a second time."""
    wrapped = error.orig if isinstance(error, exc.DBAPIError) else None
    if wrapped is None:
        return error
    return wrapped.__cause__ or wrapped


def _one_line(error: BaseException) -> str:
    nameless = "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
    text = " ".join(str(error).split()) or nameless
    return text if len(text) <= _LONGEST_REASON else text[:_LONGEST_REASON] + "..."
