"""`pointsman status`: the line at a moment, or one batch."""

import asyncio
from collections.abc import Iterable
from typing import Annotated, Any

import typer

from pointsman_queue import BatchProgress, Gate, Overview, Settings
from pointsman_routes import JobNotFound, Limits, RouteTable

from . import screen
from .composition import load_table, open_line
from .forecast import in_words

_COLUMNS = (
    "TIER", "STATE", "QUEUED", "DELAYED", "IN FLIGHT", "HELD", "429s", "LIMITS", "LEFT", "NEXT", "EMPTY IN", "WORKERS",
)  # fmt: skip


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
    accounts = list(_account_rows(table, gates))
    if as_json:
        for row in rows:
            screen.line({"kind": "tier", **row})
        for row in accounts:
            screen.line({"kind": "account", **row})
        for name, health in overview.workers.items():
            screen.line({"kind": "worker", "worker": name, **health})
        screen.line({"kind": "line", "held": overview.held, "unrecorded": overview.outbox})
        return 0
    screen.table(
        _COLUMNS,
        (
            *(
                (
                    row["tier"], row["state"], row["queued"], row["delayed"], row["in_flight"], row["held"],
                    row["throttles"], _limits_text(row), _left_text(row), _span(row["next_free_s"], none="now"),
                    _span(row["drain_s"]), row["workers"],
                )
                for row in rows
            ),
            *(
                (row["account"], "account", "", "", "", "", "", _limits_text(row), _left_text(row), "", "", "")
                for row in accounts
            ),
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
            **_limits(table.tiers[load.tier].limits, gate),
            "next_free_s": round(max(gate.next_free_s, account.throttled_for_s), 3),
            "drain_s": gate.drain_s(load.queued + load.delayed),
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


def _account_rows(table: RouteTable, gates: dict[str, Gate]) -> Iterable[dict[str, Any]]:
    """Accounts that have limits of their own."""
    for provider in table.providers.values():
        limits = _limits(provider.limits, gates[provider.name])
        if limits["limits"] or limits["learned"]:
            yield {"account": provider.name, **limits}


def _limits(configured: Limits, gate: Gate) -> dict[str, Any]:
    return {
        "limits": configured.model_dump(exclude_defaults=True),
        "learned": {
            name: {"limit": limit.limit, "from": "vendor" if limit.told else "refusals", "refills": limit.refills}
            for name, limit in gate.learned.items()
        },
        "levels": {name: round(level, 3) for name, level in gate.levels.items()},
    }


def _limits_text(row: dict[str, Any]) -> str:
    """What is configured, and after an arrow what was learned, marked ~ where it follows from refusals."""
    parts = []
    for name in dict.fromkeys((*row["limits"], *row["learned"])):
        learned, set_to = row["learned"].get(name), row["limits"].get(name)
        text = f"{name}={set_to}" if set_to is not None else f"{name}="
        if learned is not None and learned["limit"] != set_to:
            mark = "" if learned["from"] == "vendor" else "~"
            text += f"{'->' if set_to is not None else ''}{mark}{learned['limit']}"
        parts.append(text)
    return " ".join(parts) or "none"


def _left_text(row: dict[str, Any]) -> str:
    return " ".join(f"{name}={level:.0f}" for name, level in row["levels"].items())


def _span(seconds: float | None, *, none: str = "-") -> str:
    if seconds is None:
        return "?"
    return in_words(seconds) if seconds > 0 else none
