"""Connecting: what is wrong is said in one line that tells what to do, and never shows a password."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from arq import ArqRedis
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,
    DataError,
    InvalidResponse,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,
)

from pointsman_queue import MISSING, client, connect, connection, place, redis_errors, redis_settings
from pointsman_routes import ServiceUnavailable

_SECRET = "s3cr3t"
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def _listening(handle: Handler) -> AsyncIterator[str]:
    """Something that listens on a port and is no Redis; gives its address."""

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handle(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(once, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}"


async def _message(url: str) -> str:
    with pytest.raises(ServiceUnavailable) as caught:
        await connect(url)
    message = str(caught.value)
    assert _SECRET not in message
    assert "\n" not in message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return message


async def test_connects(redis_url: str) -> None:
    """A Redis that answers is connected to; replies are bytes."""
    redis = await connect(redis_url, connections=2)
    await redis.set("a", "1")
    assert await redis.get("a") == b"1"
    await redis.aclose(close_connection_pool=True)


async def test_more_callers_than_connections(redis_url: str) -> None:
    """More callers than connections wait for one; none is refused."""
    redis = await connect(redis_url, connections=2)
    assert sorted(await asyncio.gather(*(redis.incr("n") for _ in range(50)))) == list(range(1, 51))
    assert len(await redis.client_list()) <= 2
    await redis.aclose(close_connection_pool=True)


async def test_refused() -> None:
    """Nothing listens: the message names the place and what to do."""
    async with _listening(_silent) as address:
        pass
    message = await _message(f"redis://user:{_SECRET}@{address}/0")
    assert f"Redis at {address} does not answer" in message
    assert "`pointsman up`" in message


async def test_no_socket() -> None:
    """There is no such socket: the message names its path."""
    assert "Redis at /no/such.sock does not answer" in await _message(f"unix://user:{_SECRET}@/no/such.sock")


async def test_wrong_password(redis: ArqRedis, redis_url: str) -> None:
    """A wrong password, or none where one is needed, is told as that; the right one connects."""
    await redis.config_set("requirepass", "right")
    socket = redis_url.removeprefix("unix://")
    try:
        assert "refuses the login" in await _message(f"unix://:{_SECRET}@{socket}")
        assert "refuses the login" in await _message(redis_url)
        good = await connect(f"unix://:right@{socket}")
        await good.aclose(close_connection_pool=True)
    finally:
        await redis.config_set("requirepass", "")


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def _web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await writer.drain()


async def _hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()


@pytest.mark.parametrize("handle", [_silent, _web, _hangs_up])
async def test_not_a_redis(handle: Handler, monkeypatch: pytest.MonkeyPatch) -> None:
    """What listens there is no Redis: whether it says nothing, something else or hangs up, that is an error, soon."""
    monkeypatch.setattr(connection, "_ANSWER_S", 0.2)
    async with asyncio.timeout(10), _listening(handle) as address:
        assert address in await _message(f"redis://:{_SECRET}@{address}")


@pytest.mark.parametrize(
    "url",
    [
        "",
        f"http://:{_SECRET}@localhost",
        f"redis://:{_SECRET}#1@localhost",
        f"redis://:{_SECRET}/1@localhost",
        f"redis://:{_SECRET}?1@localhost",
        f"redis://:{_SECRET}@localhost:port",
        f"redis://:{_SECRET}@[::1",
        f"redis://localhost?socket_timeout={_SECRET}",
        f"redis://localhost?password_file={_SECRET}",
    ],
)
async def test_unreadable_url(url: str) -> None:
    """A URL that is none says how to write one, and repeats nothing of it: a part of it may be the password."""
    message = await _message(url)
    assert "the Redis URL cannot be read; write redis://" in message or "does not answer" in message


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"redis://user:{_SECRET}@example.com:1234/5", "example.com:1234"),
        (f"rediss://:{_SECRET}@example.com", "example.com:6379"),
        (f"unix://:{_SECRET}@/run/redis.sock?db=1", "/run/redis.sock"),
        ("redis://", "?:6379"),
        (f"redis://:{_SECRET}@[::1", "?"),
        (f"redis://:{_SECRET}#@host", "?"),
    ],
)
def test_place(url: str, expected: str) -> None:
    """A place is a URL without user and password, also where the URL is broken."""
    assert place(url) == expected


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (AuthenticationError("WRONGPASS"), "refuses the login"),
        (ConnectionError("Connection closed."), "does not answer (Connection closed)"),
        (TimeoutError(), "does not answer (TimeoutError)"),
        (BusyLoadingError("loading"), "does not answer"),
        (ReadOnlyError("replica"), "does not answer"),
        (OSError(104, "reset\nby peer"), "does not answer"),
        (ResponseError("WRONGTYPE " + "x" * 999), "refuses the command"),
        (InvalidResponse("Protocol Error", b"secret"), "failed: InvalidResponse"),
        (DataError("what was sent"), "failed: DataError"),
        (RedisError("anything"), "failed: RedisError"),
    ],
)
def test_foreign_errors(error: Exception, says: str) -> None:
    """Every error of the Redis library, and of the network, becomes one of ours, in one short line."""
    with pytest.raises(ServiceUnavailable) as caught, redis_errors():
        raise error
    message = str(caught.value)
    assert says in message
    assert "\n" not in message
    assert len(message) < 300


def test_every_redis_error_is_known() -> None:
    """There is no exception of the Redis library that `redis_errors` lets through."""
    pending: list[type[Exception]] = [RedisError]
    seen = set[type[Exception]]()
    while pending:
        kind = pending.pop()
        seen.add(kind)
        pending += kind.__subclasses__()
    for kind in seen:
        with pytest.raises(ServiceUnavailable), redis_errors():
            raise kind.__new__(kind)
    assert {kind for kind in MISSING if kind is not OSError} <= seen


def test_own_errors_pass() -> None:
    """What is not of Redis passes as it is."""
    with pytest.raises(KeyError), redis_errors():
        raise KeyError("a")


async def test_client_does_not_connect() -> None:
    """A client is made without a connection; the first command makes one."""
    redis = client(f"redis://:{_SECRET}@127.0.0.1:1")
    assert _SECRET not in repr(redis_settings("redis://127.0.0.1:1"))
    await redis.aclose(close_connection_pool=True)
