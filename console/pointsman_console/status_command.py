"""`pointsman status`: the line at a moment, or one batch."""

import asyncio
from collections.abc import Iterable
from typing import Annotated, Any

import typer

from pointsman_queue import BatchProgress, Gate, Overview, Settings
from pointsman_routes import JobNotFound, RouteTable

from . import screen
from .composition import load_table, open_line


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status")(status)


def status(
    context: typer.Context,
    batch: Annotated[str | None, typer.Argument(help="A batch id.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One object a line.")] = False,
) -> None:
    """Show queues, leases, buckets, breakers, held jobs and living workers; or how far a batch is."""
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
    rows = list(_tier_rows(table, overview, gates))
    if as_json:
        for row in rows:
            screen.line({"kind": "tier", **row})
        for name, health in overview.workers.items():
            screen.line({"kind": "worker", "worker": name, **health})
        screen.line({"kind": "line", "held": overview.held, "unrecorded": overview.outbox})
        return 0
    screen.table(
        ("TIER", "STATE", "QUEUED", "DELAYED", "IN FLIGHT", "HELD", "429s", "LIMITS", "WORKERS"),
        (
            (
                row["tier"], row["state"], row["queued"], row["delayed"], row["in_flight"], row["held"],
                row["throttles"], _limits_text(row["limits"]), row["workers"],
            )
            for row in rows
        ),
    )  # fmt: skip
    screen.out.print(
        f"\n{overview.held:,} held jobs; {overview.outbox:,} records not yet in the ledger; "
        f"{len(overview.workers)} workers"
    )
    return 0


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


def _tier_rows(table: RouteTable, overview: Overview, gates: dict[str, Gate]) -> Iterable[dict[str, Any]]:
    for load in overview.tiers:
        gate, account = gates[load.tier], gates[load.tier.partition("/")[0]]
        workers = sum(1 for health in overview.workers.values() if load.tier in health.get("tiers", {}))
        yield {
            "tier": load.tier,
            "state": _state(gate, account),
            "queued": load.queued,
            "delayed": load.delayed,
            "in_flight": load.leased,
            "held": load.held,
            "throttles": gate.throttles,
            "limits": table.tiers[load.tier].limits.model_dump(exclude_defaults=True),
            "levels": {name: round(level, 3) for name, level in gate.levels.items()},
            "token_factor": gate.token_factor,
            "breaker": gate.breaker.value,
            "workers": workers,
        }


def _state(gate: Gate, account: Gate) -> str:
    for entry in (gate, account):
        if entry.disabled is not None:
            return f"disabled by {entry.disabled_by}: {entry.disabled}"
        if entry.closed is not None:
            span = f" for {entry.closed_for_s:.0f}s" if entry.closed_for_s is not None else " until enabled"
            return f"closed{span}: {entry.closed}"
    if gate.breaker.value != "closed":
        return f"breaker {gate.breaker.value}"
    waits = max(gate.throttled_for_s, account.throttled_for_s)
    return f"throttled for {waits:.1f}s" if waits > 0 else "open"


def _limits_text(limits: dict[str, int]) -> str:
    return " ".join(f"{name}={value}" for name, value in limits.items()) or "none"
