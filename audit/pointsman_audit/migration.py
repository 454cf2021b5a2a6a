"""The version of a ledger's schema, and the way from one version to the next."""

from functools import cache
from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from .errors import LedgerNotMigrated, LedgerTooNew
from .schema import VERSION_TABLE, metadata

_ADVISORY_LOCK = 0x706F696E74736D61
"""Any number will do as long as every version uses the same; this one spells `pointsma`."""


def require_current(connection: Connection, name: str) -> None:
    """See that the schema is the one this version works with.

    Raises:
        LedgerNotMigrated: if there is none or an older one.
        LedgerTooNew: if it is one this version does not know.
    """
    found = _version(connection)
    if found == newest_version():
        return
    if found is None:
        raise LedgerNotMigrated(f"there is no ledger at {name} yet; start `pointsman recorder` once")
    _refuse_newer(found, name)
    raise LedgerNotMigrated(
        f"the ledger at {name} has schema {found}, this version needs {newest_version()}; "
        "start `pointsman recorder` once"
    )


def upgrade(connection: Connection, name: str) -> None:
    """Bring the schema to this version, inside the transaction the connection is in.

    Raises:
        LedgerTooNew: if the schema is one this version does not know.
    """
    if connection.dialect.name == "postgresql":
        # Two recorders may start together. SQLite's writers already stand in line.
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})
    found = _version(connection)
    if found is not None:
        _refuse_newer(found, name)
    config = _config()
    config.attributes.update(connection=connection, metadata=metadata, version_table=VERSION_TABLE)
    command.upgrade(config, "head")


@cache
def newest_version() -> str:
    """The version of the schema this version of the package works with."""
    head = _scripts().get_current_head()
    assert head is not None, "the package has lost its migrations"
    return head


def _refuse_newer(found: str, name: str) -> None:
    if found not in {script.revision for script in _scripts().walk_revisions()}:
        raise LedgerTooNew(
            f"the ledger at {name} has schema {found}, made by a later version of Pointsman; upgrade this installation"
        )


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
