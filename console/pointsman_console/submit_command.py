"""`pointsman submit`: a job file in, results out."""

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import IO, Annotated

import typer
from rich.progress import Progress, TaskID

from pointsman_producer import BatchFile, FileReport, JobEncoder, Producer
from pointsman_queue import Settings
from pointsman_routes import Job, JobInvalid, JobState, Result, parse_duration

from .composition import load_table, open_line
from .forecast import followed
from .screen import progress_bar, say

_SHOWN = 20
"""Bad lines named on the screen; their number is always said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What was asked for on the command line."""

    file: str
    class_name: str | None
    batch: str | None
    skip_invalid: bool
    wait: bool
    output: Path | None
    timeout_s: float | None


@dataclass(slots=True)
class Tally:
    """What came back."""

    states: Counter[str] = field(default_factory=Counter)
    tiers: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    fallbacks: int = 0
    downgraded: int = 0
    unpriced: int = 0
    cost: Decimal = Decimal(0)

    def add(self, result: Result) -> None:
        """Count one result."""
        story = result.pointsman
        self.states[story.state.value] += 1
        self.fallbacks += story.fallback_reason is not None
        self.downgraded += story.downgraded
        if story.served is not None:
            self.tiers[story.served.tier] += 1
        if result.error is not None:
            self.errors[result.error.code] += 1
        if story.cost_usd is None:
            self.unpriced += 1
        else:
            self.cost += Decimal(story.cost_usd)

    @property
    def all_succeeded(self) -> bool:
        """Whether every job was answered."""
        return set(self.states) <= {JobState.SUCCEEDED.value}

    def summary(self) -> str:
        """One line for a person."""
        parts = [", ".join(f"{count:,} {state}" for state, count in sorted(self.states.items())) or "no results"]
        if self.tiers:
            parts.append("by " + ", ".join(f"{tier} {count:,}" for tier, count in self.tiers.most_common()))
        if self.fallbacks:
            parts.append(f"{self.fallbacks:,} not by the primary")
        if self.downgraded:
            parts.append(f"{self.downgraded:,} downgraded")
        if self.errors:
            parts.append("errors: " + ", ".join(f"{code} {count:,}" for code, count in self.errors.most_common()))
        parts.append(f"${self.cost}" + (f" and {self.unpriced:,} of unknown cost" if self.unpriced else ""))
        return "; ".join(parts)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("submit")(submit)


def submit(
    context: typer.Context,
    file: Annotated[str, typer.Argument(help="Job file, one JSON object a line; - is standard input.")],
    class_name: Annotated[str | None, typer.Option("--class", help="Class of every job, whatever it says.")] = None,
    batch: Annotated[str | None, typer.Option(help="Batch id; default: follows from the content.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the results.")] = False,
    output: Annotated[Path | None, typer.Option(help="Write results here; - is standard output.")] = None,
    timeout: Annotated[str | None, typer.Option(help="With --wait: give up waiting after this; 10m.")] = None,
    skip_invalid: Annotated[bool, typer.Option("--skip-invalid", help="Submit the good lines of a bad file.")] = False,
) -> None:
    """Submit a job file.

    Lines are {"custom_id", "class", "messages", ...} or OpenAI Batch lines whose body.model names the class. Nothing
    of a file with a bad line is submitted unless --skip-invalid. Submitting the same file again is harmless: it is
    the same batch, and --wait goes on where it was interrupted. Exit 1 if any job did not succeed.
    """
    order = Order(
        file=file,
        class_name=class_name,
        batch=batch,
        skip_invalid=skip_invalid,
        wait=wait or output is not None,
        output=output,
        timeout_s=_seconds(timeout),
    )
    raise typer.Exit(asyncio.run(_submit(context.obj, order)))


async def _submit(settings: Settings, order: Order) -> int:
    table = load_table(settings)
    opened = BatchFile.open(order.file, table.classes, class_override=order.class_name, misfit=JobEncoder(table).misfit)
    with opened as file, progress_bar() as bar:
        report = await asyncio.to_thread(_check, file, bar)
        _report_problems(order, report)
        if report.jobs == 0:
            raise JobInvalid(f"{order.file} holds no job; write one JSON object a line")
        batch_id = order.batch or report.batch_id
        async with open_line(settings) as line:
            producer = Producer(line.jobs, table)
            if not order.wait:
                await _send(producer, file, report, batch_id, order, bar)
                say(f"{report.jobs:,} jobs submitted as batch {batch_id}; see `pointsman status {batch_id}`")
                return 0
            # Opened first: jobs whose results have nowhere to go are not submitted.
            with _opened(order.output) as sink:
                await _send(producer, file, report, batch_id, order, bar)
                tiers = sorted({tier for name in report.classes for tier in table.classes[name].route})
                shown = _Bar(bar, bar.add_task("waiting", total=report.jobs))
                # Where no bar is drawn nobody reads an estimate.
                async with nullcontext() if bar.disable else followed(line, tiers, shown.expect):
                    return await _wait(producer, batch_id, order, shown, sink)


def _check(file: BatchFile, bar: Progress) -> FileReport:
    task = bar.add_task("checking", total=file.size)
    report = file.check(on_progress=lambda done: bar.update(task, completed=done))
    bar.remove_task(task)
    return report


def _report_problems(order: Order, report: FileReport) -> None:
    if not report.problem_count:
        return
    for problem in report.problems[:_SHOWN]:
        say(f"pointsman: {order.file}: {problem}")
    more = report.problem_count - min(_SHOWN, len(report.problems))
    if more:
        say(f"pointsman: {order.file}: and {more:,} more")
    if not order.skip_invalid:
        raise JobInvalid(
            f"nothing of {order.file} is submitted: {report.problem_count:,} bad lines; "
            "correct them, or add --skip-invalid"
        )
    say(f"pointsman: {order.file}: skipped {report.problem_count:,} bad lines, submitting {report.jobs:,} jobs")


async def _send(
    producer: Producer, file: BatchFile, report: FileReport, batch_id: str, order: Order, bar: Progress
) -> None:
    if report.problem_count:
        jobs: Iterator[Job] = (entry for entry in file.entries() if isinstance(entry, Job))
    else:
        jobs = file.jobs(report)
    task = bar.add_task("submitting", total=report.jobs)
    known = 0

    def waiting(count: int) -> None:
        bar.update(task, description=f"waiting for the ledger ({count:,} jobs)" if count else "submitting")

    async for receipt in producer.submit_each(jobs, batch_id=batch_id, on_wait=waiting):
        known += receipt.known
        bar.advance(task)
    bar.remove_task(task)
    if known:
        say(f"{known:,} of {report.jobs:,} jobs were in batch {batch_id} already; they are not asked twice")


@dataclass(slots=True)
class _Bar:
    """The bar of waiting, with what is known beside it."""

    bar: Progress
    task: TaskID
    fallbacks: int = 0
    estimate: str = ""

    def expect(self, estimate: str) -> None:
        """Show when the queues will be empty."""
        self.estimate = estimate
        self._show(0)

    def advance(self, fallbacks: int) -> None:
        """One more result has come."""
        self.fallbacks = fallbacks
        self._show(1)

    def _show(self, advance: int) -> None:
        notes = "; ".join(filter(None, (f"{self.fallbacks} not by the primary", self.estimate)))
        self.bar.update(self.task, advance=advance, description=f"waiting ({notes})")


async def _wait(producer: Producer, batch_id: str, order: Order, shown: _Bar, sink: IO[str] | None) -> int:
    tally = Tally()
    async for result in producer.results(batch_id, timeout=order.timeout_s):
        tally.add(result)
        shown.advance(tally.fallbacks)
        if sink is not None:
            sink.write(result.to_line() + "\n")
            sink.flush()
    shown.bar.remove_task(shown.task)
    say(f"batch {batch_id}: {tally.summary()}")
    if order.output is None and sink is None:
        say(f"results are kept a while: pointsman submit {order.file} --output results.jsonl")
    return 0 if tally.all_succeeded else 1


@contextmanager
def _opened(output: Path | None) -> Iterator[IO[str] | None]:
    """Where results go: the file named; without one standard output, unless a person sits there."""
    if output is not None and str(output) != "-":
        try:
            file = output.open("w", encoding="utf-8")
        except OSError as error:
            raise JobInvalid(f"{output} cannot be written: {error.strerror}; nothing is submitted") from None
        with file:
            yield file
    elif output is None and sys.stdout.isatty():
        yield None
    else:
        yield sys.stdout


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return parse_duration(text).total_seconds()
    except ValueError as error:
        raise JobInvalid(f"--timeout: {error}") from None
