"""The version of a ledger's schema, and the way from one version to the next."""

from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from .errors import LedgerNotMigrated, LedgerTooNew, LedgerUrlInvalid
from .faults import LEDGER_FAULTS, not_permitted
from .schema import VERSION_TABLE, metadata

MigrationProgress = Callable[[int, int], None]
"""Told how many old records are done, and of how many."""

_ADVISORY_LOCK = 0x706F696E74736D61
"""Any number will do as long as every version uses the same; this one spells `pointsma`."""
_LONGEST_WAIT = "60s"
"""For whoever has a table or the migrations' lock; a migration itself takes as long as it takes."""


class Migration(NamedTuple):
    """What was done to a ledger's schema."""

    before: str | None
    """The version that was found; None if there was no ledger."""
    after: str
    records: int
    """How many records were rewritten."""
    put_aside: tuple[int, ...]
    """The numbers of those that today's ledger cannot express: their text is in the quarantine, a record of that in
    their place."""


def require_current(connection: Connection, name: str) -> None:
    """See that the schema is the one this version works with.

    Raises:
        LedgerNotMigrated: if there is none or an older one.
        LedgerTooNew: if it is one this version does not know.
    """
    found = _version(connection)
    if found is None:
        raise no_ledger(name)
    _require(found, name)


def make(connection: Connection, name: str) -> None:
    """Make the tables if there are none, inside the transaction the connection is in.

    Raises:
        LedgerNotMigrated: if there is an older schema, or none and this role may not make one.
        LedgerTooNew: if it is one this version does not know.
    """
    found = _version(connection)
    if found is None:
        _wait_for_turn(connection)
        # Another recorder may have been faster.
        found = _version(connection)
    if found is not None:
        _require(found, name)
        return
    _refuse_foreign(connection, name)
    try:
        _upgrade(connection, Done())
    except LEDGER_FAULTS as error:
        if not_permitted(error):
            raise LedgerNotMigrated(
                f"there is no ledger at {name} yet, and this role may not make one; "
                "let the database's owner run `pointsman audit migrate`"
            ) from error
        raise


def migrate(connection: Connection, name: str, progress: MigrationProgress) -> Migration:
    """Bring the schema to this version, inside the transaction the connection is in: all of it or nothing.

    Raises:
        LedgerTooNew: if the schema is one this version does not know.
        LedgerBroken: if the records there are not those that were written.
    """
    _wait_for_turn(connection)
    found = _version(connection)
    if found is None:
        _refuse_foreign(connection, name)
    else:
        _refuse_newer(found, name)
    done = Done(progress)
    _upgrade(connection, done)
    return Migration(found, newest_version(), done.records, tuple(done.put_aside))


class Done:
    """How far a migration is; the steps in `versions/` keep it."""

    def __init__(self, progress: MigrationProgress = lambda done, total: None) -> None:
        self.progress = progress
        self.records = 0
        self.put_aside: list[int] = []


def no_ledger(name: str) -> LedgerNotMigrated:
    """The refusal where there is no ledger."""
    return LedgerNotMigrated(f"there is no ledger at {name} yet; start `pointsman recorder` once")


@cache
def newest_version() -> str:
    """The version of the schema this version of the package works with."""
    head = _scripts().get_current_head()
    assert head is not None, "the package has lost its migrations"
    return head


def _require(found: str, name: str) -> None:
    newest = newest_version()
    if found == newest:
        return
    _refuse_newer(found, name)
    raise LedgerNotMigrated(
        f"the ledger at {name} has schema {found}, this version needs {newest}; "
        "stop every recorder, back it up, and run `pointsman audit migrate`"
    )


def _refuse_newer(found: str, name: str) -> None:
    if found not in {script.revision for script in _scripts().walk_revisions()}:
        raise LedgerTooNew(
            f"the ledger at {name} has schema {found}, made by a later version of Pointsman than this one, which needs "
            f"{newest_version()}; upgrade this installation"
        )


def _wait_for_turn(connection: Connection) -> None:
    """Two may make or migrate at once. SQLite's writers already stand in line."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT set_config('lock_timeout', :longest, true)"), {"longest": _LONGEST_WAIT})
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})


def _refuse_foreign(connection: Connection, name: str) -> None:
    """See that nobody else's tables are where the ledger's are to be made."""
    taken = sorted(set(metadata.tables) & set(inspect(connection).get_table_names()))
    if taken:
        raise LedgerUrlInvalid(
            f"the database at {name} has a table of somebody else's, {taken[0]}, where the ledger wants one; "
            "name another with --ledger"
        )


def _upgrade(connection: Connection, done: Done) -> None:
    config = _config()
    config.attributes.update(connection=connection, metadata=metadata, version_table=VERSION_TABLE, done=done)
    command.upgrade(config, "head")


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found: str | None = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
    return found


@cache
def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    # A percent sign in the path would be read as the start of a variable.
    folder = str(files(__package__) / "migrations").replace("%", "%%")
    config.set_main_option("script_location", folder)
    config.set_main_option("path_separator", "os")
    return config
