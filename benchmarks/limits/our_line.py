"""Our side of a contest: real workers in processes of their own, and a producer that waits for the results."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from benchmarks import rig
from pointsman_producer import Producer, WaitTimeout
from pointsman_queue import Observer, Settings, connect
from pointsman_routes import JobState

from .contest import Contest
from .progress import Progress
from .run import End, MeasurementFailed
from .vendors import Vendor

_READY_S = 60.0
_LOOK_S = 0.25
_STOP_S = 15.0
_KEY = "BENCH_API_KEY"
_PROVIDER = """
[providers.bench]
kind = "openai-compatible"
owner = "bench@example.com"
api_key = {{ env = "{key}" }}
base_url = "{base_url}"
region = "local"
counted_tokens = "max_tokens"
{limits}
"""
_TIER = """
[providers.bench.tiers.{name}]
model = "{name}"
price = {{ input = 1, output = 2 }}
{limits}
{burst}
[classes.{name}]
route = ["bench/{name}"]
deadline = "24h"
"""


async def drive(contest: Contest, vendor: Vendor, url: str, folder: Path, *, bound_s: float) -> End:
    """Run a contest's jobs through our line.

    Args:
        contest: what to run.
        vendor: against whom.
        url: an empty Redis.
        folder: for the configuration and what the workers print.
        bound_s: how long it may take; what is not done by then is lost.

    Raises:
        MeasurementFailed: the workers do not come up.
    """
    config = folder / "pointsman.toml"
    config.write_text(configuration(contest, vendor.base_url), encoding="utf-8")
    settings = Settings(config=config, redis_url=url, ledger_url=f"sqlite:///{folder}/ledger.db", home=folder)
    jobs = contest.jobs()
    progress = Progress(label=f"{contest.name}, pointsman", total=len(jobs))
    with _workers(contest, settings, folder) as processes:
        await _until_registered(url, processes, folder)
        progress.say(f"{len(processes)} workers are up")
        async with Producer.connect(settings) as producer:
            receipts = await producer.submit(jobs)
            succeeded, stopped = 0, False
            try:
                async for result in producer.results(receipts, timeout=bound_s):
                    succeeded += result.pointsman.state is JobState.SUCCEEDED
                    progress.one()
            except WaitTimeout:
                stopped = True
        progress.say(f"{succeeded:,} of {len(jobs):,} succeeded")
    return End(succeeded, stopped)


def configuration(contest: Contest, base_url: str) -> str:
    """The `pointsman.toml` of a contest."""
    parts = [_PROVIDER.format(key=_KEY, base_url=base_url, limits=_limits(contest.account))]
    for name, tier in contest.tiers.items():
        burst = f'burst = "{tier.burst}"' if tier.burst else ""
        parts.append(_TIER.format(name=name, limits=_limits(tier.limits), burst=burst))
    return "".join(parts)


def _limits(limits: Mapping[str, int]) -> str:
    return f"limits = {{ {', '.join(f'{name} = {value}' for name, value in limits.items())} }}" if limits else ""


@contextmanager
def _workers(contest: Contest, settings: Settings, folder: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("POINTSMAN_")}
    env |= {
        "POINTSMAN_CONFIG": str(settings.config),
        "POINTSMAN_REDIS_URL": settings.effective_redis_url,
        "POINTSMAN_LEDGER_URL": settings.effective_ledger_url,
        "POINTSMAN_HOME": str(settings.home),
        _KEY: "not-a-key",
    }
    with ExitStack() as stack:
        processes: list[subprocess.Popen[bytes]] = []
        for name, tier in contest.tiers.items():
            for _ in range(tier.workers):
                ahead = contest.clock_ahead_s if not processes else 0
                program = ["benchmarks.limits.shifted_clock", str(ahead)] if ahead else ["pointsman_console"]
                command = [sys.executable, "-m", *program, "worker", f"bench/{name}", "--grace", "5s"]
                log = folder / f"worker-{len(processes)}.log"
                processes.append(stack.enter_context(rig.running(command, env=env, log=log)))
        try:
            yield processes
        finally:
            # All at once, then each: they drain.
            for process in processes:
                process.terminate()
            with suppress(subprocess.TimeoutExpired):
                for process in processes:
                    process.wait(_STOP_S)


async def _until_registered(url: str, processes: list[subprocess.Popen[bytes]], folder: Path) -> None:
    redis = await connect(url)
    try:
        async with asyncio.timeout(_READY_S):
            while all(process.poll() is None for process in processes):
                if len((await Observer(redis).overview(())).workers) >= len(processes):
                    return
                await asyncio.sleep(_LOOK_S)
    except TimeoutError:
        pass
    finally:
        await redis.aclose(close_connection_pool=True)
    said = " ".join(path.read_text()[-300:] for path in sorted(folder.glob("worker-*.log")))  # noqa: ASYNC240  # the end
    raise MeasurementFailed(f"the workers do not come up: {said}")
