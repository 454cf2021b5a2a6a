"""One HTTP call over loopback, against servers that misbehave in every way a test can write down."""

import asyncio
import gzip
import shutil
import socket
import ssl
import subprocess
import time
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from scripted_server import Script, Server, answers, ok, serving

from pointsman_routes import Transient
from pointsman_worker.http_client import build_client, call
from pointsman_worker.providers import RawReply, WireRequest


def request(url: str, body: bytes = b"{}") -> WireRequest:
    """A request as a codec builds it."""
    return WireRequest(url=url, headers={"content-type": "application/json", "x-api-key": "sk-secret"}, body=body)


async def exchange(url: str, timeout_s: float = 5.0, max_bytes: int = 1 << 20) -> RawReply | Transient:
    """One call with a client of its own."""
    async with build_client(4) as client:
        return await call(client, request(url), timeout_s, max_bytes)


async def broken(url: str, timeout_s: float = 5.0, max_bytes: int = 1 << 20) -> Transient:
    """One call that must not succeed, and must take no longer than it may."""
    started = time.monotonic()
    reply = await exchange(url, timeout_s, max_bytes)
    assert time.monotonic() - started < timeout_s + 2
    assert isinstance(reply, Transient), reply
    assert "sk-secret" not in reply.detail
    return reply


async def test_a_call_is_one_post_with_our_headers() -> None:
    """The vendor sees the codec's headers, who we are, and what encoding we read; nothing of the environment."""
    async with serving(answers(ok(b"hello", b"X-Request-ID: r1", b"x-twice: a", b"x-twice: b"), b"hello")) as server:
        reply = await exchange(server.url)
    assert isinstance(reply, RawReply)
    assert (reply.status, reply.body) == (200, b"hello")
    assert reply.headers["x-request-id"] == "r1"
    assert reply.headers["x-twice"] == "b"
    head = server.requests[0].lower()
    assert head.startswith(b"post /v1/x http/1.1\r\n")
    for line in (b"content-type: application/json", b"x-api-key: sk-secret", b"accept-encoding: gzip"):
        assert b"\r\n" + line + b"\r\n" in head
    assert b"\r\nuser-agent: pointsman/" in head
    assert b"\r\ncontent-length: 2\r\n" in head
    assert b"hello" not in repr(reply).encode()


@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
async def test_an_error_status_is_a_reply(status: int) -> None:
    """What a status means is the codec's to say."""
    head = b"HTTP/1.1 %d X\r\ncontent-length: 2\r\nretry-after: 7\r\n" % status
    async with serving(answers(head, b"no")) as server:
        reply = await exchange(server.url)
    assert isinstance(reply, RawReply)
    assert (reply.status, reply.body, reply.headers["retry-after"]) == (status, b"no", "7")


async def test_a_redirect_is_not_followed() -> None:
    """A redirect would carry the prompt and the key to whoever it names."""
    async with serving(answers(b"HTTP/1.1 307 X\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n")) as server:
        reply = await exchange(server.url)
        assert isinstance(reply, RawReply)
        assert reply.status == 307
        assert server.connections == 1


async def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prompts go where the configuration says, whatever variables the process inherited."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    async with serving(answers(ok(b"hi"), b"hi")) as server:
        assert isinstance(await exchange(server.url), RawReply)


async def test_cookies_are_not_kept_and_connections_are() -> None:
    """Two calls share a connection and nothing else."""
    async with serving(answers(ok(b"hi", b"set-cookie: a=b; Path=/"), b"hi", close=False)) as server:
        url = server.url.replace("127.0.0.1", "localhost")  # no cookie jar takes cookies from an address
        async with build_client(4) as client:
            for _ in range(2):
                assert isinstance(await call(client, request(url), 5), RawReply)
    assert len(server.requests) == 2
    assert server.connections == 1
    assert b"cookie" not in server.requests[1].lower()


async def test_no_more_connections_than_the_client_may_have() -> None:
    """Calls above the limit wait their turn."""
    release = asyncio.Event()
    two_there = asyncio.Event()

    def script(server: Server) -> Script:
        async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                await server.read_request(reader)
                if len(server.requests) == 2:
                    two_there.set()
                await release.wait()
                writer.write(ok(b"hi") + b"\r\nhi")
                await writer.drain()

        return run

    async with serving(script) as server, build_client(2) as client:
        calls = [asyncio.create_task(call(client, request(server.url), 10)) for _ in range(6)]
        await asyncio.wait_for(two_there.wait(), 5)
        assert server.connections == 2
        release.set()
        assert all(isinstance(reply, RawReply) for reply in await asyncio.gather(*calls))
        assert server.connections == 2


def hangs(server: Server) -> Script:
    """Read the request and never answer."""

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.read_request(reader)
        await reader.read()

    return run


def drips(server: Server) -> Script:
    """Send a byte now and then, without end."""

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    return run


@pytest.mark.parametrize("script", [hangs, drips])
async def test_the_timeout_is_for_the_whole_call(script: Callable[[Server], Script]) -> None:
    """A hang and a drip are both cut; the vendor has the request, so it may be billed."""
    async with serving(script) as server:
        outcome = await broken(server.url, timeout_s=0.3)
    assert outcome == Transient(detail="no complete answer within the tier's timeout", may_be_billed=True)


async def test_cancelling_a_call_cancels_it_and_hangs_up() -> None:
    """Cancellation is nobody's failure: it goes through, and the vendor sees the connection end."""
    asked, gone = asyncio.Event(), asyncio.Event()

    def script(server: Server) -> Script:
        async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await server.read_request(reader)
            asked.set()
            await reader.read()
            gone.set()

        return run

    async with serving(script) as server, build_client(2) as client:
        task = asyncio.create_task(call(client, request(server.url), 30))
        await asyncio.wait_for(asked.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(gone.wait(), 5)


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"", b""),
        (b"HTTP/1.1 200", b""),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n", b"only this"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n", b"5\r\nhello\r\n"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n", b"zz\r\nhello\r\n"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nx-long: " + b"a" * 100_000 + b"\r\n", b""),
        (ok(b"not gzip", b"content-encoding: gzip"), b"not gzip"),
        (ok(gzip.compress(b"hello")[:-8], b"content-encoding: gzip"), gzip.compress(b"hello")[:-8]),
        (ok(gzip.compress(b"hello") + b"more", b"content-encoding: gzip"), gzip.compress(b"hello") + b"more"),
        (ok(b"", b"content-encoding: gzip"), b""),
        (ok(zlib.compress(b"hello"), b"content-encoding: deflate"), zlib.compress(b"hello")),
        (ok(b"hello", b"content-encoding: gzip, gzip"), b"hello"),
        (ok(b"hello", b"content-encoding: br"), b"hello"),
    ],
)
async def test_an_answer_that_is_cut_or_garbled_is_transient_and_may_be_billed(head: bytes, body: bytes) -> None:
    """The vendor had the request, so it may be billed, and half an answer is none."""
    async with serving(answers(head, body)) as server:
        assert (await broken(server.url)).may_be_billed


async def test_a_compressed_answer_is_read() -> None:
    """Gzip is asked for and undone."""
    body = gzip.compress(b"hello" * 1000)
    async with serving(answers(ok(body, b"content-encoding: GZIP"), body)) as server:
        reply = await exchange(server.url)
    assert isinstance(reply, RawReply)
    assert reply.body == b"hello" * 1000


async def test_the_limit_is_exact() -> None:
    """So many bytes pass, one more does not."""
    async with serving(answers(ok(b"12345"), b"12345")) as server:
        assert isinstance(await exchange(server.url, max_bytes=5), RawReply)
        assert await broken(server.url, max_bytes=4) == Transient(
            detail="the answer is longer than 4 bytes", may_be_billed=True
        )


async def test_an_endless_answer_is_cut_at_the_limit() -> None:
    """The call ends and hangs up at the limit, long before its timeout and long before a gigabyte."""
    sent = 0
    gone = asyncio.Event()

    def script(server: Server) -> Script:
        async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal sent
            await server.read_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")
            try:
                while sent < 1_000_000_000:
                    writer.write(b"x" * 65536)
                    await writer.drain()
                    sent += 65536
            except ConnectionError:
                gone.set()

        return run

    async with serving(script) as server:
        outcome = await broken(server.url, timeout_s=20, max_bytes=1 << 20)
        await asyncio.wait_for(gone.wait(), 5)
    assert outcome.detail == "the answer is longer than 1048576 bytes"
    assert sent < 50_000_000


async def test_a_compressed_bomb_is_counted_as_it_grows() -> None:
    """The limit holds for what comes out: a small answer that grows to a gigabyte never does."""
    squeeze = zlib.compressobj(wbits=31)
    bomb = b"".join(squeeze.compress(b"\0" * 1_000_000) for _ in range(200)) + squeeze.flush()
    async with serving(answers(ok(bomb, b"content-encoding: gzip"), bomb)) as server:
        tracemalloc.start()
        outcome = await broken(server.url, max_bytes=1 << 20)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert outcome.detail == "the answer is longer than 1048576 bytes"
    assert peak < 8 << 20


async def test_a_large_request_arrives_whole() -> None:
    """A prompt of megabytes is sent in pieces, under one length."""
    async with serving(answers(ok(b"hi"), b"hi")) as server, build_client(2) as client:
        assert isinstance(await call(client, request(server.url, b"x" * (5 << 20)), 10), RawReply)
    assert b"content-length: 5242880\r\n" in server.requests[0].lower()
    assert b"transfer-encoding" not in server.requests[0].lower()


async def test_an_answer_before_the_request_was_read_is_taken() -> None:
    """A vendor may refuse a large request at its first bytes; the call does not wait to send the rest."""

    def script(server: Server) -> Script:
        async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 413 X\r\ncontent-length: 2\r\n\r\nno")
            await writer.drain()
            await stop.wait()

        return run

    stop = asyncio.Event()
    async with serving(script) as server, build_client(2) as client:
        reply = await call(client, request(server.url, b"x" * (64 << 20)), 10)
        stop.set()
    assert isinstance(reply, RawReply)
    assert reply.status == 413


async def test_a_closed_port_was_never_billed() -> None:
    """Nothing was sent: the failure is transient and free."""
    async with serving(hangs) as server:
        url = server.url
    outcome = await broken(url)
    assert not outcome.may_be_billed
    assert "127.0.0.1" in outcome.detail


async def test_a_connect_that_hangs_ends_before_the_call_does_and_was_never_billed() -> None:
    """A full backlog swallows connects; half of the timeout is enough to know that nothing was sent."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        outcome = await broken(f"http://127.0.0.1:{listener.getsockname()[1]}/", timeout_s=1.0)
    assert outcome.detail.startswith("ConnectionTimeoutError")
    assert not outcome.may_be_billed


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/", "http://", "nonsense", f"http://{'a' * 64}.example/", "http://[::1"]
)
async def test_a_url_nobody_can_call_was_never_billed(url: str) -> None:
    """A base_url that slipped through the configuration ends in an outcome too."""
    assert not (await broken(url)).may_be_billed


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate nobody vouches for, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    about = ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*make, *about, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


async def test_a_certificate_nobody_vouches_for_is_refused(certificate: tuple[Path, Path]) -> None:
    """Verification is on; the same certificate is accepted from who trusts it by name."""
    own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    own.load_cert_chain(*certificate)
    trusting = ssl.create_default_context(cafile=str(certificate[0]))
    async with serving(answers(ok(b"hi"), b"hi"), tls=own) as server:
        url = server.url.replace("http:", "https:")
        outcome = await broken(url)
        assert outcome.detail.startswith("ClientConnectorCertificateError")
        assert not outcome.may_be_billed
        async with build_client(1, tls=trusting) as client:
            assert isinstance(await call(client, request(url), 5), RawReply)
