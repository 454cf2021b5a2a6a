"""A server that writes whatever a test tells it to, byte by byte; for answers no well-behaved server can give."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """A server that does what a script says with each connection."""

    def __init__(self) -> None:
        self.port = 0
        self.connections = 0
        self.requests: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/x"

    async def read_request(self, reader: asyncio.StreamReader) -> bytes:
        """The head of the next request; its body is read and dropped."""
        head = await reader.readuntil(b"\r\n\r\n")
        self.requests.append(head)
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))
        return head


@asynccontextmanager
async def serving(script: Callable[[Server], Script], tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """Run a script for every connection until the block ends."""
    server = Server()
    running = script(server)
    writers: list[asyncio.StreamWriter] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        writers.append(writer)
        try:
            await running(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for writer in writers:
            writer.transport.abort()


def answers(head: bytes, body: bytes = b"", *, close: bool = True) -> Callable[[Server], Script]:
    """Answer every request of a connection with these bytes."""

    def script(server: Server) -> Script:
        async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                await server.read_request(reader)
                writer.write(head + b"\r\n" + body)
                await writer.drain()
                if close:
                    return

        return run

    return script


def ok(body: bytes, *headers: bytes) -> bytes:
    """The head of a 200 with the length of a body."""
    lines = (b"HTTP/1.1 200 OK", b"content-length: %d" % len(body), *headers, b"")
    return b"\r\n".join(lines)
