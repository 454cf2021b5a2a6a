"""`make bench`: prints a table and says what it ran on. Exit 1 if a target was missed."""

import argparse
import asyncio
import sys

from . import rig
from .backlog import claim_cost, memory
from .latency import pickup
from .measurement import Measurement
from .reporting import hush, print_table, ran_on
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


def report(found: list[Measurement], place: str) -> None:
    """Print the table."""
    rows = [
        (entry.what, entry.ours, entry.baseline, entry.ratio, entry.target, "yes" if entry.reached else "NO")
        for entry in found
    ]
    print_table(place, ("what", "ours", "baseline", "ratio", "target", "reached"), rows)


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="all when none is named")
    parts = parser.parse_args().parts or list(PARTS)
    hush()
    with rig.redis_server() as url:
        place = asyncio.run(ran_on(url))
        found = asyncio.run(measure(url, parts))
    report(found, place)
    return 0 if all(entry.reached for entry in found) else 1


sys.exit(main())
