"""The stand-in vendor in a process of its own, told over HTTP how to behave."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
from waiting import wait_until

_SCRIPT = Path(__file__).with_name("vendor_stand_in.py")


@dataclass(frozen=True, slots=True)
class SeenCall:
    """One call as the vendor saw it."""

    at: float
    """Unix time of arrival."""
    model: str
    custom_id: str
    status: int


class VendorProcess:
    """Runs `vendor_stand_in.py`; whoever starts it stops it."""

    def __init__(self, process: subprocess.Popen[bytes], port_file: Path) -> None:
        self.process = process
        self._port_file = port_file
        self._client: httpx.Client | None = None

    @classmethod
    def launch(cls, folder: Path) -> Self:
        """Start it; `url` waits until it listens."""
        port_file = folder / "vendor.port"
        command = [sys.executable, str(_SCRIPT), "--port-file", str(port_file)]
        with (folder / "vendor.err").open("wb") as errors:
            process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=errors)
        return cls(process, port_file)

    @property
    def url(self) -> str:
        """Where it listens."""
        wait_until(self._port_file.exists, "the vendor listens")
        return f"http://127.0.0.1:{self._port_file.read_text(encoding='ascii')}"

    def behave(self, model: str | None = None, **mode: Any) -> None:
        """Change how the calls from now on are answered.

        Args:
            model: calls for this model only; all when absent.
            mode: fields of `vendor_stand_in.Mode`.
        """
        body = mode if model is None else {"model": model, **mode}
        self._ask("POST", "/_mode", body)

    def calls(self, *models: str) -> list[SeenCall]:
        """The calls so far, in the order they came; of these models if any are given."""
        entries = self._ask("GET", "/_calls", None)["calls"]
        seen = [SeenCall(entry["at"], entry["model"], entry["marker"] or "", entry["status"]) for entry in entries]
        return [call for call in seen if not models or call.model in models]

    def stop(self) -> None:
        """End it, and with it every call that hangs."""
        if self._client is not None:
            self._client.close()
            self._client = None
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        if self._client is None:
            self._client = httpx.Client(base_url=self.url, trust_env=False, timeout=60)
        answer = self._client.request(method, path, json=body)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found
