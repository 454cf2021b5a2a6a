"""Commands packed in C. redis-py's asynchronous client packs in Python, which costs a third of a bulk submission."""

from typing import Any

from hiredis import pack_command
from redis.asyncio import BlockingConnectionPool, Connection, SSLConnection, UnixDomainSocketConnection


class _Packing:
    """Packs with hiredis what redis-py would pack argument by argument."""

    def pack_command(self, *args: Any) -> list[bytes]:
        """A command as one piece; a name of two words, such as `CONFIG GET`, is two arguments to the server."""
        name = args[0] if isinstance(args[0], str) else args[0].decode()
        return [pack_command((*name.split(), *args[1:]))]


class _Plain(_Packing, Connection):
    """Over TCP."""


class _Tls(_Packing, SSLConnection):
    """Over TLS."""


class _Unix(_Packing, UnixDomainSocketConnection):
    """Over a Unix socket."""


_FAST: dict[type, type] = {Connection: _Plain, SSLConnection: _Tls, UnixDomainSocketConnection: _Unix}


def pack_fast(pool: BlockingConnectionPool) -> None:
    """Let a pool's connections pack in C; before any is made."""
    pool.connection_class = _FAST.get(pool.connection_class, pool.connection_class)
