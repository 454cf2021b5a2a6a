"""`pointsman audit list`: records found, shown, paged through, added up."""

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pointsman_queue import Settings
from pointsman_routes import UsageProblem

from . import audit_filters as of
from . import screen
from .composition import open_ledger
from .group_table import group_object, group_table
from .printable import printable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pointsman_audit import GroupKey, Ledger, RecordFilter, ShownRecord

_SCREENFUL = 100
"""Records a table shows unless told otherwise."""
_COLUMNS = {
    "final": (
        "seq", "finished_at", "job_id", "custom_id", "task_class", "state", "requested_tier", "served_tier",
        "served_model", "fallback_reason", "downgraded", "attempts", "cost_microusd", "error_code",
    ),
    "attempt": (
        "seq", "started_at", "job_id", "attempt", "tier", "outcome", "http_status", "response_model", "input_tokens",
        "output_tokens", "cost_microusd", "counted",
    ),
    "any": ("seq", "at", "kind", "job_id", "task_class", "tier", "state", "outcome", "reason"),
}  # fmt: skip
_SAME = {
    "at": ("at", "finished_at", "started_at", "accepted_at"),
    "tier": ("tier", "served_tier", "requested_tier", "from_tier", "scope"),
    "reason": ("reason", "fallback_reason"),
}
"""Where kinds of records have what stands in one column of all kinds; the first that says something."""
_OF_ATTEMPTS = frozenset({"outcome", "owner"})
"""Keys that only attempts have."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("list")(list_records)


def list_records(
    context: typer.Context,
    kind: of.OfKind = None,
    class_name: of.OfClass = None,
    tier: of.OfTier = None,
    provider: of.OfProvider = None,
    owner: of.OfOwner = None,
    model: of.OfModel = None,
    region: of.OfRegion = None,
    state: of.OfState = None,
    outcome: of.OfOutcome = None,
    reason: of.OfReason = None,
    error: of.OfError = None,
    usage: of.OfUsage = None,
    since: of.Since = None,
    until: of.Until = None,
    fallback: of.Fallback = False,
    downgraded: of.Downgraded = False,
    mismatch: of.Mismatch = False,
    batch: of.OfBatch = None,
    job: of.OfJob = None,
    custom_id: of.OfCustomId = None,
    limit: Annotated[int | None, typer.Option(help="Only the newest so many.")] = None,
    before: Annotated[
        int | None, typer.Option(metavar="SEQ", help="Only what comes before this record: the next page back.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of it, not only the newest hundred.")] = False,
    group_by: Annotated[
        str | None,
        typer.Option(
            metavar="KEY[,KEY]",
            help="Add up instead: records, tokens, cost, latency, by class, tier, provider, owner, model, region, "
            "state, outcome, reason, kind, or day in UTC. Of jobs, or of calls where outcome or owner is a key.",
        ),
    ] = None,
    as_json: of.AsJson = False,
) -> None:
    """List records, oldest first, or add them up.

    Filters narrow together. They compare whole words; a word that no record has is told with those that some have.
    A table shows the newest hundred, unless told otherwise; --json shows all there are, unless --limit is given.
    """
    from pointsman_audit import ListedKind, RecordFilter  # here, so that other commands do not load SQL

    keys = _keys(group_by)
    if limit is not None and everything:
        raise UsageProblem("--limit and --all contradict each other; leave one out")
    if keys and (limit is not None or before is not None):
        raise UsageProblem("--group-by adds up all that is found; leave out --limit and --before, or narrow by --since")
    calls = owner or outcome or usage or _OF_ATTEMPTS.intersection(keys)
    chosen = kind or ("attempt" if calls else "final")
    screenful = None if everything or as_json or keys else _SCREENFUL
    begin, end = of.span(since, until)
    wanted = RecordFilter(
        kind=ListedKind(chosen),
        task_class=class_name,
        tier=tier,
        provider=provider,
        owner=owner,
        model=model,
        region=region,
        state=state,
        outcome=outcome,
        reason=reason,
        error_code=error,
        usage_source=usage,
        since=begin,
        until=end,
        fallback=fallback or None,
        downgraded=downgraded or None,
        mismatch=mismatch or None,
        batch_id=batch,
        job_id=job,
        custom_id=custom_id,
        limit=screenful if limit is None else limit,
        before_seq=before,
    )
    work = _groups(context.obj, wanted, keys, as_json) if keys else _list(context.obj, wanted, as_json)
    raise typer.Exit(asyncio.run(work))


def _keys(text: str | None) -> "tuple[GroupKey, ...]":
    if text is None:
        return ()
    from pointsman_audit import GroupKey

    known = [key.value for key in GroupKey]
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in known:
            raise UsageProblem(f"--group-by: {name!r} is no key; known: {', '.join(known)}")
    return tuple(GroupKey(name) for name in names)


async def _list(settings: Settings, wanted: "RecordFilter", as_json: bool) -> int:
    async with open_ledger(settings) as ledger:
        columns = _COLUMNS.get(wanted.kind.value)
        rows: list[dict[str, Any]] = []
        shown, first = 0, 0
        async for record in _found(ledger, wanted):
            shown, first = shown + 1, first or record["seq"]
            if as_json:
                screen.line(record)
            else:
                rows.append(record if columns is None else {name: _first(record, name) for name in columns})
        if not as_json:
            # Of one kind; it need not be said in every row.
            names = columns or tuple(dict.fromkeys(name for row in rows for name in row if name != "kind"))
            if names:
                screen.table(names, ([_cell(row.get(name)) for name in names] for row in rows))
            screen.say(f"{shown:,} records")
        for remark in await _remarks(ledger, wanted, shown, first):
            screen.say(remark)
    return 0


async def _found(ledger: "Ledger", wanted: "RecordFilter") -> "AsyncIterator[ShownRecord]":
    """Records, with a bar where they go into a file and somebody watches."""
    with screen.progress_bar() as bar:
        watched = screen.err.is_terminal and not screen.out.is_terminal
        task = bar.add_task("records", total=await ledger.count(wanted) if watched else None, visible=watched)
        async for record in ledger.list(wanted):
            yield record
            if watched:
                bar.advance(task)


async def _remarks(ledger: "Ledger", wanted: "RecordFilter", shown: int, first: int) -> list[str]:
    """What to say after a listing: that there is more and how to see it; why there is nothing."""
    if not shown:
        return of.unknown_remarks(wanted.kind.value, await ledger.unknown_words(wanted))
    if shown == wanted.limit and await ledger.count(replace(wanted, limit=1, before_seq=first)):
        return [f"there are older ones: --before {first} shows the page before these, --limit N or --all more at once"]
    return []


async def _groups(settings: Settings, wanted: "RecordFilter", keys: "tuple[GroupKey, ...]", as_json: bool) -> int:
    async with open_ledger(settings) as ledger:
        with screen.progress_bar() as bar:
            bar.add_task("adding up", total=None)
            groups = await ledger.groups(wanted, keys)
        remarks = [] if groups else of.unknown_remarks(wanted.kind.value, await ledger.unknown_words(wanted))
    if as_json:
        for group in groups:
            screen.line(group_object(keys, group))
    else:
        group_table(keys, groups)
        screen.say(f"{sum(group.records for group in groups):,} records")
    for remark in remarks:
        screen.say(remark)
    return 0


def _cell(value: Any) -> str | None:
    """What is shown of a value: in one line, since a custom id or a model's name may have any character in it."""
    if isinstance(value, dict | list):
        return printable(json.dumps(value, ensure_ascii=False))
    return None if value is None else printable(value)


def _first(record: "ShownRecord", name: str) -> Any:
    values = (record.get(source) for source in _SAME.get(name, (name,)))
    return next((value for value in values if value is not None), None)
