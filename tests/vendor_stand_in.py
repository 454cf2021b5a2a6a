"""A vendor to test against: OpenAI's chat completions and Anthropic's messages over a real socket.

It keeps its own list of the calls it got, so a test can compare it with what Pointsman recorded, and
misbehaves on request, at run time, for one model or for all:

    async with StandInVendor() as vendor:
        vendor.mode = Mode(status=429, headers={"retry-after": "2"})

In a process of its own, for benchmarks and for tests that kill things:

    python tests/vendor_stand_in.py --port-file PORT [--port 0] [--latency 0.05]

    GET  /_calls     {"calls": [{"at", "model", "marker", "status"}], "peak_in_flight": 3}
    POST /_mode      the fields of `Mode`, plus "model" to mean one model only
    POST /_reset     forget calls and modes

It counts no quota. Fields and status codes follow the vendors' public API references.
"""

import argparse
import asyncio
import gzip
import json
import re
import signal
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self

from aiohttp import web

Behaviour = Literal[
    "ok",
    "blank",
    "broken_json",
    "cut",
    "drip",
    "empty",
    "error_inside",
    "giant",
    "gzip",
    "hang",
    "redirect",
    "refuse",
    "truncate",
    "wrong_model",
]

_MARKER = re.compile(r"\[\[(.+?)\]\]")
_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


@dataclass(frozen=True, kw_only=True)
class Mode:
    """How the next calls are answered."""

    behaviour: Behaviour = "ok"
    status: int = 200
    """Anything but 200 is answered with the vendor's error body."""
    code: str | None = None
    """OpenAI's `error.code`; Anthropic's `error.type`."""
    message: str = "scripted by the test"
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent along, such as `retry-after`."""
    latency_s: float = 0.0
    output_tokens: int = 5
    times: int | None = None
    """For so many calls, then well-behaved again; None is for good."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call as the vendor saw it."""

    at: float
    """Unix time of arrival."""
    model: str
    marker: str | None
    """What stood between [[ and ]] in the last message."""
    status: int
    body: dict[str, Any] = field(repr=False)
    headers: dict[str, str] = field(repr=False)


class StandInVendor:
    """The vendor, on a loopback port; an async context manager."""

    def __init__(self, *, port: int = 0, mode: Mode | None = None) -> None:
        self.port = port
        self.mode = mode or Mode()
        self.modes: dict[str, Mode] = {}
        """By model; takes precedence over `mode`."""
        self.calls: list[Call] = []
        self.in_flight = 0
        self.peak_in_flight = 0
        self._runner: web.ServerRunner | None = None

    @property
    def root(self) -> str:
        """What an Anthropic provider has as base_url."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """What an OpenAI provider has as base_url."""
        return f"{self.root}/v1"

    async def __aenter__(self) -> Self:
        # The low-level server: no router, no middleware. It has to be faster than what it measures.
        runner = web.ServerRunner(web.Server(self._answer, access_log=None), shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port, backlog=1024)
        await site.start()
        self._runner = runner
        self.port = int(runner.addresses[0][1])
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path.startswith("/_"):
            return await self._admin(request)
        if request.path.endswith("/chat/completions"):
            anthropic = False
        elif request.path.endswith("/messages"):
            anthropic = True
        else:
            return web.json_response({"error": {"message": "no such path"}}, status=404)
        arrived = time.time()
        body = json.loads(await request.read())
        mode = self._take_mode(body["model"])
        self.calls.append(
            Call(
                at=arrived,
                model=body["model"],
                marker=_marker(body),
                status=307 if mode.behaviour == "redirect" else mode.status,
                body=body,
                headers={name.lower(): value for name, value in request.headers.items()},
            )
        )
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        try:
            if mode.latency_s:
                await asyncio.sleep(mode.latency_s)
            return await self._respond(request, body, mode, anthropic=anthropic)
        finally:
            self.in_flight -= 1

    def _take_mode(self, model: str) -> Mode:
        mode = self.modes.get(model, self.mode)
        if mode.times is None:
            return mode
        left = replace(mode, times=mode.times - 1) if mode.times > 1 else None
        if model in self.modes:
            if left is None:
                del self.modes[model]
            else:
                self.modes[model] = left
        else:
            self.mode = left or Mode()
        return mode

    async def _respond(
        self, request: web.BaseRequest, body: dict[str, Any], mode: Mode, *, anthropic: bool
    ) -> web.StreamResponse:
        if mode.behaviour == "hang":
            await asyncio.Event().wait()
        if mode.behaviour == "redirect":
            return web.Response(status=307, headers={"location": f"{self.root}{request.path}"})
        shape = (_anthropic_error if anthropic else _openai_error)(mode)
        if mode.status == 200 and mode.behaviour != "error_inside":
            shape = (_anthropic_answer if anthropic else _openai_answer)(body, mode)
        payload = json.dumps(shape).encode()
        headers = {
            "content-type": "application/json",
            "request-id" if anthropic else "x-request-id": f"req_{len(self.calls)}",
            **mode.headers,
        }
        if mode.behaviour == "giant":
            return await _giant(request, headers)
        if mode.behaviour in ("cut", "drip"):
            return await _drip(request, payload, headers, forever=mode.behaviour == "drip")
        if mode.behaviour == "broken_json":
            payload = payload[: len(payload) // 2]
        if mode.behaviour == "gzip":
            payload, headers = gzip.compress(payload), headers | {"content-encoding": "gzip"}
        return web.Response(status=mode.status, body=payload, headers=headers)

    async def _admin(self, request: web.BaseRequest) -> web.Response:
        if request.path == "/_calls":
            calls = [{name: getattr(call, name) for name in ("at", "model", "marker", "status")} for call in self.calls]
            return web.json_response({"calls": calls, "peak_in_flight": self.peak_in_flight})
        if request.path == "/_mode":
            fields = json.loads(await request.read())
            model = fields.pop("model", None)
            mode = Mode(**fields)
            if model is None:
                self.mode = mode
            else:
                self.modes[model] = mode
            return web.json_response(asdict(mode))
        if request.path == "/_reset":
            self.mode, self.peak_in_flight = Mode(), 0
            self.modes.clear()
            self.calls.clear()
            return web.json_response({})
        return web.json_response({"error": "no such path"}, status=404)


def _text_of(message: Mapping[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def _marker(body: Mapping[str, Any]) -> str | None:
    found = _MARKER.search(_text_of(body["messages"][-1]))
    return found[1] if found else None


def _said(body: Mapping[str, Any], mode: Mode) -> str:
    if mode.behaviour in ("empty", "blank"):
        return "" if mode.behaviour == "empty" else "\u200b \n"
    return f"answer to {_marker(body) or 'you'}"


def _input_tokens(body: Mapping[str, Any]) -> int:
    return sum(len(_text_of(message)) // 4 + 1 for message in body["messages"])


def _served(body: Mapping[str, Any], mode: Mode) -> str:
    return "someone-else" if mode.behaviour == "wrong_model" else str(body["model"])


def _openai_answer(body: Mapping[str, Any], mode: Mode) -> dict[str, Any]:
    message = {"role": "assistant", "content": _said(body, mode), "refusal": None}
    if mode.behaviour == "refuse":
        message = {"role": "assistant", "content": None, "refusal": "I'm sorry, I can't help with that."}
    prompt = _input_tokens(body)
    return {
        "id": "chatcmpl-stand-in",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": _served(body, mode),
        "choices": [
            {"index": 0, "message": message, "finish_reason": "length" if mode.behaviour == "truncate" else "stop"}
        ],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": mode.output_tokens,
            "total_tokens": prompt + mode.output_tokens,
            "prompt_tokens_details": {"cached_tokens": 0},
        },
    }


def _anthropic_answer(body: Mapping[str, Any], mode: Mode) -> dict[str, Any]:
    reasons = {"truncate": "max_tokens", "refuse": "refusal"}
    said = "" if mode.behaviour == "refuse" else _said(body, mode)
    return {
        "id": "msg_stand_in",
        "type": "message",
        "role": "assistant",
        "model": _served(body, mode),
        "content": [{"type": "text", "text": said}] if said else [],
        "stop_reason": reasons.get(mode.behaviour, "end_turn"),
        "stop_sequence": None,
        "usage": {
            "input_tokens": _input_tokens(body),
            "output_tokens": mode.output_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
        },
    }


def _openai_error(mode: Mode) -> dict[str, Any]:
    code = mode.code or {429: "rate_limit_exceeded", 401: "invalid_api_key"}.get(mode.status)
    kind = "server_error" if mode.status >= 500 or mode.status == 200 else "invalid_request_error"
    return {"error": {"message": mode.message, "type": kind, "param": None, "code": code}}


def _anthropic_error(mode: Mode) -> dict[str, Any]:
    kind = mode.code or _ERROR_TYPES.get(mode.status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": mode.message}, "request_id": "req_stand_in"}


async def _drip(
    request: web.BaseRequest, payload: bytes, headers: Mapping[str, str], *, forever: bool
) -> web.StreamResponse:
    """Half of the body, then the line goes dead; or white space without end, so every read is in time."""
    response = web.StreamResponse(headers=headers)
    if not forever:
        response.content_length = len(payload)
    await response.prepare(request)
    if forever:
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.01)
    await response.write(payload[: len(payload) // 2])
    if request.transport is not None:
        request.transport.abort()
    return response


async def _giant(request: web.BaseRequest, headers: Mapping[str, str]) -> web.StreamResponse:
    """A gigabyte, unless whoever asked hangs up before."""
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    await response.write(b'{"model": "')
    for _ in range(1024):
        await response.write(b"x" * 1024 * 1024)
    return response


async def _serve(port: int, port_file: Path, latency_s: float) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with StandInVendor(port=port, mode=Mode(latency_s=latency_s)) as vendor:
        # Renamed into place: whoever waits for the file never reads half a number.
        draft = port_file.with_suffix(".tmp")
        draft.write_text(str(vendor.port), encoding="ascii")
        draft.replace(port_file)
        await stop.wait()


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description="a vendor to test against")
    parser.add_argument("--port-file", type=Path, required=True, help="where to write the port, once it listens")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before every answer")
    args = parser.parse_args()
    asyncio.run(_serve(args.port, args.port_file, args.latency))


if __name__ == "__main__":
    main()
