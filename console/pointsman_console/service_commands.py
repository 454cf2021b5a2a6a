"""`pointsman worker`, `recorder` and `up`: the processes of the line."""

import asyncio
import gc
import signal
from typing import Annotated

import typer

from pointsman_queue import Settings
from pointsman_routes import ConfigError, UsageProblem, parse_duration

from .composition import load_table, open_line, open_recorder, open_worker, surrounding_problems
from .embedded_redis import embedded_redis
from .screen import say
from .supervisor import Supervisor

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("up")(up)
    app.command("worker")(worker)
    app.command("recorder")(recorder)


def worker(
    context: typer.Context,
    tiers: Annotated[list[str], typer.Argument(metavar="TIER...", help="Tiers to serve: provider/tier.")],
    slots: Annotated[int | None, typer.Option(min=1, help="Calls in flight at once, for each tier.")] = None,
    grace: Annotated[str, typer.Option(help="How long running calls may go on after a signal.")] = "30s",
    burst: Annotated[bool, typer.Option("--burst", help="End once nothing is left to do.")] = False,
) -> None:
    """Run a worker for some tiers; start as many as you like, the limits hold for all together.

    Ends on SIGTERM or SIGINT: claims nothing more, lets running calls end within the grace time and gives the others
    back without costing the job an attempt. Waits while Redis is away.
    """
    raise typer.Exit(asyncio.run(_worker(context.obj, tiers, slots, grace, burst)))


def recorder(context: typer.Context) -> None:
    """Move records from the outbox to the ledger, each exactly once. Makes the ledger if it is not there."""
    raise typer.Exit(asyncio.run(_recorder(context.obj)))


def up(context: typer.Context) -> None:
    """Run the whole line on this machine: Redis if no URL is set, a worker per tier, the recorder. Ctrl-C ends it."""
    raise typer.Exit(asyncio.run(_up(context.obj)))


async def _worker(settings: Settings, tiers: list[str], slots: int | None, grace: str, burst: bool) -> int:
    try:
        patience = parse_duration(grace)
    except ValueError as error:
        raise UsageProblem(f"--grace: {error}") from None
    table = load_table(settings)
    async with open_worker(settings, table, tiers, slots=slots, grace=patience, burst=burst) as running:
        try:
            await running.async_run()
        except asyncio.CancelledError:
            if not running.stopping.is_set() and not running.crashed:
                raise
        finally:
            await running.close()
        return 1 if running.crashed else 0


async def _recorder(settings: Settings) -> int:
    async with open_recorder(settings) as running:
        # What is loaded by now stays: going through it again and again for garbage takes a seventh of the time.
        gc.freeze()
        for number in _STOP_SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, running.stop)
        await running.run()
    return 0


async def _up(settings: Settings) -> int:
    table = load_table(settings)
    problems = surrounding_problems(settings, table)
    if problems:
        raise ConfigError(problems)
    stop = asyncio.Event()
    for number in _STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    commands = {"recorder": ["recorder"], **{f"worker {tier}": ["worker", tier] for tier in table.tiers}}
    if settings.redis_url is not None:
        async with open_line(settings):
            return await _supervise(settings, commands, stop)
    async with embedded_redis(settings) as ours:
        was = "started" if ours else "was running"
        say(f"Redis {was} under {settings.home}; {len(table.tiers)} workers, 1 recorder")
        return await _supervise(settings, commands, stop)


async def _supervise(settings: Settings, commands: dict[str, list[str]], stop: asyncio.Event) -> int:
    supervisor = Supervisor(environment_of(settings))
    keeping = asyncio.create_task(supervisor.keep(commands))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({keeping, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if keeping.done():
        stopping.cancel()
        await keeping
        return 0
    say("stopping; running calls get their grace time")
    await supervisor.stop()
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    return 0


def environment_of(settings: Settings) -> dict[str, str]:
    """These settings as environment variables, for child processes."""
    return {
        "POINTSMAN_CONFIG": str(settings.config.absolute()),
        "POINTSMAN_HOME": str(settings.home.absolute()),
        "POINTSMAN_REDIS_URL": settings.effective_redis_url,
        "POINTSMAN_LEDGER_URL": settings.effective_ledger_url,
    }
