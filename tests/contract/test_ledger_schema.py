"""A ledger is made, brought up to date, or refused in one line; on both databases."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
import servers
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from pointsman_audit import Ledger, LedgerNotMigrated, LedgerTooNew, LedgerUnavailable, LedgerUrlInvalid, RecordFilter
from pointsman_audit.address import LedgerAddress
from pointsman_audit.engine import build_engine, for_writing
from pointsman_audit.ledger import BUSY_TIMEOUT
from pointsman_audit.migration import newest_version
from pointsman_audit.schema import VERSION_TABLE, metadata


async def on_database(url: str, work: Callable[[Connection], object]) -> object:
    """Do something to a ledger's database behind its back."""
    async with Ledger.open(url, make=True):
        pass
    engine = for_writing(build_engine(LedgerAddress.parse(url), busy_timeout=BUSY_TIMEOUT))
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(work)
    finally:
        await engine.dispose()


def set_version(version: str) -> Callable[[Connection], object]:
    """Pretend that the schema is another one."""
    return lambda connection: connection.execute(
        text(f"UPDATE {VERSION_TABLE} SET version_num = :version"), {"version": version}
    )


async def test_new_ledger_is_empty(ledger_url: str) -> None:
    """A new ledger has no records, no answers and no quarantine, and its first number will be 1."""
    async with Ledger.open(ledger_url, make=True) as ledger:
        assert await ledger.head() == 0
        assert await ledger.quarantined() == 0
        assert await ledger.story("j1") == []
        assert await ledger.answer("j1") is None
        assert await ledger.count(RecordFilter()) == 0
        assert [record async for record in ledger.list(RecordFilter())] == []
        assert await ledger.cursor("source") == "0-0"


async def test_migrating_again_changes_nothing(ledger_url: str) -> None:
    """Migrating what is up to date is harmless, also from several recorders at once."""
    async with Ledger.open(ledger_url, make=True) as ledger:
        await ledger.check()
    others = [Ledger(ledger_url) for _ in range(3)]
    await asyncio.gather(*(other.make() for other in others))
    for other in others:
        assert await other.head() == 0
        await other.close()


async def test_several_recorders_make_one_ledger(ledger_url: str) -> None:
    """Recorders that start together on nothing all find a ledger, made once."""
    ledgers = [Ledger(ledger_url) for _ in range(3)]
    await asyncio.gather(*(ledger.make() for ledger in ledgers))
    for ledger in ledgers:
        await ledger.check()
        assert await ledger.head() == 0
        await ledger.close()


async def test_file_being_written_is_waited_for(tmp_path: Path) -> None:
    """A file that somebody is just writing is made a ledger once they are done, or refused in one line."""
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        hasty = Ledger(f"sqlite:///{path}", busy_timeout=timedelta(milliseconds=50))
        with pytest.raises(LedgerUnavailable, match="database is locked"):
            await hasty.make()
        await hasty.close()
        patient = Ledger(f"sqlite:///{path}")
        migrating = asyncio.create_task(patient.make())
        assert not (await asyncio.wait([migrating], timeout=0.2))[0]
        writer.execute("COMMIT")
        await migrating
    assert await patient.head() == 0
    await patient.close()


async def test_migrations_make_the_declared_tables(ledger_url: str) -> None:
    """What the migrations make is what the queries are written against."""

    def differences(connection: Connection) -> object:
        options = {"version_table": VERSION_TABLE}
        return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)

    assert await on_database(ledger_url, differences) == []


async def test_reader_makes_no_ledger(ledger_url: str) -> None:
    """Where there is no ledger, a reader says how to make one, and leaves nothing behind."""
    for _ in range(2):
        with pytest.raises(LedgerNotMigrated, match="start `pointsman recorder` once") as refused:
            async with Ledger.open(ledger_url):
                pass
        assert "\n" not in str(refused.value)
        assert refused.value.exit_code == 3
    path = LedgerAddress.parse(ledger_url).path
    assert path is None or not path.parent.exists()


async def test_older_schema_is_refused_to_readers(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader does not work with an older schema; it names both versions and the command that migrates."""
    await on_database(ledger_url, lambda _: None)
    monkeypatch.setattr("pointsman_audit.migration.newest_version", lambda: "9999")
    with pytest.raises(LedgerNotMigrated, match=f"has schema {newest_version()}, this version needs 9999") as refused:
        async with Ledger.open(ledger_url):
            pass
    assert str(refused.value).endswith("; stop every recorder, back it up, and run `pointsman audit migrate`")


@pytest.mark.parametrize("make", [False, True])
async def test_newer_schema_is_refused(ledger_url: str, *, make: bool) -> None:
    """Nobody works with a schema of a later version, the recorder neither."""
    await on_database(ledger_url, set_version("9999"))
    with pytest.raises(LedgerTooNew, match="has schema 9999, made by a later version of Pointsman") as refused:
        async with Ledger.open(ledger_url, make=make):
            pass
    assert refused.value.exit_code == 2


async def test_ledger_survives_being_closed(ledger_url: str) -> None:
    """A ledger that has been closed can be opened by a reader."""
    async with Ledger.open(ledger_url, make=True):
        pass
    async with Ledger.open(ledger_url) as ledger:
        assert await ledger.head() == 0


async def test_sqlite_folder_is_private(tmp_path: Path) -> None:
    """The folder made for a ledger is its owner's alone: answers are in it."""
    async with Ledger.open(f"sqlite:///{tmp_path / 'new' / 'ledger.db'}", make=True):
        assert (tmp_path / "new").stat().st_mode & 0o077 == 0


async def test_sqlite_is_durable_and_readable_while_written(tmp_path: Path) -> None:
    """The file has a write-ahead log, commits reach the disk, and a reader is not held up by a writer."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"

    def pragmas(connection: Connection) -> object:
        return [connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous")]

    assert await on_database(url, pragmas) == ["wal", 2]
    engine = for_writing(build_engine(LedgerAddress.parse(url), busy_timeout=BUSY_TIMEOUT))
    async with engine.begin() as writing:
        await writing.execute(text("UPDATE ledger_head SET last_seq = 5"))
        async with Ledger.open(url) as reader:
            assert await reader.head() == 0
    await engine.dispose()


async def test_sqlite_writers_take_turns(tmp_path: Path) -> None:
    """A writer has the lock from its beginning: one that asks for it only when it writes could not get it any more."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    async with Ledger.open(url, make=True, busy_timeout=timedelta(milliseconds=10)) as ledger:
        async with ledger._writer.begin():
            with pytest.raises(LedgerUnavailable, match="database is locked"):
                await ledger.forget_content()
        assert await ledger.forget_content() == 0


@pytest.mark.parametrize("content", [b"not a database at all " * 100, b""])
async def test_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file that is no ledger is refused in one line."""
    path = tmp_path / "ledger.db"
    path.write_bytes(content)
    with pytest.raises(LedgerUnavailable if content else LedgerNotMigrated):
        async with Ledger.open(f"sqlite:///{path}"):
            pass
    assert path.read_bytes() == content


async def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """Where the folder cannot be, the recorder says so in one line."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LedgerUnavailable, match=r"Not a directory|File exists"):
        async with Ledger.open(f"sqlite:///{tmp_path / 'file' / 'ledger.db'}", make=True):
            pass


@pytest.mark.parametrize("where", ["127.0.0.1:1", "no-such-host.invalid"])
async def test_unreachable_postgresql(where: str) -> None:
    """A server that is not there is one line without the password, and exit code 3."""
    with pytest.raises(LedgerUnavailable) as refused:
        async with Ledger.open(f"postgresql://ana:s3cret@{where}/audit"):
            pass
    message = str(refused.value)
    assert message.startswith(f"the ledger postgresql://ana@{where}/audit does not answer: ")
    assert "s3cret" not in message
    assert "\n" not in message
    assert refused.value.exit_code == 3


async def test_missing_database(postgres_server: servers.PostgresServer) -> None:
    """A database that is not there is named in the message."""
    with pytest.raises(LedgerUnavailable, match="nowhere"):
        async with Ledger.open(postgres_server.url("nowhere")):
            pass


async def test_options_libpq_refuses(postgres_url: str) -> None:
    """An option with a value the driver does not know is a mistake in the URL."""
    with pytest.raises(LedgerUrlInvalid, match="sslmode"):
        async with Ledger.open(f"{postgres_url}&sslmode=perhaps"):
            pass


async def test_postgresql_by_its_other_name(postgres_url: str) -> None:
    """`postgres://` and `postgresql://` are the same."""
    async with Ledger.open(postgres_url.replace("postgresql://", "postgres://"), make=True) as ledger:
        assert await ledger.head() == 0
