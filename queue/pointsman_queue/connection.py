"""Connecting to Redis, and Redis's exceptions as ours."""

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import cast
from urllib.parse import urlsplit

from arq import ArqRedis
from arq.connections import RedisSettings
from redis.asyncio import BlockingConnectionPool
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,
)

from pointsman_routes import ServiceUnavailable

from .envelope import from_json, to_json
from .packing import pack_fast

MISSING = (ConnectionError, TimeoutError, BusyLoadingError, ReadOnlyError, OSError)
"""What says that Redis is away for now and may come back."""
_ANSWER_S = 10.0
"""Longest wait for the first answer: something else may listen there, and say nothing for ever."""


async def connect(url: str, *, connections: int = 16) -> ArqRedis:
    """Connect and make sure that Redis answers.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        connections: most connections open at once; more callers wait for one.

    Raises:
        ServiceUnavailable: it does not answer, or will not let us in.
    """
    redis = client(url, connections=connections)
    try:
        with redis_errors(url):
            async with asyncio.timeout(_ANSWER_S):
                await redis.ping()
    except ServiceUnavailable:
        await redis.aclose(close_connection_pool=True)
        raise
    return redis


def client(url: str, *, connections: int = 16) -> ArqRedis:
    """A client that connects when it is first used.

    Raises:
        ServiceUnavailable: the URL is none of Redis. The message does not repeat it: a password with a character
            that has a meaning in URLs is taken for the address, and would be shown.
    """
    try:
        pool = BlockingConnectionPool.from_url(
            url, max_connections=connections, timeout=30, socket_connect_timeout=5, health_check_interval=30
        )
        pack_fast(pool)
        pool.connection_class(**pool.connection_kwargs)  # connects nowhere, but knows every option of the URL
    except (ValueError, TypeError):
        raise ServiceUnavailable(
            "the Redis URL cannot be read; write redis://, rediss:// or unix://, "
            "and in user and password %40 for @, %3A for :, %2F for /, %23 for # and %3F for ?"
        ) from None
    return ArqRedis(pool_or_conn=pool, job_serializer=to_json, job_deserializer=from_json)


def redis_settings(url: str) -> RedisSettings:
    """The same address as arq's settings."""
    return RedisSettings.from_dsn(url)


@contextmanager
def redis_errors(url: str | None = None) -> Iterator[None]:
    """Turn what redis-py raises into `ServiceUnavailable`. Passwords never reach the message."""
    where = f" at {place(url)}" if url else ""
    try:
        yield
    except MISSING as error:
        reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
        # On a Unix socket a refused login comes wrapped, as the reason why there is no connection.
        if isinstance(error, AuthenticationError) or isinstance(error.__cause__, AuthenticationError):
            raise ServiceUnavailable(f"Redis{where} refuses the login: {reason}; check user and password") from None
        raise ServiceUnavailable(
            f"Redis{where} does not answer ({reason}); start it, or run `pointsman up`, or set POINTSMAN_REDIS_URL"
        ) from None
    except ResponseError as error:
        raise ServiceUnavailable(f"Redis{where} refuses the command: {str(error)[:200]}") from None
    except RedisError as error:
        raise ServiceUnavailable(f"Redis{where} failed: {type(error).__name__}") from None


def place(url: str) -> str:
    """A URL without user and password."""
    try:
        parts = urlsplit(url)
        port = parts.port or 6379
    except ValueError:
        return "?"
    return parts.path if parts.scheme == "unix" else f"{parts.hostname or '?'}:{port}"


async def read_hash(redis: ArqRedis, key: str) -> dict[str, str]:
    """A hash as text; empty when there is none."""
    with redis_errors():
        # redis-py types one method for its blocking and its asynchronous client.
        raw = await cast("Awaitable[dict[bytes, bytes]]", redis.hgetall(key))
    return {name.decode(): value.decode() for name, value in raw.items()}
