"""Every foreign exception a call may raise becomes Transient, billed or not by what the vendor can have seen."""

import ssl
import zlib

import aiohttp
import httpx
import pytest
from aiohttp.client_reqrep import ConnectionKey

from pointsman_routes import Transient
from pointsman_worker.http_client import FOREIGN, as_transient, call
from pointsman_worker.providers import WireRequest

KEY = ConnectionKey("host", 443, True, True, None, None, None)
OS_ERROR = OSError(111, "refused")
CERTIFICATE_ERROR = ssl.SSLCertVerificationError(1, "self-signed")

MAY_BE_BILLED: list[tuple[Exception, bool]] = [
    (httpx.CloseError("x"), True),
    (httpx.ConnectError("x"), False),
    (httpx.ConnectTimeout("x"), False),
    (httpx.DecodingError("x"), True),
    (httpx.InvalidURL("x"), False),
    (httpx.LocalProtocolError("x"), False),
    (httpx.NetworkError("x"), True),
    (httpx.PoolTimeout("x"), False),
    (httpx.ProtocolError("x"), True),
    (httpx.ProxyError("x"), False),
    (httpx.ReadError("x"), True),
    (httpx.ReadTimeout("x"), True),
    (httpx.RemoteProtocolError("x"), True),
    (httpx.StreamClosed(), True),
    (httpx.TimeoutException("x"), True),
    (httpx.TransportError("x"), True),
    (httpx.UnsupportedProtocol("x"), False),
    (httpx.WriteError("x"), True),
    (httpx.WriteTimeout("x"), True),
    (aiohttp.ClientConnectionError("x"), True),
    (aiohttp.ClientConnectionResetError("x"), True),
    (aiohttp.ClientConnectorCertificateError(KEY, CERTIFICATE_ERROR), False),
    (aiohttp.ClientConnectorDNSError(KEY, OS_ERROR), False),
    (aiohttp.ClientConnectorError(KEY, OS_ERROR), False),
    (aiohttp.ClientConnectorSSLError(KEY, OS_ERROR), False),
    (aiohttp.ClientOSError(104, "reset"), True),
    (aiohttp.ClientPayloadError("x"), True),
    (aiohttp.ConnectionTimeoutError("x"), False),
    (aiohttp.InvalidURL("x"), False),
    (aiohttp.ServerDisconnectedError("x"), True),
    (aiohttp.ServerTimeoutError("x"), True),
    (aiohttp.SocketTimeoutError("x"), True),
    (BrokenPipeError(32, "x"), True),
    (ConnectionRefusedError(111, "x"), False),
    (ConnectionResetError(104, "x"), True),
    (OSError(5, "x"), True),
    (TimeoutError(), True),
    (CERTIFICATE_ERROR, False),
    (ssl.SSLError(1, "bad record"), True),
    (UnicodeError("label too long"), False),
    (zlib.error("x"), True),
]


class Failing(httpx.AsyncBaseTransport):
    """A transport that raises, as one over aiohttp does."""

    def __init__(self, error: Exception, cause: Exception | None = None) -> None:
        self._error, self._cause = error, cause

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise self._error from self._cause


def subclasses(of: type[BaseException]) -> set[type[BaseException]]:
    """A class and all below it."""
    return {of, *(deeper for child in of.__subclasses__() for deeper in subclasses(child))}


@pytest.mark.parametrize(("error", "billed"), MAY_BE_BILLED, ids=lambda value: type(value).__name__)
async def test_each_exception_ends_in_an_outcome(error: Exception, billed: bool) -> None:
    """Nothing foreign leaves a call; what the vendor cannot have seen is free."""
    request = WireRequest(url="http://localhost/", headers={}, body=b"")
    outcome = await call(Failing(error), request, 5)
    assert isinstance(outcome, Transient)
    assert outcome.may_be_billed is billed
    assert 0 < len(outcome.detail) <= 300


def test_the_table_has_every_exception_of_the_transport() -> None:
    """A new httpx version with a new exception makes this fail, not a worker."""
    listed = {type(error) for error, _ in MAY_BE_BILLED}
    assert {cls for cls in subclasses(httpx.TransportError) if cls.__module__ == "httpx"} <= listed


def test_what_aiohttp_raises_is_caught_whatever_it_is() -> None:
    """Aiohttp's own exceptions slip through the transport where it has no name for them."""
    assert all(issubclass(cls, FOREIGN) for cls in subclasses(aiohttp.ClientError))


async def test_the_original_decides_where_the_transport_misnames_it() -> None:
    """A server that hung up in the middle arrives as ConnectTimeout; it may have been billed all the same."""
    misnamed = Failing(httpx.ConnectTimeout("x"), aiohttp.ServerDisconnectedError())
    outcome = await call(misnamed, WireRequest(url="http://localhost/", headers={}, body=b""), 5)
    assert outcome == Transient(detail="ServerDisconnectedError", may_be_billed=True)


async def test_what_is_our_own_mistake_is_not_hidden() -> None:
    """A bug stays a bug: only foreign exceptions become outcomes."""
    with pytest.raises(ZeroDivisionError):
        await call(Failing(ZeroDivisionError()), WireRequest(url="http://localhost/", headers={}, body=b""), 5)


def test_a_detail_names_the_reason_while_connecting_and_quotes_nothing_later() -> None:
    """The reason a host cannot be reached helps the operator; what a broken answer says may be anything."""
    assert "refused" in as_transient(aiohttp.ClientConnectorError(KEY, OS_ERROR)).detail
    assert as_transient(aiohttp.ClientPayloadError("a private matter")).detail == "ClientPayloadError"
    assert as_transient(httpx.ConnectError("line\nline")).detail == "ConnectError: line line"
