"""The demo's vendors: llmock, an independent stand-in for the vendors' wire formats, one process for each."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx

from pointsman_routes import ServiceUnavailable, UsageProblem

_STOP_S = 5.0
_ADMIN_S = 30.0
_HEALTH_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorPlan:
    """How one vendor is started."""

    path: str
    """Below its root, what a provider has as base_url."""
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorCall:
    """One request as the vendor saw it."""

    prompt: str
    """The last message."""
    status: int


class Vendor:
    """A vendor in a process of its own, steered over its admin interface."""

    def __init__(self, name: str, root: str, base_url: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.base_url = base_url
        self._root = root
        self._process = process
        self._log = log

    async def answers(self) -> bool:
        """Whether it is up.

        Raises:
            ServiceUnavailable: it has ended, or something else is where it should be.
        """
        if self._process.returncode is not None:
            raise ServiceUnavailable(f"the stand-in for {self.name} does not start; see {self._log}")
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=_HEALTH_S) as client:
                return (await client.get(f"{self._root}/health")).is_success
        except httpx.TransportError:
            return False

    async def go_down(self) -> None:
        """Answer every request with 503, until `come_back`."""
        await self._admin("POST", "scenario", {"behaviors": [{"type": "fail", "status": 503, "times": None}]})

    async def come_back(self) -> None:
        """Answer again."""
        await self._admin("DELETE", "scenario")

    async def refuse(self, *, times: int, retry_after: float) -> None:
        """Refuse the next few requests with 429, whatever the limits say."""
        fail = {"type": "fail", "status": 429, "retry_after": retry_after, "times": times}
        await self._admin("POST", "scenario", {"behaviors": [fail]})

    async def stall(self, seconds: float, *, times: int) -> None:
        """Take so long over the next few requests."""
        await self._admin("POST", "scenario", {"behaviors": [{"type": "delay", "seconds": seconds, "times": times}]})

    async def scripted(self) -> int:
        """How many scripted behaviours still wait for a request."""
        return len((await self._admin("GET", "scenario"))["pending"])

    async def calls(self) -> list[VendorCall]:
        """Every request it got, oldest first."""
        requests = (await self._admin("GET", "requests"))["requests"]
        return [VendorCall(prompt=_prompt(request["body"]), status=request["status"]) for request in requests]

    async def errors(self) -> list[str]:
        """What it holds against the client: coming back before Retry-After, or after an error no retry cures."""
        findings = (await self._admin("GET", "verdict"))["findings"]
        return [finding["title"] for finding in findings if finding["severity"] == "error"]

    async def stop(self) -> None:
        """End the process."""
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(_STOP_S):
                await self._process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def _admin(self, method: str, what: str, body: object = None) -> dict[str, Any]:
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=_ADMIN_S) as client:
                reply = await client.request(method, f"{self._root}/_llmock/{what}", json=body)
                reply.raise_for_status()
        except httpx.HTTPError as error:
            raise ServiceUnavailable(
                f"the stand-in for {self.name} does not answer: {error}; see {self._log}"
            ) from None
        answer: dict[str, Any] = reply.json()
        return answer


def require_llmock() -> None:
    """See that the stand-in is installed.

    Raises:
        UsageProblem: it is not.
    """
    if find_spec("llmock") is None:
        raise UsageProblem("the demo needs a stand-in vendor; install it with: pip install 'pointsman[demo]'")


@asynccontextmanager
async def running_vendors(plans: Mapping[str, VendorPlan], logs: Path) -> AsyncIterator[dict[str, Vendor]]:
    """Start vendors, each on a free loopback port, and stop them at the end.

    They are not up yet when this yields: ask `Vendor.answers`. Weakness: somebody else may take a port between
    looking for it and using it; then the vendor ends, and `answers` says so.

    Args:
        plans: by name.
        logs: a folder for what they print.
    """
    vendors: dict[str, Vendor] = {}
    ports = _free_ports(len(plans))
    try:
        for port, (name, plan) in zip(ports, plans.items(), strict=True):
            vendors[name] = await _start(name, plan, port, logs / f"vendor-{name}.log")
        yield vendors
    finally:
        await asyncio.gather(*(vendor.stop() for vendor in vendors.values()))


async def _start(name: str, plan: VendorPlan, port: int, log: Path) -> Vendor:
    command = (sys.executable, "-m", "llmock.cli", "serve", "--host", "127.0.0.1", "--port", str(port), *plan.options)
    # What a user has set for their own llmock is not meant for ours.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LLMOCK_")}
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C reaches us, and we stop it after the workers
        )
    root = f"http://127.0.0.1:{port}"
    return Vendor(name, root, f"{root}{plan.path}", process, log)


def _free_ports(count: int) -> list[int]:
    # All are held until the last is found, so that no two are the same.
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _prompt(body: Mapping[str, Any]) -> str:
    """The last message's text; a vendor's format may carry it in parts."""
    content: str | Sequence[Mapping[str, Any]] = body["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)
