"""A service that goes away while the recorder runs is waited for; one that is not there at the start is not."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import servers
from arq import ArqRedis
from audit_records import accepted, put
from recorder_parts import Waits, until, until_recorded
from structlog.testing import capture_logs

from pointsman_audit import Ledger, LedgerBroken, LedgerUnavailable, ListedKind, Recorder, RecordFilter, examine
from pointsman_queue import Outbox, client, connect, keys
from pointsman_routes import ServiceUnavailable, Wire


def jobs(first: int, last: int) -> list[Wire]:
    """Accepted records of some jobs."""
    return [accepted(f"job-{number}") for number in range(first, last + 1)]


async def told(ledger: Ledger) -> list[tuple[int, str]]:
    """Number and job of every record, in the order they were recorded."""
    wanted = RecordFilter(kind=ListedKind.ACCEPTED)
    return sorted([(record["seq"], record["job_id"]) async for record in ledger.list(wanted)])


def hold(path: Path) -> sqlite3.Connection:
    """Another process's connection to the file; its commands wait for the lock, so they run in a thread."""
    return sqlite3.connect(path, isolation_level=None, timeout=60, check_same_thread=False)


IN_ORDER = [(number, f"job-{number}") for number in range(1, 21)]


@asynccontextmanager
async def running(recorder: Recorder) -> AsyncIterator["asyncio.Task[None]"]:
    """A recorder at work; stopped at the end, which it must survive."""
    task = asyncio.create_task(recorder.run())
    try:
        yield task
    finally:
        recorder.stop()
        async with asyncio.timeout(60):
            await task


def events(logs: Any) -> list[str]:
    """What was logged, but for the debugging and that the policies of these records are unknown."""
    own = [log["event"] for log in logs if log["log_level"] != "debug"]
    return [event for event in own if event != "recorder.policy_unknown"]


async def test_dead_postgresql_is_waited_for(
    postgres_server: servers.PostgresServer, postgres_url: str, redis: ArqRedis
) -> None:
    """PostgreSQL dies and comes back: jobs go on meanwhile, everything arrives once, and the log says so once."""
    waits = Waits()
    async with Ledger.open(postgres_url, make=True) as ledger:
        recorder = Recorder(Outbox(redis), ledger, sleep=waits.sleep)
        with capture_logs() as logs:
            async with running(recorder) as task:
                await put(redis, jobs(1, 10))
                await until_recorded(recorder, 10, task)
                postgres_server.stop()
                try:
                    await put(redis, jobs(11, 20))
                    for times in (1, 2, 3):
                        await waits.begun(times)
                        if times < 3:
                            waits.end()
                    assert await redis.xlen(keys.OUTBOX) == 10
                finally:
                    postgres_server.start()
                waits.end()
                await until_recorded(recorder, 20, task)
        assert await told(ledger) == IN_ORDER
    assert waits.asked == [0.5, 1.0, 2.0]
    assert events(logs) == ["recorder.started", "recorder.ledger_down", "recorder.ledger_up", "recorder.stopped"]


async def test_stopped_under_load(postgres_server: servers.PostgresServer, postgres_url: str, redis: ArqRedis) -> None:
    """PostgreSQL is stopped twice while jobs keep coming: none of them waits, and all arrive once and in order."""
    waits = Waits()
    enough = asyncio.Event()
    written = 0

    async def keep_coming() -> None:
        nonlocal written
        while not enough.is_set():
            await put(redis, jobs(written + 1, written + 50))
            written += 50
            await asyncio.sleep(0.01)

    def come(count: int) -> Callable[[], bool]:
        return lambda: written >= count

    async with Ledger.open(postgres_url, make=True) as ledger:
        recorder = Recorder(Outbox(redis), ledger, sleep=waits.sleep)
        async with running(recorder) as task:
            coming = asyncio.create_task(keep_coming())
            for times in (1, 2):
                reached = recorder.recorded + 500
                await until_recorded(recorder, reached, task)
                postgres_server.stop()
                try:
                    await waits.begun(times)
                    await until(come(written + 500))
                finally:
                    postgres_server.start()
                waits.end()
            enough.set()
            await coming
            await until_recorded(recorder, written, task)
        assert await told(ledger) == [(number, f"job-{number}") for number in range(1, written + 1)]
        assert (await examine(ledger, [], [])).ok
    assert await redis.xlen(keys.OUTBOX) == 0


async def test_locked_sqlite_is_waited_for(tmp_path: Path, redis: ArqRedis) -> None:
    """Another process holds the file: nothing is lost, and when it lets go everything arrives once."""
    path = tmp_path / "ledger.db"
    waits = Waits()
    async with Ledger.open(f"sqlite:///{path}", make=True, busy_timeout=timedelta(milliseconds=10)) as ledger:
        recorder = Recorder(Outbox(redis), ledger, sleep=waits.sleep)
        with capture_logs() as logs, closing(hold(path)) as other:
            async with running(recorder) as task:
                await put(redis, jobs(1, 10))
                await until_recorded(recorder, 10, task)
                await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
                await put(redis, jobs(11, 20))
                for times in (1, 2):
                    await waits.begun(times)
                    if times < 2:
                        waits.end()
                other.execute("ROLLBACK")
                waits.end()
                await until_recorded(recorder, 20, task)
        assert await told(ledger) == IN_ORDER
    assert events(logs) == ["recorder.started", "recorder.ledger_down", "recorder.ledger_up", "recorder.stopped"]
    assert "database is locked" in next(log["error"] for log in logs if log["event"] == "recorder.ledger_down")


@pytest.fixture
def mortal_redis() -> Iterator[servers.RedisServer]:
    """A Redis server of the test's own."""
    binary = next(iter(servers.redis_binaries().values()), None)
    if binary is None:
        servers.missing("redis-server")
    server = servers.RedisServer.start(binary)
    yield server
    server.stop()


async def test_dead_redis_is_waited_for(ledger_url: str, mortal_redis: servers.RedisServer) -> None:
    """Redis dies and comes back empty: the recorder goes on with the new one, and the log says so once."""
    waits = Waits()
    redis = await connect(mortal_redis.url)
    async with Ledger.open(ledger_url, make=True) as ledger:
        recorder = Recorder(Outbox(redis), ledger, sleep=waits.sleep)
        with capture_logs() as logs:
            async with running(recorder) as task:
                await put(redis, jobs(1, 10))
                await until_recorded(recorder, 10, task)
                mortal_redis.kill()
                await waits.begun(1)
                mortal_redis.restart()
                await put(redis, jobs(11, 20))
                waits.end()
                await until_recorded(recorder, 20, task)
        assert await told(ledger) == IN_ORDER
    await redis.aclose(close_connection_pool=True)
    assert events(logs) == ["recorder.started", "recorder.redis_down", "recorder.redis_up", "recorder.stopped"]


async def test_stopped_while_waiting(tmp_path: Path, redis: ArqRedis) -> None:
    """A recorder that waits for a service can be stopped at once."""
    path = tmp_path / "ledger.db"
    waits = Waits()
    async with Ledger.open(f"sqlite:///{path}", make=True, busy_timeout=timedelta(milliseconds=10)) as ledger:
        recorder = Recorder(Outbox(redis), ledger, sleep=waits.sleep)
        with closing(hold(path)) as other:
            async with running(recorder) as task:
                await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
                await put(redis, jobs(1, 10))
                await waits.begun(1)
                recorder.stop()
                async with asyncio.timeout(60):
                    await task
        assert await ledger.head() == 0
    assert await redis.xlen(keys.OUTBOX) == 10


async def test_no_redis_at_the_start(ledger_url: str, tmp_path: Path) -> None:
    """Without Redis the recorder does not start: one line, exit code 3."""
    absent = client(f"unix://{tmp_path / 'nobody.sock'}")
    async with Ledger.open(ledger_url, make=True) as ledger:
        with pytest.raises(ServiceUnavailable) as refused:
            await Recorder(Outbox(absent), ledger).run()
        assert "\n" not in str(refused.value)
        assert refused.value.exit_code == 3
    await absent.aclose(close_connection_pool=True)


async def test_no_ledger_at_the_start(
    postgres_server: servers.PostgresServer, postgres_url: str, redis: ArqRedis
) -> None:
    """Without its database the recorder does not start: one line, exit code 3."""
    async with Ledger.open(postgres_url, make=True) as ledger:
        postgres_server.stop()
        try:
            with pytest.raises(LedgerUnavailable) as refused:
                await Recorder(Outbox(redis), ledger).run()
        finally:
            postgres_server.start()
        assert "\n" not in str(refused.value)
        assert refused.value.exit_code == 3


async def test_lost_reply_of_a_commit(ledger_url: str, redis: ArqRedis) -> None:
    """The connection breaks after the commit, before its reply: the recorder asks how far it got."""
    waits = Waits()
    async with Ledger.open(ledger_url, make=True) as ledger:
        recorder = Recorder(Outbox(redis), ledger, sleep=waits.sleep)
        tampered: Any = ledger
        appending = tampered.append

        async def unheard(batch: Any) -> Any:
            await appending(batch)
            tampered.append = appending
            raise LedgerUnavailable("the connection broke")

        tampered.append = unheard
        async with running(recorder) as task:
            await put(redis, jobs(1, 10))
            await waits.begun(1)
            waits.end()
            await put(redis, jobs(11, 20))
            await until_recorded(recorder, 10, task)
        assert await told(ledger) == IN_ORDER
    assert await redis.xlen(keys.OUTBOX) == 0


async def test_changed_ledger_is_not_waited_for(ledger_url: str, redis: ArqRedis) -> None:
    """A ledger whose end is not where it was left is no outage: the recorder ends and says so, nothing is dropped."""
    await put(redis, jobs(1, 10))
    async with Ledger.open(ledger_url, make=True) as ledger:
        recorder = Recorder(Outbox(redis), ledger)
        await recorder.drain()
        async with ledger.writing() as connection:
            await connection.exec_driver_sql("UPDATE ledger_head SET last_seq = 3")
        await put(redis, jobs(11, 20))
        with pytest.raises(LedgerBroken, match="pointsman audit verify"):
            await recorder.run()
        assert await redis.xlen(keys.OUTBOX) == 10
