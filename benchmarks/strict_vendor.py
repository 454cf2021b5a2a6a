"""A vendor that enforces its limits to the call: OpenAI's chat completions on loopback, in a process of its own.

    python -m benchmarks.strict_vendor --port-file FILE [--rpm 3000] [--tpm 0] [--enforce bucket|window] ...

    POST /v1/chat/completions   answered, or refused with 429 `rate_limit_exceeded`
    GET  /_calls                {"calls": [[seconds, status, tokens, model], ...]}, in the order of arrival
    GET  /_summary              {"calls", "refused", "tokens"}; the last of what was answered

A call costs one request, and tokens = characters of its messages // 4, at least 1, plus the `max_tokens` it names;
both at admission, and all of it is then used: the answer's usage says the same. A refused call costs nothing. Each
API key has its own limits, shared by all models. Error body, headers and the format of a reset follow OpenAI's public
reference (rate limits; error codes).
"""

import argparse
import asyncio
import json
import math
import random
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from .limit_keeping import Bucket, Limit, Window

_TEXT = "Bug report."
_DEFAULT_MAX_TOKENS = 16
_ANSWER = (
    '{"id":"chatcmpl-strict","object":"chat.completion","created":1750000000,"model":"%s","choices":[{"index":0,'
    '"message":{"role":"assistant","content":"' + _TEXT + '","refusal":null},"finish_reason":"stop"}],'
    '"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}}'
)
_UNITS = {"requests": "requests per min (RPM)", "tokens": "tokens per min (TPM)"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the vendor enforces and how much of it it says."""

    rpm: int = 0
    """Requests a minute; 0 is not limited."""
    tpm: int = 0
    """Tokens a minute; 0 is not limited."""
    enforce: str = "bucket"
    """`bucket`: refills continuously, full at the start. `window`: never more than the limit in any 60 s."""
    capacity_s: float = 60.0
    """Seconds of the rate that a bucket holds."""
    headers: str = "full"
    """`full`: limit, remaining and reset on every answer. `none`: not a word."""
    retry_after: bool = True
    """Whether a 429 says how long to wait."""
    latency_s: float = 0.0
    """Of an answer, on average; evenly spread over plus and minus one half. A refusal comes at once."""
    seed: int = 1

    def limits(self, now: float) -> dict[str, Limit]:
        """Fresh limits for one key."""
        return {
            name: self._limit(given, now) for name, given in (("requests", self.rpm), ("tokens", self.tpm)) if given
        }

    def _limit(self, per_minute: int, now: float) -> Limit:
        if self.enforce == "window":
            return Window(per_minute)
        return Bucket(per_minute, capacity_s=self.capacity_s, now=now)


@dataclass(slots=True, kw_only=True)
class StrictVendor:
    """The vendor: admits or refuses, and keeps its own list of the calls."""

    rules: Rules
    calls: list[tuple[float, int, int, str]] = field(default_factory=list)
    _accounts: dict[str, dict[str, Limit]] = field(default_factory=dict)
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.rules.seed)

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Handle one request."""
        if request.path == "/v1/chat/completions":
            return await self._complete(request.headers.get("authorization", ""), json.loads(await request.read()))
        if request.path == "/_calls":
            return _json(json.dumps({"calls": self.calls}, separators=(",", ":")))
        if request.path == "/_summary":
            refused = sum(status == 429 for _, status, _, _ in self.calls)
            tokens = sum(cost for _, status, cost, _ in self.calls if status == 200)
            return _json(json.dumps({"calls": len(self.calls), "refused": refused, "tokens": tokens}))
        return _json('{"error":{"message":"no such path"}}', 404)

    async def _complete(self, key: str, body: dict[str, Any]) -> web.Response:
        now, rules = time.monotonic(), self.rules
        prompt = _prompt_tokens(body)
        most = body.get("max_completion_tokens") or body.get("max_tokens") or _DEFAULT_MAX_TOKENS
        limits = self._accounts.get(key)
        if limits is None:
            limits = self._accounts[key] = rules.limits(now)
        costs = {"requests": 1, "tokens": prompt + most}
        waits = {name: limit.wait_s(costs[name], now) for name, limit in limits.items()}
        over = max(waits, key=lambda name: waits[name], default=None)
        if over is not None and waits[over] > 0:
            self.calls.append((now, 429, costs["tokens"], body["model"]))
            headers = self._standing(limits, now)
            return self._refusal(over, limits[over].per_minute, costs[over], waits[over], headers)
        for name, limit in limits.items():
            limit.take(costs[name], now)
        self.calls.append((now, 200, costs["tokens"], body["model"]))
        headers = self._standing(limits, now)
        if rules.latency_s:
            await asyncio.sleep(rules.latency_s * self._random.uniform(0.5, 1.5))
        return _json(_ANSWER % (body["model"], prompt, most, prompt + most), headers=headers)

    def _standing(self, limits: Mapping[str, Limit], now: float) -> dict[str, str]:
        headers: dict[str, str] = {}
        if self.rules.headers == "full":
            for name, limit in limits.items():
                headers[f"x-ratelimit-limit-{name}"] = str(limit.per_minute)
                headers[f"x-ratelimit-remaining-{name}"] = str(limit.remaining(now))
                headers[f"x-ratelimit-reset-{name}"] = written(limit.reset_s(now))
        return headers

    def _refusal(self, name: str, limit: int, cost: int, wait: float, headers: dict[str, str]) -> web.Response:
        hint = ""
        if math.isinf(wait):
            message = f"Request too large on {_UNITS[name]}: Limit {limit}, Requested {cost}."
        else:
            if self.rules.retry_after:
                headers["retry-after"] = str(math.ceil(wait))
                headers["retry-after-ms"] = str(math.ceil(wait * 1000))
                hint = f" Please try again in {written(wait)}."
            message = f"Rate limit reached on {_UNITS[name]}: Limit {limit}, Requested {cost}.{hint}"
        error = {"message": message, "type": name, "param": None, "code": "rate_limit_exceeded"}
        return _json(json.dumps({"error": error}), 429, headers)


def written(seconds: float) -> str:
    """A duration as OpenAI writes it: `20ms`, `8.64s`, `6m0s`."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    if seconds < 60:
        return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"
    minutes, rest = divmod(math.ceil(seconds), 60)
    return f"{minutes}m{rest}s"


def _prompt_tokens(body: Mapping[str, Any]) -> int:
    characters = 0
    for message in body["messages"]:
        content = message["content"]
        characters += len(content) if isinstance(content, str) else sum(len(part["text"]) for part in content)
    return max(1, characters // 4)


def _json(text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(text=text, status=status, headers=headers, content_type="application/json")


async def _serve(rules: Rules, port_file: Path) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # The low-level server: no router, no middleware. It has to be faster than what it measures.
    runner = web.ServerRunner(web.Server(StrictVendor(rules=rules).answer, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    # Renamed into place: whoever waits for the file never reads half a number.
    draft = port_file.with_suffix(".tmp")
    draft.write_text(str(runner.addresses[0][1]), encoding="ascii")
    draft.replace(port_file)
    await stop.wait()
    await runner.cleanup()


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.strict_vendor", description="a strict vendor")
    parser.add_argument("--port-file", type=Path, required=True, help="where to write the port, once it listens")
    parser.add_argument("--rpm", type=int, default=0, help="requests a minute; 0: not limited")
    parser.add_argument("--tpm", type=int, default=0, help="tokens a minute; 0: not limited")
    parser.add_argument("--enforce", choices=("bucket", "window"), default="bucket")
    parser.add_argument("--capacity-s", type=float, default=60.0, help="seconds of the rate that a bucket holds")
    parser.add_argument("--headers", choices=("full", "none"), default="full")
    parser.add_argument("--retry-after", choices=("yes", "no"), default="yes", help="whether a 429 names the wait")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds to an answer, on average")
    parser.add_argument("--seed", type=int, default=1, help="of the latencies")
    args = parser.parse_args()
    rules = Rules(
        rpm=args.rpm,
        tpm=args.tpm,
        enforce=args.enforce,
        capacity_s=args.capacity_s,
        headers=args.headers,
        retry_after=args.retry_after == "yes",
        latency_s=args.latency,
        seed=args.seed,
    )
    asyncio.run(_serve(rules, args.port_file))


if __name__ == "__main__":
    main()
