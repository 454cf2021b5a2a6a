"""A database's exceptions become ours here and nowhere else: those of SQLAlchemy, sqlite3 and asyncpg.

An outage (`LedgerUnavailable`) is something that waiting can cure. Whatever else a database
says is a defect (`LedgerRefused`), for waiting would hide it.
"""

import sqlite3
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

_OUTAGE_CLASSES = frozenset({"08", "25", "28", "3D", "40", "53", "55", "57", "58", "XX"})
"""SQLSTATE classes that pass: connection, read-only, log-in, no such database, rolled back, out of resources,
object in use, shut down by an operator, I/O error, internal error. Source: PostgreSQL's appendix A."""
_NOT_PERMITTED = "42501"
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
    if isinstance(root, asyncpg.exceptions.ClientConfigurationError):
        return LedgerUrlInvalid(f"the ledger's URL cannot be used: {reason}; write its options as libpq knows them")
    if _outage(error):
        remedy = "start it" if address.path is None else "see to the file"
        return LedgerUnavailable(
            f"the ledger {address} does not answer: {reason}; {remedy}, or name another with --ledger"
        )
    return LedgerRefused(f"the ledger {address} refused a statement: {reason}; report it with this line")


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
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _LONGEST_REASON else text[:_LONGEST_REASON] + "..."
