"""Keys are nowhere but in the environment, even when a vendor repeats them in everything it sends."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import redis
from acceptance_line import Line
from acceptance_routes import BACKUP_KEY, PRIMARY_KEY, Route

pytestmark = pytest.mark.acceptance

_IN_FILE, _IN_ENVIRONMENT = "1f8e0c7a9b3d5e62", "7d2b4f6a8c0e1935"
"""The part of each key that must be nowhere: `alpha` has its key from a file, `beta` from the environment."""
_ONCE = {"max_attempts": 1, "on_exhausted": "fail"}
_ROUTES = tuple(Route(name=name, of_class=_ONCE) for name in ("refusing", "faulting", "pretending", "rambling"))


class _Parrot(BaseHTTPRequestHandler):
    """A vendor that repeats the caller's key wherever it can: in messages, codes, header values, names."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        key = (self.headers["authorization"] or "").removeprefix("Bearer ") or self.headers["x-api-key"]
        error = {"message": f"Incorrect API key provided: {key}.", "type": f"bad-{key}", "code": key}
        status = 401
        answer: dict[str, Any] = {"error": error}
        if body["model"].startswith("faulting"):
            status = 400
            error["message"] = f"The request that came with {key} is wrong."
        elif not body["model"].startswith("refusing"):
            message = {"role": "assistant", "content": "nothing to see"}
            pretending = body["model"].startswith("pretending")
            status = 200
            answer = {
                "id": key,
                "model": key if pretending else body["model"],
                "choices": [{"index": 0, "message": message, "finish_reason": "stop" if pretending else key}],
                "content": [{"type": "text", "text": "nothing to see"}],
                "stop_reason": "end_turn" if pretending else key,
                "usage": {"prompt_tokens": 1, "completion_tokens": 1, "input_tokens": 1, "output_tokens": 1},
            }
        payload = json.dumps(answer).encode()
        self.send_response(status)
        for name in ("x-request-id", "request-id", "retry-after"):
            self.send_header(name, key)
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def _parrot() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Parrot) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def _everything_in_redis(url: str) -> Iterator[bytes]:
    with redis.Redis.from_url(url) as client:
        for key in client.scan_iter(count=1000):
            yield key
            yield client.dump(key) or b""


def test_no_key_anywhere(tmp_path: Path, redis_binary: Path) -> None:
    """A key is in no output, log, Redis key or value, ledger, result or append-only file, whatever a vendor repeats."""
    with _parrot() as url, Line.laid(tmp_path, _ROUTES, redis=redis_binary, durable=True) as line:
        config = tmp_path / "pointsman.toml"
        text = config.read_text(encoding="utf-8").replace(line.vendor.url, url)
        config.write_text(text.replace(f'{{ env = "{PRIMARY_KEY}" }}', '{ file = "alpha.key" }'), encoding="utf-8")
        key_file = tmp_path / "alpha.key"
        key_file.write_text(f"canary-{_IN_FILE}\n", encoding="utf-8")
        line.environment[BACKUP_KEY] = f"canary-{_IN_ENVIRONMENT}"
        del line.environment[PRIMARY_KEY]
        line.recorder()
        for tiers in zip(*(route.tiers for route in _ROUTES), strict=True):
            line.at_work(line.start("--verbose", "worker", *tiers))
        jobs = [job for route in _ROUTES for job in route.jobs(3)]
        results = line.ask(jobs, batch="parrot", expect=1)
        attempts = line.audit("--kind", "attempt")
        assert {entry["outcome"] for entry in attempts} >= {"unauthorized", "invalid", "misrouted", "transient"}
        told = [
            line.run("status"),
            line.run("routes", "explain", _ROUTES[0].name),
            line.run("routes", "show", "--json"),
            line.run("jobs", "show", results[0]["id"]),
            line.run("audit", "show", results[0]["id"]),
        ]
        shown = [json.dumps(results), json.dumps(attempts), *(done.out + done.err for done in told)]
        files = [*tmp_path.rglob("*"), *line.redis.folder.rglob("*")]
        kept = [path.read_bytes() for path in files if path.is_file() and path != key_file]
        places = [*kept, *(text.encode() for text in shown), *_everything_in_redis(line.redis.url)]
        for secret in (_IN_FILE, _IN_ENVIRONMENT):
            assert [place for place in places if secret.encode() in place] == []
        assert any(b"attempt_finished" in place for place in kept), "the append-only file was looked into"
