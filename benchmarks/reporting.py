"""What a benchmark prints: the machine it ran on, and a table."""

import logging
import os
import platform
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import version

import structlog
from rich.console import Console
from rich.table import Table

from pointsman_queue import connect

_WIDTH = 160


def hush() -> None:
    """No log lines below an error: standard output is the report's."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    logging.getLogger("arq").setLevel(logging.ERROR)


async def ran_on(url: str) -> str:
    """The machine and the versions, in a line.

    Args:
        url: of the Redis that is used.
    """
    redis = await connect(url)
    server = (await redis.info("server"))["redis_version"]
    await redis.aclose(close_connection_pool=True)
    load = os.getloadavg()[0]
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, load {load:.1f} at the start, "
        f"Python {platform.python_version()}, Redis {server}, arq {version('arq')}, pointsman {version('pointsman')}"
    )


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table under a line that says what it ran on; as wide as the terminal, or fixed in a file."""
    drawn = Table(title=title, title_justify="left")
    for column in columns:
        drawn.add_column(column)
    for row in rows:
        drawn.add_row(*row)
    Console(width=None if sys.stdout.isatty() else _WIDTH).print(drawn)
