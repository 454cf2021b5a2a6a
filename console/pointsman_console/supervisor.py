"""Keeps child processes of this command running: started again when they die, stopped when it ends."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO

import structlog

from pointsman_routes import PointsmanError, ServiceUnavailable, UsageProblem

_PAUSES_S = (0.5, 1.0, 2.0, 5.0, 10.0)
_STEADY_S = 30.0
_USAGE = 2

log = structlog.get_logger()


class ChildRefused(UsageProblem):
    """A child says that its configuration is wrong; starting it again would not help."""


class Supervisor:
    """Runs `pointsman` sub-commands as processes of their own."""

    def __init__(self, environment: Mapping[str, str], *, errors: IO[bytes] | None = None) -> None:
        """Take what every child gets.

        Args:
            environment: added to this process's own.
            errors: where their logs go; this process's standard error when absent.
        """
        self._environment = {**os.environ, **environment}
        self._errors = errors
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._stopping = asyncio.Event()

    async def keep(self, commands: Mapping[str, Sequence[str]]) -> None:
        """Keep children running until cancelled.

        Args:
            commands: arguments of `pointsman`, by the name each goes by in the log.

        Raises:
            ChildRefused: one ended with exit code 2.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for name, arguments in commands.items():
                    group.create_task(self._keep_one(name, arguments))
        except* PointsmanError as errors:
            raise errors.exceptions[0] from None
        finally:
            await self.stop()

    async def stop(self, *, grace_s: float = 60.0) -> None:
        """Ask every child to end, and end those that do not."""
        self._stopping.set()
        children = [process for process in self._running.values() if process.returncode is None]
        for process in children:
            with suppress(ProcessLookupError):
                process.terminate()
        for process in children:
            try:
                async with asyncio.timeout(grace_s):
                    await process.wait()
            except TimeoutError:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    async def _keep_one(self, name: str, arguments: Sequence[str]) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while not self._stopping.is_set():
            started = loop.time()
            code = await self._run(name, arguments)
            if self._stopping.is_set():
                return
            if code == _USAGE:
                raise ChildRefused(f"{name} does not start; see its message above")
            failures = 0 if loop.time() - started > _STEADY_S else failures + 1
            pause = _PAUSES_S[min(failures, len(_PAUSES_S)) - 1] if failures else _PAUSES_S[0]
            log.warning("up.child_ended", name=name, exit_code=code, wait_s=pause)
            await asyncio.sleep(pause)

    async def _run(self, name: str, arguments: Sequence[str]) -> int:
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "pointsman_console",
                *arguments,
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=self._errors,
                start_new_session=True,
            )
        except OSError as error:
            raise ServiceUnavailable(f"{name} cannot be started: {error.strerror}") from None
        self._running[name] = process
        log.info("up.child_started", name=name, pid=process.pid)
        return await process.wait()

    def pid(self, name: str) -> int | None:
        """The process id of a running child."""
        process = self._running.get(name)
        return process.pid if process is not None and process.returncode is None else None
