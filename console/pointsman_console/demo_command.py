"""`pointsman demo`: everything on this machine, from nothing to a verified ledger."""

import asyncio
import shutil
import signal
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from pointsman_audit import ListedKind, RecordFilter
from pointsman_routes import PointsmanError, UsageProblem

from . import screen
from .composition import open_ledger
from .demo_config import demo_settings
from .demo_proof import Exhibits, prove
from .demo_report import DemoReport
from .demo_scenes import CUT_JOBS, play
from .demo_screen import DemoScreen
from .demo_stage import Stage, open_stage
from .demo_vendors import require_llmock
from .logs import configure_logs

_INTERRUPTED = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class _Home:
    """The demo's own folder."""

    path: Path
    keep: bool


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    context: typer.Context,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the folder: configuration, ledger, logs.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as one object.")] = False,
) -> None:
    """Run everything on this machine, from nothing to a verified ledger.

    Redis, three stand-in vendors, a worker for each tier and the recorder, as real processes; 150 jobs of three
    classes; a throttled vendor, a killed worker, an outage and an operator's switch. All of it lives in a folder of
    its own: a temporary one that is removed afterwards, or with --keep or --home DIR one that stays. Whatever
    configuration, Redis and ledger the environment names is left alone. Exit 0 if every check at the end holds.
    """
    require_llmock()
    given = context.find_root().params.get("home")
    home = _made(given, keep=keep)
    raise typer.Exit(asyncio.run(_until_signal(home, as_json)))


def _made(given: Path | None, *, keep: bool) -> _Home:
    if given is None:
        return _Home(path=Path(tempfile.mkdtemp(prefix="pointsman-demo-")), keep=keep)
    try:
        given.mkdir(mode=0o700, parents=True, exist_ok=True)
        empty = not any(given.iterdir())
    except OSError as error:
        raise UsageProblem(f"--home {given}: {error.strerror}; name a folder that can be made") from None
    if not empty:
        raise UsageProblem(f"--home {given}: not empty; the demo wants a folder of its own, name a new one")
    return _Home(path=given.absolute(), keep=True)


async def _until_signal(home: _Home, as_json: bool) -> int:
    """Run the demo; a signal ends it in good order, and so does a second one."""
    running = asyncio.ensure_future(_run(home, as_json))
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        stopping.cancel()
        return running.result()
    screen.say("stopping")
    running.cancel()
    await asyncio.wait({running})
    return _INTERRUPTED if running.cancelled() else running.result()


async def _run(home: _Home, as_json: bool) -> int:
    keep = True  # what went wrong stands in the logs
    try:
        report = await _perform(home)
        keep = home.keep or not report.ok
    except asyncio.CancelledError:
        keep = home.keep
        raise
    except PointsmanError:
        screen.say(f"the demo did not end well; what each process said is in {home.path / 'logs'}")
        raise
    finally:
        if not keep:
            await asyncio.to_thread(shutil.rmtree, home.path, ignore_errors=True)
    report = replace(report, home=str(home.path) if keep else None)
    if as_json:
        screen.line(report.figures())
    else:
        report.show()
    return 0 if report.ok else 1


async def _perform(home: _Home) -> DemoReport:
    shown = DemoScreen()
    settings = demo_settings(home.path)
    logs = home.path / "logs"
    logs.mkdir(mode=0o700)
    with (logs / "demo.log").open("a", encoding="utf-8") as log:
        configure_logs(stream=log)
        shown.say(f"starting Redis, three vendors, three workers and a recorder in {home.path}")
        async with open_stage(settings, shown) as stage:
            shown.say("up: every part is a process of its own. To look in from another terminal:")
            shown.say(f"pointsman --home {home.path} --config {settings.config} status")
            await play(stage)
            exhibits = await _collected(stage)
        shown.say("everything is stopped")
    return DemoReport(exhibits=exhibits, checks=prove(exhibits), seconds=shown.seconds, home=str(home.path))


async def _collected(stage: Stage) -> Exhibits:
    await stage.until("the recorder", stage.outbox_empty)
    async with open_ledger(stage.settings) as ledger:
        finals = [record async for record in ledger.list(RecordFilter(kind=ListedKind.FINAL))]
        attempts = [record async for record in ledger.list(RecordFilter(kind=ListedKind.ATTEMPT))]
    return Exhibits(
        prompts=stage.prompts,
        results=stage.results,
        finals=finals,
        attempts=attempts,
        calls={name: await vendor.calls() for name, vendor in stage.vendors.items()},
        complaints={name: await vendor.errors() for name, vendor in stage.vendors.items()},
        cut=CUT_JOBS,
    )
