"""The vendors: the strict stand-in, and llmock, an independent mock with quotas of its own; each a process."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks import rig
from pointsman_routes import ServiceUnavailable

from .contest import VendorPlan
from .run import Call, MeasurementFailed

_ASK_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """A running vendor."""

    root: str
    kind: str

    @property
    def base_url(self) -> str:
        """What an OpenAI SDK has as base_url."""
        return f"{self.root}/v1"

    def calls(self) -> list[Call]:
        """Its own list of the calls it got, in the order of arrival.

        Raises:
            MeasurementFailed: llmock has forgotten the first ones; it keeps 10,000.
        """
        if self.kind == "strict":
            return [Call(*entry) for entry in self._ask("/_calls")["calls"]]
        kept = self._ask("/_llmock/requests")["requests"]
        if kept and kept[0]["seq"] != 1:
            raise MeasurementFailed(f"llmock keeps a list of {len(kept):,} calls; there were {kept[-1]['seq']:,}")
        calls = (Call(entry["started_at"], entry["status"], 0, entry["model"]) for entry in kept)
        return sorted(calls, key=lambda call: call.at)

    def _ask(self, path: str) -> Any:
        return httpx.get(self.root + path, timeout=_ASK_S, trust_env=False).raise_for_status().json()


@contextmanager
def vendor(plan: VendorPlan, folder: Path) -> Iterator[Vendor]:
    """Run a vendor with fresh limits.

    Args:
        plan: its limits.
        folder: for its port file, or what it prints.
    """
    start = _llmock if plan.kind == "llmock" else _strict
    with start(plan, folder) as port:
        yield Vendor(root=f"http://127.0.0.1:{port}", kind=plan.kind)


@contextmanager
def _strict(plan: VendorPlan, folder: Path) -> Iterator[int]:
    options = {
        "rpm": plan.rpm,
        "tpm": plan.tpm,
        "enforce": plan.enforce,
        "capacity-s": plan.capacity_s,
        "headers": plan.headers,
        "retry-after": "yes" if plan.retry_after else "no",
        "latency": plan.latency_s,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    with rig.port_of([sys.executable, "-m", "benchmarks.strict_vendor", *words], folder / "port") as port:
        yield port


@contextmanager
def _llmock(plan: VendorPlan, folder: Path) -> Iterator[int]:
    """Its limits are checked after its latency; a fixed one moves every call alike.

    Weakness: somebody else may take the port between looking for it and using it; then llmock ends, and we say so.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    options = {
        "host": "127.0.0.1",
        "port": port,
        "rpm": plan.rpm or None,
        "tpm": plan.tpm or None,
        "latency-ms": round(plan.latency_s * 1000),
        "log-level": "error",
        "response-style": "static",
    }
    words = [word for name, value in options.items() if value is not None for word in (f"--{name}", str(value))]
    # What a user has set for their own llmock is not meant for ours.
    env = {name: value for name, value in os.environ.items() if not name.startswith("LLMOCK_")}
    log = folder / "llmock.log"
    with rig.running([sys.executable, "-m", "llmock.cli", "serve", *words], env=env, log=log) as process:
        try:
            rig.until(lambda: _listens(port), process)
        except ServiceUnavailable:
            raise MeasurementFailed(f"llmock does not come up: {log.read_text()[-300:]}") from None
        yield port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
