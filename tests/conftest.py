"""Servers as fixtures: every test that asks for one runs once for each kind found on this machine.

    redis_url     a Redis server, emptied; once for each binary found
    redis         a client of it
    ledger_url    an empty ledger's URL: SQLite, then PostgreSQL

A test of both runs twice: SQLite with one Redis, PostgreSQL with the other. Where a server is missing its tests are
skipped, but not where CI=true: there they fail.
"""

import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import servers
import structlog
from arq import ArqRedis
from hypothesis import HealthCheck, settings
from redis import Redis

from pointsman_queue import connect

# Properties are about results: how long an example took depends on what else the machine does.
settings.register_profile(
    "any-speed", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("any-speed")

_REDIS = tuple(servers.redis_binaries()) or ("none",)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of a Redis and a ledger together run with each server once, not with every pair of them."""
    left_out = [item for item in items if _repeats(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not _repeats(item)]


def _repeats(item: pytest.Item) -> bool:
    """Whether the servers it runs with are another test's already: SQLite goes with the first Redis."""
    chosen = getattr(getattr(item, "callspec", None), "params", {})
    redis, ledger = chosen.get("redis_server"), chosen.get("ledger_url")
    if redis is None or ledger is None or len(_REDIS) < 2:
        return False
    return bool((redis == _REDIS[0]) != (ledger == "sqlite"))


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """A command run inside a test sends logs to a stream of that test; none of them outlives it."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session", params=_REDIS)
def redis_server(request: pytest.FixtureRequest) -> Iterator[servers.RedisServer]:
    """A running Redis server, shared by the tests of the session."""
    binary = servers.redis_binaries().get(request.param)
    if binary is None:
        servers.missing("redis-server")
    server = servers.RedisServer.start(binary)
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: servers.RedisServer) -> str:
    """The URL of an empty Redis with its default settings."""
    with Redis.from_url(redis_server.url) as client:
        client.flushall()
        client.config_set("maxmemory", 0)
        client.config_resetstat()
    return redis_server.url


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[ArqRedis]:
    """A client of an empty Redis; replies are bytes."""
    client = await connect(redis_url)
    yield client
    await client.aclose(close_connection_pool=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[servers.PostgresServer]:
    """A running PostgreSQL server, shared by the tests of the session."""
    folder = servers.postgres_folder()
    if folder is None:
        servers.missing("PostgreSQL")
    server = servers.PostgresServer.create(folder)
    yield server
    server.remove()


@pytest.fixture
def postgres_url(postgres_server: servers.PostgresServer) -> Iterator[str]:
    """The URL of an empty PostgreSQL database."""
    name = f"ledger_{uuid.uuid4().hex[:12]}"
    yield postgres_server.create_database(name)
    postgres_server.drop_database(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a ledger that is not there yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger' / 'ledger.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url
