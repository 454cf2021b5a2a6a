"""Places where no ledger can be, or none any more: each is one line with what to do, and what was recorded stays."""

import asyncio
import os
import resource
import socket
import sqlite3
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import servers
from arq import ArqRedis
from audit_records import accepted, put
from ledger_of_old import written
from recorder_parts import Waits, until_recorded
from sqlalchemy import text
from structlog.testing import capture_logs

from pointsman_audit import Ledger, LedgerUnavailable, LedgerUrlInvalid, Recorder, engine, examine
from pointsman_queue import Outbox, keys
from pointsman_routes import PointsmanError, Wire

_NOBODY = 65534
_JOBS = 3000
_ROOM = 100_000_000


async def refusal(url: str, *, make: bool = False) -> PointsmanError:
    """Why a ledger cannot be opened; always one line, and never with the password."""
    with pytest.raises(PointsmanError) as refused:
        async with Ledger.open(url, make=make, busy_timeout=timedelta(milliseconds=50)):
            pass
    assert "\n" not in str(refused.value)
    assert "s3cret" not in str(refused.value)
    return refused.value


@pytest.mark.parametrize("make", [False, True])
async def test_folder_instead_of_file(tmp_path: Path, *, make: bool) -> None:
    """A folder is no ledger: the message says so, and asks for a file in it."""
    told = await refusal(f"sqlite:///{tmp_path}", make=make)
    assert isinstance(told, LedgerUrlInvalid)
    assert str(told).endswith(f"names a folder, {tmp_path}; name a file in it")
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240 - nobody is kept waiting


async def test_foreign_file_is_left_alone(tmp_path: Path) -> None:
    """A recorder does not make a ledger of a file that is something else."""
    path = tmp_path / "letter.txt"
    path.write_bytes(b"Dear auditor, " * 100)
    told = await refusal(f"sqlite:///{path}", make=True)
    assert "file is not a database; see to the file, or name another with --ledger" in str(told)
    assert path.read_bytes() == b"Dear auditor, " * 100


async def test_foreign_database_is_left_alone(ledger_url: str) -> None:
    """A database in which somebody else has a table that the ledger wants is not touched, by no command."""
    path = ledger_url.removeprefix("sqlite:///")
    if path != ledger_url:
        Path(path).parent.mkdir()
    async with written(ledger_url) as connection:
        await connection.execute(text("CREATE TABLE records (mine TEXT)"))
    told = await refusal(ledger_url, make=True)
    assert isinstance(told, LedgerUrlInvalid)
    assert "has a table of somebody else's, records" in str(told)
    ledger = Ledger(ledger_url)
    with pytest.raises(LedgerUrlInvalid):
        await ledger.migrate()
    await ledger.close()
    async with written(ledger_url) as connection:
        await connection.execute(text("SELECT mine FROM records"))


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the rights of root, to whom no file is closed."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder of whoever `as_nobody` is; pytest's own are root's alone."""
    with tempfile.TemporaryDirectory(prefix="pointsman-place-") as name:
        folder = Path(name)
        if os.geteuid() == 0:
            os.chown(folder, _NOBODY, _NOBODY)
        yield folder
        folder.chmod(0o700)


async def test_folder_that_is_closed(open_folder: Path) -> None:
    """Where nothing may be made, the recorder says which folder, in one line."""
    open_folder.chmod(0o500)  # noqa: ASYNC240 - nobody is kept waiting
    with as_nobody():
        told = await refusal(f"sqlite:///{open_folder}/new/ledger.db", make=True)
        assert f"Permission denied: '{open_folder}/new'" in str(told)
        told = await refusal(f"sqlite:///{open_folder}/ledger.db", make=True)
        assert "Permission denied" in str(told)


async def test_file_that_is_closed(
    open_folder: Path, tmp_path: Path, redis: ArqRedis, redis_server: servers.RedisServer
) -> None:
    """A ledger that has become read-only is an outage: nothing is dropped, and all arrives once it can be written."""
    path = open_folder / "ledger.db"
    waits = Waits()
    redis_server.admit_everybody()
    # Nobody cannot load what Python has not loaded yet.
    async with Ledger.open(f"sqlite:///{tmp_path}/first.db", make=True):
        pass
    with as_nobody():
        await put(redis, jobs(10))
        async with Ledger.open(f"sqlite:///{path}", make=True) as ledger:
            await Recorder(Outbox(redis), ledger).drain()
        path.chmod(0o400)
        async with Ledger.open(f"sqlite:///{path}") as ledger:
            recorder = Recorder(Outbox(redis), ledger, sleep=waits.sleep)
            with capture_logs() as logs:
                running = asyncio.create_task(recorder.run())
                await put(redis, jobs(20, first=11))
                await waits.begun(1)
            assert "readonly database; let this account write to the file, to those beside it" in outage(logs)
            assert await redis.xlen(keys.OUTBOX) == 10
            # SQLite gives the files beside it the same rights. A connection stays as it was opened.
            for file in open_folder.iterdir():  # noqa: ASYNC240 - nobody is kept waiting
                file.chmod(0o600)
            await ledger.close()
            waits.end()
            await until_recorded(recorder, 10, running)
            recorder.stop()
            await running
            assert await ledger.head() == 20
            assert (await examine(ledger, [], [])).ok


def jobs(last: int, first: int = 1) -> list[Wire]:
    """Accepted records of some jobs."""
    return [accepted(f"job-{number}") for number in range(first, last + 1)]


def outage(logs: Any) -> str:
    """Why the ledger is said to be down."""
    return next(str(log["error"]) for log in logs if log["event"] == "recorder.ledger_down")


class SmallDisk(NamedTuple):
    """A place in which there can be more or less room."""

    folder: Path
    narrow: Callable[[int], None]
    """Leave room for so many bytes more."""
    widen: Callable[[], None]
    """Let there be room."""


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """A disk of our own."""

    def narrow(left: int) -> None:
        disk = os.statvfs(folder)
        resize((disk.f_blocks - disk.f_bfree) * disk.f_frsize + left)

    def resize(size: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)

    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={_ROOM}", "small", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield SmallDisk(folder, narrow, lambda: resize(_ROOM))
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def small_files(folder: Path) -> Iterator[SmallDisk]:
    """A place in which no file may be large; where no disk can be mounted, this is as near as it gets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def narrow(left: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (left, hard))

    def widen() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    folder.mkdir(exist_ok=True)
    try:
        yield SmallDisk(folder, narrow, widen)
    finally:
        widen()


@pytest.mark.parametrize(("small", "says"), [(small_disk, "full; make room"), (small_files, "disk I/O error")])
async def test_full_disk(
    tmp_path: Path, redis: ArqRedis, small: Callable[[Path], AbstractContextManager[SmallDisk]], says: str
) -> None:
    """The disk is full: the recorder waits and Redis keeps what is not recorded; with room everything arrives once."""
    waits = Waits()
    await put(redis, jobs(_JOBS))
    with small(tmp_path / "disk") as disk:
        disk.narrow(2_000_000)
        async with Ledger.open(f"sqlite:///{disk.folder}/ledger.db", make=True) as ledger:
            recorder = Recorder(Outbox(redis), ledger, sleep=waits.sleep)
            with capture_logs() as logs:
                running = asyncio.create_task(recorder.run())
                await waits.begun(1)
                waits.end()
                await waits.begun(2)
            assert says in outage(logs)
            recorded = await ledger.head()
            assert recorded == recorder.recorded < _JOBS
            assert await redis.xlen(keys.OUTBOX) == _JOBS - recorded
            disk.widen()
            waits.end()
            await until_recorded(recorder, _JOBS, running)
            recorder.stop()
            await running
            await whole(ledger)
    assert await redis.xlen(keys.OUTBOX) == 0


async def whole(ledger: Ledger) -> None:
    """See that every job was recorded once, in order, in an unbroken chain."""
    assert (await examine(ledger, [], [])).ok
    async with ledger.reading() as connection:
        found = await connection.execute(text("SELECT job_id FROM records ORDER BY seq"))
        assert found.scalars().all() == [f"job-{number}" for number in range(1, _JOBS + 1)]


async def test_full_disk_of_postgresql(redis: ArqRedis, postgres_server: servers.PostgresServer) -> None:
    """The disk of the database is full: the recorder waits, Redis keeps; with room everything arrives once."""
    waits = Waits()
    name = f"small_{uuid.uuid4().hex[:8]}"
    await put(redis, jobs(_JOBS))
    postgres = postgres_server.url("postgres")
    with tempfile.TemporaryDirectory(prefix="pointsman-disk-") as name_of, small_disk(Path(name_of)) as disk:
        folder = disk.folder
        postgres_server.own(folder)
        postgres_server.command(postgres, f"CREATE TABLESPACE {name} LOCATION '{folder}'")
        postgres_server.command(postgres, f"CREATE DATABASE {name} TABLESPACE {name}")
        try:
            async with Ledger.open(postgres_server.url(name), make=True) as ledger:
                disk.narrow(2_000_000)
                recorder = Recorder(Outbox(redis), ledger, sleep=waits.sleep)
                with capture_logs() as logs:
                    running = asyncio.create_task(recorder.run())
                    await waits.begun(1)
                assert "could not extend file" in outage(logs)
                assert outage(logs).endswith("; make room on its disk")
                assert await redis.xlen(keys.OUTBOX) == _JOBS - recorder.recorded > 0
                disk.widen()
                waits.end()
                await until_recorded(recorder, _JOBS, running)
                recorder.stop()
                await running
                await whole(ledger)
        finally:
            postgres_server.drop_database(name)
            postgres_server.command(postgres, f"DROP TABLESPACE {name}")


async def test_locked_file_says_so(tmp_path: Path) -> None:
    """A file that another process holds is said to be held, with what to do."""
    path = tmp_path / "ledger.db"
    async with Ledger.open(f"sqlite:///{path}", make=True):
        pass
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        told = await refusal(f"sqlite:///{path}", make=True)
    assert "database is locked; see which other process holds the file" in str(told)


async def test_silent_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that takes the connection and says nothing, as behind a bad firewall, is given up on."""
    monkeypatch.setattr(engine, "_CONNECT_S", 0.3)
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        url = f"postgresql://ana:s3cret@127.0.0.1:{listening.getsockname()[1]}/audit"
        async with asyncio.timeout(20):
            told = await refusal(url)
    assert isinstance(told, LedgerUnavailable)
    assert "does not answer: no answer in time; start it" in str(told)


async def test_wrong_user_and_password(postgres_server: servers.PostgresServer, postgres_url: str) -> None:
    """A user that is not there, and a password that is wrong, are said with what to correct; neither is shown."""
    told = await refusal(postgres_url.replace("postgres@", "nobody:s3cret@"))
    assert 'role "nobody" does not exist; correct the user in its URL' in str(told)
    with postgres_server.guarded_role("pa55word") as role:
        told = await refusal(postgres_url.replace("postgres@", f"{role}:s3cret@"))
        assert f'password authentication failed for user "{role}"; correct the password in its URL' in str(told)
        assert told.exit_code == 3
        right = await refusal(postgres_url.replace("postgres@", f"{role}:pa55word@"))
        assert "there is no ledger at" in str(right)


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("sslmode=perhaps", "sslmode"),
        ("sslmode=verify-full&sslrootcert=/no/where.crt", "sslrootcert=/no/where.crt; correct it"),
        ("target_session_attrs=odd", "target_session_attrs"),
        ("colour=red", 'unrecognized configuration parameter "colour"'),
        ("statement_timeout=soon", "statement_timeout"),
    ],
)
async def test_nonsense_in_options(postgres_url: str, option: str, says: str) -> None:
    """An option that makes no sense is a mistake in the URL: exit code 2, and the option is named."""
    told = await refusal(f"{postgres_url}&{option}")
    assert isinstance(told, LedgerUrlInvalid)
    assert says in str(told)


async def test_schema_that_is_not_there(postgres_url: str) -> None:
    """A search path that leads nowhere is said to the recorder."""
    told = await refusal(f"{postgres_url}&search_path=nowhere", make=True)
    assert "no schema has been selected to create in; create the schema" in str(told)


async def test_unencrypted_server(tmp_path: Path) -> None:
    """A server that does not speak TLS is not spoken to where TLS is asked for."""
    over: asyncio.Queue[None] = asyncio.Queue()

    async def refuse_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer as PostgreSQL does that has no certificate: one letter."""
        await reader.readexactly(8)
        writer.write(b"N")
        await reader.read()
        writer.close()
        await writer.wait_closed()
        over.put_nowait(None)

    async with await asyncio.start_server(refuse_tls, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        told = await refusal(f"postgresql://ana:s3cret@127.0.0.1:{port}/audit?sslmode=require")
        # Or the loop is closed before the connection is.
        await over.get()
    assert isinstance(told, LedgerUnavailable)
    assert "rejected SSL upgrade" in str(told)
