"""`pointsman demo` from nothing to a verified ledger, and nothing left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

pytest.importorskip("llmock", reason="the demo extra is not installed")
pytestmark = pytest.mark.acceptance

_COMMAND = [sys.executable, "-m", "pointsman_console"]
_TIMEOUT_S = 300


@pytest.fixture
def mark() -> str:
    """The name of an environment variable that processes of this test inherit."""
    return f"DEMO_TEST_{uuid4().hex}"


def _environment(mark: str, folder: Path) -> dict[str, str]:
    """An environment full of things the demo must not touch."""
    return {
        **os.environ,
        mark: "1",
        "TMPDIR": str(folder),
        "POINTSMAN_CONFIG": str(folder / "mine.toml"),
        "POINTSMAN_HOME": str(folder / "my-home"),
        "POINTSMAN_REDIS_URL": "redis://127.0.0.1:1",
        "POINTSMAN_LEDGER_URL": f"sqlite:///{folder / 'mine.db'}",
        "LLMOCK_PORT": "1",
        "LLMOCK_RPM": "1",
    }


def _left_running(mark: str) -> list[str]:
    """Command lines of living processes that carry the mark; nothing where there is no /proc."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # it has just ended, or is somebody else's
    return found


def _listed(home: Path, *arguments: str) -> list[dict[str, Any]]:
    command = [*_COMMAND, "--home", str(home), "audit", "list", "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_TIMEOUT_S)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_from_nothing_to_a_verified_ledger(tmp_path: Path, mark: str) -> None:
    """Every check holds, standard output is one object, and the kept ledger says what the figures say."""
    home = tmp_path / "demo"
    done = subprocess.run(
        [*_COMMAND, "--home", str(home), "demo", "--json"],
        env=_environment(mark, tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout)
    assert figures["ok"]
    assert figures["jobs"] == figures["results"] == figures["records"] == 150
    attempts = _listed(home, "--kind", "attempt")
    assert len(attempts) == figures["attempts"]
    # A call that was claimed when its tier was switched off is on record, and was never made.
    made = [entry for entry in attempts if (entry["outcome"], entry["usage_source"]) != ("unknown", "none")]
    assert sum(row["requests"] for row in figures["vendors"]) == len(made)

    fallbacks = _listed(home, "--fallback")
    assert len(fallbacks) == figures["fallbacks"] > 0
    assert all(record["fallback_reason"] and record["served_model"] for record in fallbacks)
    assert {record["action"] for record in _listed(home, "--kind", "switch")} >= {"disable", "enable"}

    assert _left_running(mark) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demo"]
    assert not [path for path in home.rglob("*") if path.is_file() and b"demo-key-" in path.read_bytes()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing(tmp_path: Path, mark: str, number: signal.Signals) -> None:
    """A signal in the middle of a scene ends every process and removes the temporary folder."""
    process = subprocess.Popen(
        [*_COMMAND, "demo"],
        env=_environment(mark, tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert any("Triage" in line for line in process.stderr)
    process.send_signal(number)
    said, complaints = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said == ""
    assert "Traceback" not in complaints
    deadline = time.monotonic() + 10
    while _left_running(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _left_running(mark) == []
    assert list(tmp_path.iterdir()) == []
