"""The databases that are measured: SQLite in a file, PostgreSQL with its disk synced as a careful owner has it."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from servers import PostgresServer, postgres_folder

SYNCED = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "shared_buffers": "1GB"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """Where a ledger can be made."""

    name: str
    url: str
    """Of a ledger that is not there yet."""
    folder: Path
    """For what goes with it: signing key, checkpoints."""


@contextmanager
def database(name: str) -> Iterator[Database]:
    """A database of its own, removed at the end.

    Args:
        name: `sqlite` or `postgresql`.
    """
    with tempfile.TemporaryDirectory(prefix="pointsman-bench-") as folder:
        if name == "sqlite":
            yield Database(name="SQLite", url=f"sqlite:///{folder}/ledger.db", folder=Path(folder))
            return
        binaries = postgres_folder()
        if binaries is None:
            raise SystemExit("PostgreSQL is not installed; name the parts to run with --databases sqlite")
        server = PostgresServer.create(binaries, SYNCED)
        try:
            yield Database(name="PostgreSQL", url=server.create_database("ledger"), folder=Path(folder))
        finally:
            server.remove()


def names(chosen: Sequence[str]) -> Sequence[str]:
    """The databases asked for; both when none is named."""
    return chosen or ("sqlite", "postgresql")
