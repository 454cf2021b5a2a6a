"""Sixty-four keys at vendors of every kind, through every failure: none is anywhere but where it was put."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any, ClassVar

import pytest
import redis
from acceptance_line import Line

from pointsman_routes import ProviderKind

pytestmark = pytest.mark.acceptance

_KEYS = 64
_CANARY = re.compile(r"canary-[0-9a-f]{24}")
_MARKER = re.compile(rb"\[\[([a-z0-9]+)\]\]")
_KINDS = list(ProviderKind)
_STATUSES = (400, 404, 408, 409, 413, 418, 422, 424, 429, 498, 500, 502, 503, 504, 524, 529)
_SHAPES = ("finish", "inside", "text", "half", "redirect", "cut", "empty", "refused", "fine")
_CLOSING = ("401", "402", "403", "model")
"""Ways that close a tier, so a job of the second batch meets one of them."""


def _canary(number: int) -> str:
    """A key like none other: its middle is nowhere else."""
    return f"canary-{(number + 1) * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**96:024x}"


class _Parrot(BaseHTTPRequestHandler):
    """A vendor of every kind that repeats the caller's key wherever it can: in texts, codes, names, header values."""

    protocol_version = "HTTP/1.1"
    throttled: ClassVar[set[str]] = set()
    seen: ClassVar[dict[str, set[str]]] = {}
    lock: ClassVar[Lock] = Lock()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        key = _CANARY.search(" ".join(self.headers.values()))
        way = _MARKER.search(body)
        assert key is not None
        assert way is not None
        with self.lock:
            self.seen.setdefault(way[1].decode(), set()).add(key[0])
        self._behave(way[1].decode(), key[0], body)

    def _behave(self, way: str, key: str, body: bytes) -> None:
        if way.isdigit():
            with self.lock:
                again = f"{way} {key}" in self.throttled
                if way in ("429", "498"):
                    self.throttled.add(f"{way} {key}")
            self._send(400 if again else int(way), key, _error(key))
        elif way == "redirect":
            self._send(307, key, _error(key), location=f"http://127.0.0.1:9/{key}")
        elif way == "cut":
            self._send(200, key, _answer(key, way, body), cut=True)
        elif way == "text":
            self._send(200, key, f"<html>{key}</html>")
        elif way == "half":
            self._send(200, key, json.dumps(_answer(key, way, body))[:-40])
        elif way == "inside":
            self._send(200, key, _error(key))
        else:
            self._send(200, key, _answer(key, way, body))

    def _send(self, status: int, key: str, shape: object, *, cut: bool = False, location: str = "") -> None:
        payload = (shape if isinstance(shape, str) else json.dumps(shape)).encode()
        self.send_response(status)
        names = ("x-request-id", "request-id", "x-amzn-requestid", "apim-request-id", "x-ms-region", "x-amzn-errortype")
        for name in (*names, "retry-after", "x-ratelimit-remaining-requests", "anthropic-ratelimit-tokens-reset"):
            if name != "x-ms-region" or status != 200:
                self.send_header(name, key)
        if location:
            self.send_header("location", location)
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload[: len(payload) // 2] if cut else payload)
        if cut:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _error(key: str) -> dict[str, Any]:
    detail = {"@type": f"type.googleapis.com/{key}", "reason": key, "retryDelay": key}
    error = {"message": f"this is what {key} asked for", "type": f"bad-{key}", "code": key, "status": key}
    return {"type": "error", "error": {**error, "details": [detail], "metadata": {"raw": key}}, "message": key}


def _answer(key: str, way: str, body: bytes) -> dict[str, Any]:
    """An answer in every vendor's form at once, with the key wherever a name may stand."""
    model = key if way == "model" else json.loads(body).get("model", "m")
    said = {"empty": "", "refused": ""}.get(way, "nothing to see")
    finish = key if way == "finish" else "stop"
    refusal = f"I must not say {key}" if way == "refused" else None
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "input_tokens": 1, "output_tokens": 1, "service_tier": key}
    reasons = {"stop": ("end_turn", "STOP", "stop")}.get(finish, (finish, finish, finish))
    return {
        "id": key,
        "model": model,
        "modelVersion": model,
        "responseId": key,
        "provider": key,
        "service_tier": key,
        "choices": [{"index": 0, "finish_reason": finish, "message": {"content": said, "refusal": refusal}}],
        "content": [{"type": "text", "text": said}],
        "stop_reason": "refusal" if refusal else reasons[0],
        "candidates": [{"content": {"parts": [{"text": said}]}, "finishReason": "SAFETY" if refusal else reasons[1]}],
        "message": {"role": "assistant", "content": said},
        "done": True,
        "done_reason": reasons[2],
        "output": {"message": {"role": "assistant", "content": [{"text": said}]}},
        "stopReason": "content_filtered" if refusal else reasons[0],
        "usage": {**usage, "inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2},
        "prompt_eval_count": 1,
        "eval_count": 1,
    }


@contextmanager
def _parrot() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Parrot) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def _configuration(url: str) -> str:
    sections = []
    for number in range(_KEYS):
        kind = _KINDS[number % len(_KINDS)]
        source = f'env = "CANARY_{number}"' if number % 2 else f'file = "keys/{number}"'
        vertex = kind is ProviderKind.GOOGLE and number >= len(_KINDS)
        sections.append(
            f'[providers.p{number}]\nkind = "{kind.value}"\nowner = "tests@example.com"\nbase_url = "{url}"\n'
            f"api_key = {{ {source} }}\n"
            + ('project = "p"\nlocation = "eu"\n' if vertex else "")
            + f'[providers.p{number}.tiers.t]\nmodel = "m"\ntimeout = "10s"\nprice = {{ input = 1, output = 1 }}\n'
            "breaker = { least_calls = 1000 }\n"
            f'[classes.c{number}]\nroute = ["p{number}/t"]\nmax_attempts = 1\non_exhausted = "fail"\ndeadline = "90s"\n'
        )
    return "\n".join(sections)


def _jobs(number: int, ways: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    for way in ways:
        asked = {"messages": [{"role": "user", "content": f"What is [[{way}]]?"}], "max_tokens": 16}
        yield {"custom_id": f"{number}-{way}", "class": f"c{number}", **asked}


def _everything_in_redis(url: str) -> Iterator[bytes]:
    with redis.Redis.from_url(url) as client:
        for key in client.scan_iter(count=1000):
            yield key
            yield client.dump(key) or b""


def test_no_key_anywhere(tmp_path: Path, redis_binary: Path) -> None:
    """After every failure at vendors of every kind no key is in any output, log, record, result, Redis or file.

    Vendors repeat the key in everything they send but the answer itself, which is theirs to write.
    """
    with _parrot() as url, Line.laid(tmp_path, (), redis=redis_binary, durable=True) as line:
        (tmp_path / "pointsman.toml").write_text(_configuration(url), encoding="utf-8")
        folder = tmp_path / "keys"
        folder.mkdir()
        for number in range(_KEYS):
            line.environment[f"CANARY_{number}"] = _canary(number)
            (folder / str(number)).write_text(_canary(number) + "\n", encoding="utf-8")
        line.recorder()
        line.at_work(line.start("--verbose", "worker", *(f"p{number}/t" for number in range(_KEYS))))
        ways = (*map(str, _STATUSES), *_SHAPES)
        jobs = [job for number in range(_KEYS) for job in _jobs(number, ways)]
        results = line.ask(jobs, batch="failures", expect=1)
        last = [job for number in range(_KEYS) for job in _jobs(number, (_CLOSING[number % len(_CLOSING)],))]
        results += line.ask(last, batch="closings", expect=1)
        every = {_canary(number): _KINDS[number % len(_KINDS)].value for number in range(_KEYS)}
        missed = {way: {every[key] for key in every.keys() - _Parrot.seen.get(way, set())} for way in ways}
        assert {way: kinds for way, kinds in missed.items() if kinds} == {}
        assert set(_CLOSING) <= set(_Parrot.seen)
        attempts = line.audit("--kind", "attempt")
        assert {entry["outcome"] for entry in attempts} >= {
            "ok", "empty", "refused", "throttled", "overloaded", "transient", "exhausted", "unauthorized",
            "unsupported", "invalid", "misrouted",
        }  # fmt: skip
        told = [
            line.run("status"),
            line.run("status", "--json"),
            line.run("routes", "show", "--json"),
            line.run("routes", "check"),
            *(line.run("audit", "show", result["id"]) for result in results[:: len(results) // 8]),
        ]
        shown = [json.dumps(results), json.dumps(attempts), *(done.out + done.err for done in told)]
        files = [*tmp_path.rglob("*"), *line.redis.folder.rglob("*")]
        kept = [path.read_bytes() for path in files if path.is_file() and path.parent != folder]
        places = b"\n".join([*kept, *(text.encode() for text in shown), *_everything_in_redis(line.redis.url)])
        middles = {_canary(number)[10:26].encode() for number in range(_KEYS)}
        assert len(middles) == _KEYS
        assert [middle for middle in middles if middle in places] == []
        assert b"attempt_finished" in places, "the append-only file was looked into"
