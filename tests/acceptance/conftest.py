"""The line most acceptance tests share: one Redis, one vendor, one recorder, one worker for all tiers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import servers
from acceptance_line import Line
from acceptance_routes import Route

ROUTES = (
    Route(name="plain"),
    Route(name="overloaded"),
    Route(name="refusing", reachable=False),
    Route(name="throttled"),
    Route(name="empty"),
    Route(name="truncated"),
    Route(name="cutoff", of_class={"on_truncated": "move"}),
    Route(name="refused"),
    Route(name="misrouted"),
    Route(name="scolded"),
    Route(name="severed"),
    Route(name="blank"),
    Route(name="giant"),
    Route(name="dripping", of_tiers={"timeout": "700ms"}),
    Route(name="switched", of_tiers={"limits": {"concurrency": 4}}),
    Route(name="held"),
    Route(name="limited"),
    Route(name="waiting"),
    Route(name="narrow", backup_too=False, of_tiers={"limits": {"tpm": 100}}),
    Route(name="hanging", backup_too=False, of_class={"deadline": "2s"}, of_tiers={"timeout": "3s"}),
    Route(name="shut", backup_too=False, of_class={"deadline": "2s"}),
    Route(name="called-off", backup_too=False),
)
"""One for each test that does something to its tiers."""


@pytest.fixture(scope="session")
def redis_binary() -> Path:
    """One Redis server for tests that need no more: the newest kind there is."""
    found = servers.redis_binaries()
    if not found:
        servers.missing("redis-server")
    return list(found.values())[-1]


@pytest.fixture(scope="session")
def routes() -> dict[str, Route]:
    """The routes of the shared line, by name."""
    return {route.name: route for route in ROUTES}


@pytest.fixture(scope="session")
def line(tmp_path_factory: pytest.TempPathFactory, redis_binary: Path) -> Iterator[Line]:
    """The shared line."""
    folder = tmp_path_factory.mktemp("line")
    with Line.laid(folder, ROUTES, redis=redis_binary) as laid:
        started = [laid.start("recorder"), laid.start("worker", *(tier for route in ROUTES for tier in route.tiers))]
        for running in started:
            laid.at_work(running)
        yield laid
