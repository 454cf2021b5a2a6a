"""A line of real processes: Redis, the stand-in vendor, workers, the recorder, and the command line to talk to them.

    with Line.laid(folder, routes, redis=binary) as line:
        line.start("recorder")
        line.worker("alpha/triage")
        done = line.submit(jobs, "--wait")

Every process is our own, ended by its id at the end, and none may have shown a traceback.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import redis
from acceptance_routes import KEYS, Route, configuration
from servers import RedisServer
from vendor_process import VendorProcess
from waiting import wait_until

from pointsman_queue import keys

COMMAND = (sys.executable, "-m", "pointsman_console")
_RUN_S = 180
_END_S = 60
_KEPT = ("HOME", "LANG", "PATH", "TMPDIR")


def bare_environment(**more: str) -> dict[str, str]:
    """An environment with nothing of Pointsman in it but what is given; the test coverage's own goes along."""
    kept = {name: text for name, text in os.environ.items() if name in _KEPT or name.startswith("COVERAGE_")}
    return kept | more


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A command that has ended."""

    arguments: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """Standard output, which holds one JSON object a line and nothing else."""
        found = [json.loads(line) for line in self.out.removesuffix("\n").split("\n") if self.out]
        assert all(isinstance(entry, dict) for entry in found)
        return found


def run(*arguments: str, env: Mapping[str, str], cwd: Path, expect: int | None = 0, stdin: str = "") -> Done:
    """Run `pointsman` to its end.

    Args:
        arguments: its own.
        env: its whole environment.
        cwd: its folder.
        expect: the exit code it must have; None takes any.
        stdin: what it reads.
    """
    ended = subprocess.run(
        [*COMMAND, *arguments], env=env, cwd=cwd, input=stdin.encode(), capture_output=True, timeout=_RUN_S, check=False
    )
    done = Done(arguments=arguments, code=ended.returncode, out=ended.stdout.decode(), err=ended.stderr.decode())
    assert "Traceback" not in done.err, done.err
    if expect is not None:
        assert done.code == expect, f"{arguments} ended with {done.code}: {done.err or done.out}"
    return done


@dataclass(slots=True, kw_only=True)
class Running:
    """A `pointsman` process that goes on until it is told to end."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    out: Path

    @property
    def said(self) -> str:
        """What stands on its standard error so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None

    def events(self, name: str) -> list[dict[str, Any]]:
        """The lines of its log that tell of such an event."""
        lines = [json.loads(line) for line in self.said.splitlines() if line.startswith("{") and line.endswith("}")]
        return [line for line in lines if line.get("event") == name]

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait(_END_S)

    def ended(self, timeout_s: float = _RUN_S) -> int:
        """Its exit code, once it has ended."""
        return self.process.wait(timeout_s)


@dataclass(kw_only=True)
class Line:
    """A line in a folder."""

    folder: Path
    redis: RedisServer
    vendor: VendorProcess
    ledger_url: str
    environment: dict[str, str]
    _running: list[Running] = field(default_factory=list)
    _batches: int = 0

    @classmethod
    @contextmanager
    def laid(
        cls,
        folder: Path,
        routes: Iterable[Route],
        *,
        redis: Path,
        ledger_url: str | None = None,
        durable: bool = False,
    ) -> Iterator[Self]:
        """Lay a line: Redis, the vendor and the configuration. Workers and the recorder are the test's to start.

        Args:
            folder: for everything but Redis's own files.
            routes: what the configuration has.
            redis: the server's binary.
            ledger_url: SQLite in the folder when absent.
            durable: whether Redis keeps every write on the disk.
        """
        kept = ("--appendonly", "yes", "--appendfsync", "always") if durable else ()
        vendor = VendorProcess.launch(folder)
        server = RedisServer.start(redis, *kept)
        ledger = ledger_url or f"sqlite:///{folder / 'ledger.db'}"
        config = folder / "pointsman.toml"
        try:
            with _address_of_nobody() as nobody:
                config.write_text(configuration(routes, vendor=vendor.url, nobody=nobody), encoding="utf-8")
                environment = bare_environment(
                    POINTSMAN_CONFIG=str(config),
                    POINTSMAN_REDIS_URL=server.url,
                    POINTSMAN_LEDGER_URL=ledger,
                    POINTSMAN_HOME=str(folder / "home"),
                    **KEYS,
                )
                line = cls(folder=folder, redis=server, vendor=vendor, ledger_url=ledger, environment=environment)
                try:
                    yield line
                finally:
                    line.close()
        finally:
            vendor.stop()
            server.stop()

    def run(self, *arguments: str, expect: int | None = 0, stdin: str = "", **env: str) -> Done:
        """Run a command to its end; see `run`."""
        return run(*arguments, env={**self.environment, **env}, cwd=self.folder, expect=expect, stdin=stdin)

    def start(self, *arguments: str, **env: str) -> Running:
        """Start a command that goes on."""
        command = next(word for word in arguments if not word.startswith("-"))
        running = launch(self.folder, f"{len(self._running):02}-{command}", arguments, {**self.environment, **env})
        self._running.append(running)
        return running

    def recorder(self, **env: str) -> Running:
        """Start a recorder; it is at work when this returns."""
        return self.at_work(self.start("recorder", **env))

    def worker(self, *arguments: str, **env: str) -> Running:
        """Start a worker; it is at work when this returns."""
        return self.at_work(self.start("worker", *arguments, **env))

    def running(self, command: str) -> Running:
        """The process of that command that was started last."""
        return next(running for running in reversed(self._running) if running.name.endswith(command))

    def at_work(self, running: Running) -> Running:
        """The same process, once it has begun to work."""

        def begun() -> bool:
            assert running.alive, f"{running.name} has ended: {running.said}"
            if not running.events("recorder.started") and not running.events("worker.started"):
                return False
            return "recorder" in running.name or self._is_listed(running.process.pid)

        wait_until(begun, f"{running.name} works")
        return running

    def job_file(self, jobs: Iterable[Mapping[str, Any]], name: str | None = None) -> Path:
        """Write jobs to a file."""
        self._batches += 1
        path = self.folder / (name or f"jobs-{self._batches:03}.jsonl")
        path.write_text("".join(json.dumps(job, ensure_ascii=False) + "\n" for job in jobs), encoding="utf-8")
        return path

    def ask(self, jobs: Sequence[Mapping[str, Any]], *, batch: str, expect: int = 0) -> list[dict[str, Any]]:
        """Submit jobs, wait for them, and give their results in the order of their custom_ids."""
        done = self.run(
            "submit", str(self.job_file(jobs)), "--batch", batch, "--wait", "--timeout", "2m", expect=expect
        )
        results = sorted(done.objects, key=lambda result: str(result["custom_id"]))
        assert [result["custom_id"] for result in results] == sorted(str(job["custom_id"]) for job in jobs)
        return results

    def audit(self, *filters: str) -> list[dict[str, Any]]:
        """What `audit list` shows, once all there is to record is recorded."""
        self.wait_recorded()
        return self.run("audit", "list", "--json", *filters).objects

    def wait_recorded(self) -> None:
        """Wait until the outbox is empty."""
        wait_until(lambda: self.outbox_length() == 0, "every record is in the ledger")

    def outbox_length(self) -> int:
        """Records not yet in the ledger; -1 while Redis is away."""
        with suppress(redis.RedisError), redis.Redis.from_url(self.redis.url) as client:
            return int(client.xlen(keys.OUTBOX))
        return -1

    def queued(self, tier: str) -> int:
        """Jobs waiting for a tier."""
        with redis.Redis.from_url(self.redis.url) as client:
            return int(client.zcard(keys.QUEUE + tier))

    def held(self, tier: str) -> int:
        """Held jobs a tier could take."""
        with redis.Redis.from_url(self.redis.url) as client:
            return int(client.zcard(keys.HELD_FOR + tier))

    def wait_calls(self, count: int, *models: str) -> None:
        """Wait until the vendor has had so many calls for some models."""
        wait_until(lambda: len(self.vendor.calls(*models)) >= count, f"{count} calls for {models} have come")

    def close(self) -> None:
        """End every process; none may have shown a traceback, in its log or elsewhere."""
        # First the vendor: calls that hang end, and nobody waits for them.
        self.vendor.stop()
        living = [running for running in self._running if running.alive]
        for running in living:
            running.signal(signal.SIGTERM)
        for running in living:
            try:
                running.ended(_END_S)
            except subprocess.TimeoutExpired:
                running.kill()
        for running in self._running:
            assert "Traceback" not in running.said, f"{running.name} has shown a traceback: {running.said[-4000:]}"

    def _is_listed(self, pid: int) -> bool:
        with suppress(redis.RedisError), redis.Redis.from_url(self.redis.url) as client:
            return any(client.scan_iter(match=f"{keys.WORKER}*-{pid}-*", count=1000))
        return False


def launch(folder: Path, name: str, arguments: Sequence[str], env: Mapping[str, str]) -> Running:
    """Start a `pointsman` process whose output goes to files."""
    log, out = folder / f"{name}.err", folder / f"{name}.out"
    with log.open("wb") as errors, out.open("wb") as output:
        process = subprocess.Popen(
            [*COMMAND, *arguments], env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=errors
        )
    return Running(name=name, process=process, log=log, out=out)


def calls_made(line: Line, *models: str) -> Counter[tuple[str, str]]:
    """The vendor's own list: how often each job was asked of each model."""
    return Counter((call.custom_id, call.model) for call in line.vendor.calls(*models))


def attempts_recorded(
    attempts: Iterable[Mapping[str, Any]], finals: Iterable[Mapping[str, Any]]
) -> Counter[tuple[str, str]]:
    """The ledger's list, in the same terms."""
    names = {final["job_id"]: final["custom_id"] for final in finals}
    return Counter((names[attempt["job_id"]], attempt["model"]) for attempt in attempts)


def wall_clock() -> float:
    """Unix time, as the vendor notes it."""
    return time.time()


@contextmanager
def _address_of_nobody() -> Iterator[str]:
    """A URL where every connection is refused, for as long as the block runs."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound and not listening: refused, and nobody else gets the port
        yield f"http://127.0.0.1:{reserved.getsockname()[1]}"
