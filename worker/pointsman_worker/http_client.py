"""One HTTP call to a vendor: a whole-call timeout, a size limit, and every foreign exception mapped here.

httpx over aiohttp's connections: httpx's own pool slows down past some fifty calls in flight. Requests go to
the transport directly, which leaves out what a client adds and no vendor call may have: redirects, cookies,
proxies from the environment, authentication flows.
"""

import asyncio
import ssl
import zlib
from collections.abc import AsyncIterator
from functools import lru_cache
from importlib.metadata import version
from typing import Final

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from pointsman_routes import Transient

from .providers.protocol import RawReply, WireRequest

DEFAULT_MAX_BYTES: Final = 16 * 1024 * 1024
"""Most bytes of an answer, decoded."""

_KEEPALIVE_S: Final = 4.0
"""Idle connections are given up early: a request written to one the vendor has just closed is lost, and
nobody can say whether it was billed. Node's servers and uvicorn, which vLLM and LiteLLM run on, close after 5 s."""
_CONNECT_S: Final = 10.0
_ONE_PIECE: Final = 256 * 1024
"""A longer request is written in pieces, or it would hold up the event loop; aiohttp warns of that."""
_OWN_HEADERS: Final = {"accept-encoding": "gzip", "user-agent": f"pointsman/{version('pointsman')}"}

FOREIGN: Final = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    aiohttp.ClientError,
    OSError,  # TimeoutError and ssl.SSLError are among them
    UnicodeError,  # a host name that cannot be encoded
    zlib.error,
)
"""What a call may raise that is not ours. CancelledError is not among them: it is nobody's failure."""

_NEVER_SENT: Final = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
    ConnectionRefusedError,
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.InvalidURL,
    httpx.LocalProtocolError,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    ssl.SSLCertVerificationError,
    UnicodeError,
)
"""The vendor cannot have seen the request, so it cannot have billed it."""


class _UnreadableBody(Exception):
    """The vendor's answer is too big or not decodable."""


def build_client(concurrency: int, *, tls: ssl.SSLContext | None = None) -> httpx.AsyncBaseTransport:
    """The connections to one or more vendors; an async context manager, closed with `aclose()`.

    Args:
        concurrency: most connections at once. A call above it waits for one, inside its own timeout.
        tls: certificates to trust; those of certifi when absent. Verification is always on.
    """
    context = tls or httpx.create_ssl_context(verify=True, trust_env=False)

    def open_session() -> aiohttp.ClientSession:
        # Called at the first request: a session belongs to the loop that runs then.
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=concurrency, keepalive_timeout=_KEEPALIVE_S, ssl=context),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )

    return AiohttpTransport(verify=context, trust_env=False, client=open_session)


async def call(
    client: httpx.AsyncBaseTransport, request: WireRequest, timeout_s: float, max_bytes: int = DEFAULT_MAX_BYTES
) -> RawReply | Transient:
    """Send a request and read the whole answer.

    Args:
        client: from `build_client`.
        request: what to send; always a POST.
        timeout_s: for the whole call, connecting and reading included, so a slow drip is cut too. Connecting
            alone gets at most half of it, and at most 10 s.
        max_bytes: most bytes of the decoded answer; one byte more ends the call.

    Returns:
        The answer, whatever its status; or Transient. After the request may have reached the vendor a broken
        call counts as billed: nobody can say that it was not.
    """
    try:
        async with asyncio.timeout(timeout_s):
            return await _exchange(client, request, timeout_s, max_bytes)
    except _UnreadableBody as problem:
        return Transient(detail=str(problem), may_be_billed=True)
    except FOREIGN as error:
        return as_transient(error)


def as_transient(error: Exception) -> Transient:
    """Map a foreign exception.

    The transport names aiohttp's exceptions anew, and not always well: a connection the vendor closed in the
    middle of a call becomes `httpx.ConnectTimeout`. So the original decides where there is one. Messages of
    failures while connecting are kept, since they name the host and the reason; others may quote the answer.
    """
    origin = error.__cause__ if isinstance(error.__cause__, aiohttp.ClientError) else error
    never_sent = isinstance(origin, _NEVER_SENT)
    detail = type(origin).__name__
    if never_sent and str(origin):
        detail = f"{detail}: {' '.join(str(origin).split())}"
    elif type(origin) is TimeoutError:
        detail = "no complete answer within the tier's timeout"
    return Transient(detail=detail[:300], may_be_billed=not never_sent)


async def _exchange(
    client: httpx.AsyncBaseTransport, request: WireRequest, timeout_s: float, max_bytes: int
) -> RawReply:
    connect_s = min(_CONNECT_S, timeout_s / 2)
    response = await client.handle_async_request(
        httpx.Request(
            "POST",
            _url(request.url),
            headers={**_OWN_HEADERS, **request.headers, "content-length": str(len(request.body))},
            content=request.body if len(request.body) <= _ONE_PIECE else _pieces(request.body),
            extensions={"timeout": {"connect": connect_s, "read": None, "write": None, "pool": None}},
        )
    )
    try:
        body = await _read_body(response, max_bytes)
    finally:
        # With the body unread this closes the connection: it is of no use to the next call.
        await response.aclose()
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers.raw}
    return RawReply(status=response.status_code, headers=headers, body=body)


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), _ONE_PIECE):
        yield body[start : start + _ONE_PIECE]


async def _read_body(response: httpx.Response, max_bytes: int) -> bytes:
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip"):
        raise _UnreadableBody("the answer has a content-encoding that was not asked for")
    # Not httpx's decoders: they undo several layers at once, each growing a thousandfold before anyone counts.
    inflate = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS) if encoding == "gzip" else None
    parts: list[bytes] = []
    room = max_bytes
    async for chunk in response.aiter_raw():
        part = inflate.decompress(chunk, room + 1) if inflate is not None else chunk
        room -= len(part)
        if room < 0:
            raise _UnreadableBody(f"the answer is longer than {max_bytes} bytes")
        parts.append(part)
    if inflate is not None and (not inflate.eof or inflate.unused_data):
        raise _UnreadableBody("the compressed answer does not end where it should")
    return b"".join(parts)


@lru_cache(maxsize=64)
def _url(text: str) -> httpx.URL:
    # Parsing a URL costs more than sending it; a provider has one.
    return httpx.URL(text)
