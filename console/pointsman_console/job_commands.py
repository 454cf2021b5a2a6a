"""`pointsman jobs`: one job shown, called off, or asked again."""

import asyncio
import getpass
import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from pointsman_producer import Producer
from pointsman_queue import JobView, Settings
from pointsman_routes import JobNotFound, JobState, UsageProblem, job_id_for

from . import screen
from .composition import Line, load_table, open_line

_SETTLE_S = 15.0
"""How long `cancel` waits for a worker to write the end."""

app = typer.Typer(help="Show, cancel or retry one job.", no_args_is_help=True, rich_markup_mode=None)
JobId = Annotated[str, typer.Argument(help="A job id.")]
AsJson = Annotated[bool, typer.Option("--json", help="One object a line.")]


@app.command("show")
def show(context: typer.Context, job_id: JobId, as_json: AsJson = False) -> None:
    """Show where a job stands, and its result once it has one."""
    raise typer.Exit(asyncio.run(_show(context.obj, job_id, as_json)))


@app.command("cancel")
def cancel(context: typer.Context, job_id: JobId) -> None:
    """Call a job off: no call for it starts any more, and a running call's answer is not delivered."""
    raise typer.Exit(asyncio.run(_cancel(context.obj, job_id)))


@app.command("retry")
def retry(context: typer.Context, job_id: JobId) -> None:
    """Ask a job that failed, expired or was cancelled again, as a new job."""
    raise typer.Exit(asyncio.run(_retry(context.obj, job_id)))


async def _show(settings: Settings, job_id: str, as_json: bool) -> int:
    async with open_line(settings) as line:
        view = await _view(line, job_id)
        result = (await line.jobs.results([job_id])).get(job_id)
    facts = _facts(view)
    if as_json:
        screen.line({**facts, "result": json.loads(result) if result else None})
        return 0
    screen.table(("FIELD", "VALUE"), facts.items())
    if result:
        screen.tell_json(json.loads(result))
    return 0


async def _cancel(settings: Settings, job_id: str) -> int:
    async with open_line(settings) as line:
        state = await line.switchboard.cancel(job_id, by=getpass.getuser())
        if state is None:
            raise JobNotFound(f"no job {job_id!r} is known here; look in the ledger: pointsman audit show {job_id}")
        if state.final:
            raise UsageProblem(f"job {job_id} has ended already: {state.value}")
        deadline = asyncio.get_running_loop().time() + _SETTLE_S
        while asyncio.get_running_loop().time() < deadline:
            state = await line.jobs.state(job_id)
            if state is None or state.final:
                screen.say(f"job {job_id}: {state.value if state else 'gone'}")
                return 0 if state is JobState.CANCELLED else 1
            await asyncio.sleep(0.1)
    screen.say(f"job {job_id} will be cancelled as soon as a worker runs; no call for it starts")
    return 0


async def _retry(settings: Settings, job_id: str) -> int:
    table = load_table(settings)
    async with open_line(settings) as line:
        view = await _view(line, job_id)
        if not view.state.final or view.state is JobState.SUCCEEDED:
            raise UsageProblem(f"job {job_id} is {view.state.value}; only one that failed, expired or was cancelled")
        if view.job is None:
            raise JobNotFound(f"the content of job {job_id} is not kept any more; submit it again")
        batch_id = await _free_batch(line, job_id, view.job.custom_id)
        receipt = (await Producer(line.jobs, table).submit([view.job], batch_id=batch_id))[0]
    screen.say(f"job {job_id} is asked again as {receipt.job_id} in batch {receipt.batch_id}")
    screen.tell(receipt.job_id)
    return 0


async def _free_batch(line: Line, job_id: str, custom_id: str) -> str:
    """A batch for the next try. Each try has a name of its own, so asking twice makes one job."""
    number = 1
    while True:
        batch_id = f"retry-{job_id}-{number}"
        state = await line.jobs.state(job_id_for(batch_id, custom_id))
        if state is None or not state.final:
            return batch_id
        if state is JobState.SUCCEEDED:
            raise UsageProblem(f"job {job_id} was asked again before, in batch {batch_id}, and succeeded")
        number += 1


async def _view(line: Line, job_id: str) -> JobView:
    view = await line.observer.job(job_id)
    if view is None:
        raise JobNotFound(f"no job {job_id!r} is known here; look in the ledger: pointsman audit show {job_id}")
    return view


def _facts(view: JobView) -> dict[str, Any]:
    return {
        "job_id": view.job_id,
        "custom_id": view.job.custom_id if view.job else None,
        "state": view.state.value,
        "class": view.task_class,
        "tier": view.tier,
        "batch": view.batch_id,
        "attempts": view.attempts,
        "failures": view.failures,
        "path": view.path or None,
        "accepted_at": _moment(view.accepted_at / 1_000_000),
        "deadline": _moment(view.deadline_ms / 1000),
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
