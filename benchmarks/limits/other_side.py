"""The others of a contest, each one process, as their users run them."""

import argparse
import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from benchmarks import rig

from .contest import Contest
from .progress import Progress
from .run import End, MeasurementFailed
from .vendors import Vendor

OTHERS = {"cookbook": "benchmarks.limits.cookbook", "sdk": "benchmarks.limits.vendor_sdk"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What one of them is asked to do."""

    base_url: str
    jobs: int
    rpm: int
    """The limit it is told; 0 is none."""


def drive(who: str, contest: Contest, vendor: Vendor, count: int, *, bound_s: float) -> End:
    """Run one of them. Of every job at most one call is answered, so the vendor's list says how many jobs were.

    Args:
        who: a key of OTHERS.
        contest: what to run.
        vendor: against whom.
        count: how many jobs.
        bound_s: how long it may take; what is not done by then is lost.

    Raises:
        MeasurementFailed: it broke.
    """
    options = {"base-url": vendor.base_url, "jobs": count, "rpm": contest.told_rpm, "label": f"{contest.name}, {who}"}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    # A proxy is for other machines than this one.
    env = {**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    with rig.running([sys.executable, "-m", OTHERS[who], *words], env=env) as process:
        try:
            code, stopped = process.wait(bound_s), False
        except subprocess.TimeoutExpired:
            code, stopped = 0, True
    if code:
        raise MeasurementFailed(f"{who} ended with {code}")
    return End(min(count, sum(call.status == 200 for call in vendor.calls())), stopped)


def main(who: str, run: Callable[[Ask, Progress], Awaitable[None]]) -> None:
    """The program of one of them."""
    parser = argparse.ArgumentParser(description=f"asks for everything, as the {who} does")
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--jobs", type=int, required=True)
    parser.add_argument("--rpm", type=int, default=0, help="the limit it is told; 0: none")
    parser.add_argument("--label", default=who, help="before every line of progress")
    args = parser.parse_args()
    progress = Progress(label=args.label, total=args.jobs)

    async def asked() -> None:
        await run(Ask(base_url=args.base_url, jobs=args.jobs, rpm=args.rpm), progress)

    asyncio.run(asked())
    progress.say(f"{progress.answered:,} of {progress.total:,} answered")
