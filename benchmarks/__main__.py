"""`make bench`: prints a table and says what it ran on. Exit 1 if a target was missed."""

import argparse
import asyncio
import logging
import os
import platform
import sys
from importlib.metadata import version

import structlog
from rich.console import Console
from rich.table import Table

from pointsman_queue import connect

from . import rig
from .backlog import claim_cost, memory
from .latency import pickup
from .measurement import Measurement
from .throughput import job_life, submission, vendor_load

PARTS = ("submission", "life", "pickup", "vendor", "claim", "memory")


async def measure(url: str, parts: list[str]) -> list[Measurement]:
    """Run the parts one after the other, each on an empty Redis."""
    found: list[Measurement] = []
    if "submission" in parts:
        found.append(await submission(url))
    if "life" in parts:
        found.append(await job_life(url))
    if "pickup" in parts:
        found += await pickup(url)
    if "vendor" in parts:
        found += await vendor_load(url)
    if "claim" in parts:
        found.append(await claim_cost(url))
    if "memory" in parts:
        found += await memory(url)
    return found


async def ran_on(url: str) -> str:
    """The machine and the versions, in a line."""
    redis = await connect(url)
    server = (await redis.info("server"))["redis_version"]
    await redis.aclose(close_connection_pool=True)
    load = os.getloadavg()[0]
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, load {load:.1f} at the start, "
        f"Python {platform.python_version()}, Redis {server}, arq {version('arq')}, pointsman {version('pointsman')}"
    )


def report(found: list[Measurement], place: str) -> None:
    """Print the table."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    drawn = Table(title=place, title_justify="left")
    for column in ("what", "ours", "baseline", "ratio", "target", "reached"):
        drawn.add_column(column)
    for entry in found:
        drawn.add_row(
            entry.what, entry.ours, entry.baseline, entry.ratio, entry.target, "yes" if entry.reached else "NO"
        )
    console.print(drawn)


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="all when none is named")
    parts = parser.parse_args().parts or list(PARTS)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    logging.getLogger("arq").setLevel(logging.ERROR)
    with rig.redis_server() as url:
        place = asyncio.run(ran_on(url))
        found = asyncio.run(measure(url, parts))
    report(found, place)
    return 0 if all(entry.reached for entry in found) else 1


sys.exit(main())
