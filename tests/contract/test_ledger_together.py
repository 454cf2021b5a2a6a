"""Several recorders on one ledger, and what happens when one of them, or the database, stands still."""

import asyncio
import functools
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import servers
from arq import ArqRedis
from audit_records import accepted, final, finished, put, started
from ledger_of_old import written
from recorder_parts import Waits, until_recorded
from sqlalchemy import text

from pointsman_audit import Batch, Ledger, LedgerUnavailable, Recorder, draft_of, engine, examine, sequencer
from pointsman_queue import Outbox, connect
from pointsman_routes import SwitchRecord, Wire

_RECORDER = """
import asyncio, signal, sys
from pointsman_audit import Ledger, Recorder
from pointsman_queue import Outbox, connect

async def main(redis_url, ledger_url):
    redis = await connect(redis_url)
    async with Ledger.open(ledger_url, make=True) as ledger:
        recorder = Recorder(Outbox(redis), ledger)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, recorder.stop)
        await recorder.run()

asyncio.run(main(*sys.argv[1:]))
"""
LIVES = 500


@pytest.fixture
def redis_servers() -> Iterator[list[servers.RedisServer]]:
    """Two Redis servers of the test's own: two outboxes."""
    binary = next(iter(servers.redis_binaries().values()), None)
    if binary is None:
        servers.missing("redis-server")
    started_ones = [servers.RedisServer.start(binary) for _ in range(2)]
    yield started_ones
    for server in started_ones:
        server.stop()


def lives(name: str) -> list[Wire]:
    """What is recorded of many jobs of one outbox."""
    told: list[Wire] = []
    for number in range(LIVES):
        job = f"{name}-{number:04}"
        told += [accepted(job), started(job), finished(job), final(job)]
    return told


async def test_three_recorders_two_outboxes(ledger_url: str, redis_servers: list[servers.RedisServer]) -> None:
    """Three recorder processes, two of them on one outbox, make one whole chain: each outbox in order, exactly once."""
    names = ("first", "second")
    async with AsyncExitStack() as stack:
        for server, name in zip(redis_servers, names, strict=True):
            await put(await stack.enter_async_context(client(server)), lives(name))
        commands = [
            (sys.executable, "-c", _RECORDER, server.url, ledger_url) for server in (*redis_servers, redis_servers[0])
        ]
        running = [await asyncio.create_subprocess_exec(*command, stdout=DEVNULL) for command in commands]
        total = 2 * 4 * LIVES
        try:
            await until_head(ledger_url, total)
        finally:
            for process in running:
                process.terminate()
            codes = [await process.wait() for process in running]
    assert codes == [0, 0, 0]
    async with Ledger.open(ledger_url) as ledger:
        assert (await examine(ledger, [], [])).ok
    async with written(ledger_url) as connection:
        query = "SELECT job_id, kind FROM records JOIN facets ON facets.id = facet_id ORDER BY seq"
        found = [(row.job_id, row.kind) for row in (await connection.execute(text(query))).all()]
        leftover = "SELECT (SELECT count(*) FROM open_jobs) + (SELECT count(*) FROM open_attempts)"
        assert (await connection.execute(text(leftover))).scalar() == 0
    assert len(found) == total
    for name in names:
        told = [(record.model_dump()["job_id"], str(record.model_dump()["kind"])) for record in lives(name)]
        assert [entry for entry in found if entry[0].startswith(name)] == told


@asynccontextmanager
async def client(server: servers.RedisServer) -> AsyncIterator[ArqRedis]:
    """A client of a server."""
    redis = await connect(server.url)
    yield redis
    await redis.aclose(close_connection_pool=True)


async def until_head(url: str, total: int) -> None:
    """Wait until there are so many records."""
    async with asyncio.timeout(120), Ledger.open(url, make=True) as ledger:
        while await ledger.head() < total:  # noqa: ASYNC110 - other processes write them
            await asyncio.sleep(0.05)


def one(source: str) -> Batch:
    """A batch of one record."""
    return Batch(source=source, after="0-0", until="1-0", entries=(draft_of(switch(), 1),))


def switch() -> SwitchRecord:
    """A record."""
    return SwitchRecord(scope="openai", action="disable", reason="r", by="ops")


async def test_frozen_recorder_loses_its_turn(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorder that stands still in its turn is thrown out of it: the others go on, and it hears of it."""
    monkeypatch.setattr(sequencer, "_IDLE_S", 1)
    async with Ledger.open(postgres_url, make=True) as frozen, Ledger.open(postgres_url) as other:
        with pytest.raises(LedgerUnavailable):
            await stand_still(frozen, while_waiting=other.append(one("other")))
        assert await other.head() == 1
        assert await frozen.append(one("frozen")) is not None
        assert await frozen.head() == 2
        assert (await examine(other, [], [])).ok


async def stand_still(ledger: Ledger, *, while_waiting: Awaitable[object]) -> None:
    """Append, and do not commit before something else has come to its end."""
    async with ledger.writing() as connection:
        await ledger.append_acts(connection, [draft_of(switch(), 1)])
        async with asyncio.timeout(60):
            await while_waiting


async def test_turn_is_not_waited_for_for_ever(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits too long for another's turn says so in one line, and nothing was written."""
    monkeypatch.setattr(sequencer, "_TURN_S", 1)
    async with Ledger.open(postgres_url, make=True) as first, Ledger.open(postgres_url) as second:
        async with first.writing() as connection:
            await first.append_acts(connection, [draft_of(switch(), 1)])
            for waiting in (second.append(one("second")), second.forget_content()):
                with pytest.raises(LedgerUnavailable, match="lock timeout; another process has held a lock") as told:
                    await waiting
                assert "\n" not in str(told.value)
        assert await second.append(one("second")) == await second.chain_head()
        assert await second.head() == 2


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Ledger]:
    """Makes ledgers that wait a second for a statement or a connection."""
    monkeypatch.setattr("pointsman_audit.ledger.build_engine", functools.partial(engine.build_engine, statement_s=1.0))
    monkeypatch.setattr(engine, "_CONNECT_S", 1.0)
    return Ledger


async def test_frozen_postgresql_is_noticed(
    postgres_server: servers.PostgresServer, postgres_url: str, redis: ArqRedis, hasty: Callable[[str], Ledger]
) -> None:
    """A PostgreSQL that stands still is an outage after the time a statement has; all arrives once it goes on."""
    waits = Waits()
    ledger = hasty(postgres_url)
    await ledger.make()
    recorder = Recorder(Outbox(redis), ledger, sleep=waits.sleep)
    running = asyncio.create_task(recorder.run())
    await put(redis, [accepted("job-1")])
    await until_recorded(recorder, 1, running)
    postgres_server.freeze()
    try:
        await put(redis, [accepted("job-2")])
        async with asyncio.timeout(20):
            await waits.begun(1)
        with pytest.raises(LedgerUnavailable, match="does not answer: no answer in time"):
            await ledger.head()
    finally:
        postgres_server.thaw()
    waits.end()
    await until_recorded(recorder, 2, running)
    recorder.stop()
    await running
    assert await ledger.head() == 2
    await ledger.close()


async def test_killed_sessions_are_not_noticed(postgres_url: str, redis: ArqRedis) -> None:
    """Connections that an operator or a firewall has cut while they were idle are replaced: no outage, no loss."""
    waits = Waits()
    async with Ledger.open(postgres_url, make=True) as ledger:
        recorder = Recorder(Outbox(redis), ledger, sleep=waits.sleep)
        for number in range(1, 4):
            await put(redis, [accepted(f"job-{number}")])
            assert await recorder.drain() == 1
            async with written(postgres_url) as connection:
                others = "pid <> pg_backend_pid() AND datname = current_database()"
                cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"
                killed = await connection.execute(text(cut))
                assert [row[0] for row in killed.all()]
        assert await ledger.head() == 3


async def test_statement_timeout_is_waited_out(postgres_url: str, redis: ArqRedis) -> None:
    """A server that allows statements little time and is busy is an outage; once it is not, everything arrives."""
    waits = Waits()
    async with Ledger.open(postgres_url, make=True) as holder:
        # Connected before there is a limit.
        assert await holder.head() == 0
        name = postgres_url.partition("@/")[2].partition("?")[0]
        async with written(postgres_url) as connection:
            await connection.execute(text(f"ALTER DATABASE {name} SET statement_timeout = '300ms'"))
        async with Ledger.open(postgres_url) as ledger:
            recorder = Recorder(Outbox(redis), ledger, sleep=waits.sleep)
            await put(redis, [accepted("job-1")])
            async with holder.writing() as connection:
                await sequencer.take_turn(connection)
                running = asyncio.create_task(recorder.run())
                await waits.begun(1)
            waits.end()
            await until_recorded(recorder, 1, running)
            recorder.stop()
            await running
            assert await ledger.head() == 1


@pytest.mark.parametrize(("setting", "then"), [("off", "on"), ("remote_apply", "remote_apply")])
async def test_commits_wait_for_the_disk(postgres_url: str, setting: str, then: str) -> None:
    """Whatever the database is set to, what is appended waits for the disk at least: Redis drops it then."""
    name = postgres_url.partition("@/")[2].partition("?")[0]
    async with written(postgres_url) as connection:
        await connection.execute(text(f"ALTER DATABASE {name} SET synchronous_commit = '{setting}'"))
    async with Ledger.open(postgres_url, make=True) as ledger, ledger.writing() as connection:
        await sequencer.take_turn(connection)
        assert (await connection.execute(text("SHOW synchronous_commit"))).scalar() == then
