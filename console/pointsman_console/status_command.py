"""`pointsman status`: the line at a moment, or one batch."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Annotated, Any

import typer

from pointsman_queue import BatchProgress, Gate, Overview, Settings
from pointsman_routes import JobNotFound, RouteTable

from . import screen
from .composition import load_table, open_line
from .forecast import in_words
from .gate_words import left_lines, limit_lines, limits_of, state_of
from .outcome_table import Ends, outcome_object, outcome_table
from .recorder_lines import line_counts, recorder_lines

Row = dict[str, Any]
"""A tier or an account, as `--json` shows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of the table."""

    heading: str
    cell: Callable[[Row], object]
    account: Callable[[Row], object] | None = None
    """What it shows of an account; nothing when absent."""
    figure: bool = True
    """Whether it holds figures, which are aligned at the right."""


_COLUMNS = (
    Column(heading="TIER", cell=itemgetter("tier"), account=itemgetter("account"), figure=False),
    Column(heading="STATE", cell=itemgetter("state"), account=lambda _: "account", figure=False),
    Column(heading="QUEUED", cell=itemgetter("queued")),
    Column(heading="DELAYED", cell=itemgetter("delayed")),
    Column(heading="IN\nFLIGHT", cell=itemgetter("in_flight")),
    Column(heading="HELD", cell=itemgetter("held")),
    Column(heading="429s", cell=itemgetter("throttles")),
    Column(heading="LIMITS", cell=limit_lines, account=limit_lines, figure=False),
    Column(heading="LEFT", cell=left_lines, account=left_lines),
    Column(heading="NEXT", cell=lambda row: _span(row["next_free_s"], none="now")),
    Column(heading="EMPTY\nIN", cell=lambda row: _span(row["drain_s"])),
    Column(heading="WORKERS", cell=itemgetter("workers")),
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status")(status)


def status(
    context: typer.Context,
    batch: Annotated[str | None, typer.Argument(help="A batch id.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One object a line.")] = False,
) -> None:
    """Show queues, leases, buckets, breakers, held jobs, workers, recorders, how calls ended; or how far a batch is."""
    raise typer.Exit(asyncio.run(_status(context.obj, batch, as_json)))


async def _status(settings: Settings, batch: str | None, as_json: bool) -> int:
    async with open_line(settings) as line:
        if batch is not None:
            progress = await line.jobs.progress(batch)
            if progress is None:
                raise JobNotFound(f"no batch {batch!r} is known here, or no longer; see `pointsman audit list`")
            _show_batch(batch, progress, as_json)
            return 0
        table = load_table(settings)
        overview = await line.observer.overview(list(table.tiers))
        gates = await line.switchboard.gates([*table.tiers, *table.providers])
        ends = [
            (found.tier, found.task_class, {kind.value: count for kind, count in found.counts.items()})
            for found in await line.observer.rates(list(table.tiers))
        ]
    rows = list(_tier_rows(table, overview, gates))
    accounts = list(_account_rows(table, gates))
    if as_json:
        _show_objects(rows, accounts, ends, overview)
        return 0
    _show_table(rows, accounts)
    if ends:
        screen.tell("")
        outcome_table(ends, title="how calls ended in the last hour")
    screen.tell(
        f"\n{overview.held:,} held jobs; {overview.outbox:,} records not yet in the ledger; "
        f"{len(overview.workers)} workers"
    )
    for text in recorder_lines(overview):
        screen.tell(text)
    return 0


def _show_objects(rows: Iterable[Row], accounts: Iterable[Row], ends: Iterable[Ends], overview: Overview) -> None:
    for row in rows:
        screen.line({"kind": "tier", **row})
    for row in accounts:
        screen.line({"kind": "account", **row})
    for tier, task_class, counts in ends:
        screen.line({"kind": "rates", **outcome_object(tier, task_class, counts)})
    for name, health in overview.workers.items():
        screen.line({"kind": "worker", "worker": name, **health})
    for name, health in overview.recorders.items():
        screen.line({"kind": "recorder", "recorder": name, **health})
    screen.line({"kind": "line", **line_counts(overview)})


def _show_table(rows: Sequence[Row], accounts: Sequence[Row]) -> None:
    screen.table(
        [column.heading for column in _COLUMNS],
        (
            *([column.cell(row) for column in _COLUMNS] for row in rows),
            *([column.account(row) if column.account else "" for column in _COLUMNS] for row in accounts),
        ),
        whole={column.heading for column in _COLUMNS if column.heading != "STATE"},
        right={column.heading for column in _COLUMNS if column.figure},
    )


def _show_batch(batch: str, progress: BatchProgress, as_json: bool) -> None:
    counts = {
        "total": progress.total,
        "succeeded": progress.succeeded,
        "failed": progress.failed,
        "expired": progress.expired,
        "cancelled": progress.cancelled,
        "outstanding": progress.outstanding,
    }
    if as_json:
        screen.line({"kind": "batch", "batch": batch, **counts})
    else:
        screen.table(counts.keys(), [counts.values()], title=f"batch {batch}")


def _tier_rows(table: RouteTable, overview: Overview, gates: dict[str, Gate]) -> Iterable[Row]:
    for load in overview.tiers:
        gate, account = gates[load.tier], gates[load.tier.partition("/")[0]]
        workers = sum(1 for health in overview.workers.values() if load.tier in health.get("tiers", {}))
        yield {
            "tier": load.tier,
            "state": state_of(gate, account),
            "queued": load.queued,
            "delayed": load.delayed,
            "in_flight": load.leased,
            "held": load.held,
            "throttles": gate.throttles,
            **limits_of(table.tiers[load.tier].limits, gate),
            "next_free_s": round(max(gate.next_free_s, account.throttled_for_s), 3),
            "drain_s": _rounded(gate.drain_s(load.queued + load.delayed)),
            "token_factor": gate.token_factor,
            "breaker": gate.breaker.value,
            "workers": workers,
        }


def _account_rows(table: RouteTable, gates: dict[str, Gate]) -> Iterable[Row]:
    """Accounts that have limits of their own."""
    for provider in table.providers.values():
        limits = limits_of(provider.limits, gates[provider.name])
        if limits["limits"] or limits["learned"]:
            yield {"account": provider.name, **limits}


def _rounded(seconds: float | None) -> float | None:
    return round(seconds, 3) if seconds is not None else None


def _span(seconds: float | None, *, none: str = "-") -> str:
    if seconds is None:
        return "?"
    return in_words(seconds) if seconds > 0 else none
