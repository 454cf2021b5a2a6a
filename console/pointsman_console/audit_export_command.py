"""`pointsman audit export`: records taken out of the ledger, and a record that says so."""

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pointsman_queue import Settings
from pointsman_routes import ExportRecord, UsageProblem

from . import audit_filters as of
from . import screen
from .composition import open_ledger
from .new_file import new_file, see_to, sync
from .operator_name import operator_name

if TYPE_CHECKING:
    from pointsman_audit import Export, ExportForm, Ledger, RecordFilter, TextWriter, Written

_SUFFIXES = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".pq": "parquet"}
_OPTION = "--output"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    wanted: "RecordFilter"
    form: "ExportForm"
    raw: bool
    output: Path | None
    force: bool
    by: str


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export")(export)


def export(
    context: typer.Context,
    form: Annotated[
        Literal["csv", "jsonl", "parquet"] | None,
        typer.Option("--format", help="Without it: by the ending of the file's name, .csv, .jsonl or .parquet."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(_OPTION, metavar="FILE", help="Without it: standard output; Parquet needs a file."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw",
            help="The records' own texts, a line each, in the order of the chain: SHA-256 of a line is the prev_hash "
            "of the next one. Of all kinds, unless --kind is given.",
        ),
    ] = False,
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
    before: Annotated[int | None, typer.Option(metavar="SEQ", help="Only what comes before this record.")] = None,
    by: Annotated[str | None, typer.Option("--by", help="Who exports; default: the user of this machine.")] = None,
) -> None:
    """Export records as CSV, JSON lines or Parquet, under OpenTelemetry's names where it has one.

    Prompts and answers are never exported: records hold salted digests of them and nothing else. The file shows the
    ledger as it was at the start, and is there whole or not at all. A record in the ledger says who exported what:
    one who may not write there cannot export. Filters are those of `audit list`. Names, columns and what an apostrophe
    in a CSV means: docs/exporting.md.
    """
    from pointsman_audit import ExportForm, ListedKind, RecordFilter  # here, so that other commands do not load SQL

    chosen = ExportForm(_form(form, output, raw=raw))
    calls = owner or outcome or usage
    begin, end = of.span(since, until)
    wanted = RecordFilter(
        kind=ListedKind(kind or ("any" if raw else "attempt" if calls else "final")),
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
        limit=limit,
        before_seq=before,
    )
    if output is not None:
        see_to(_OPTION, output, force=force)
    elif force:
        raise UsageProblem("--force goes with --output; without a file nothing is replaced")
    order = _Order(wanted=wanted, form=chosen, raw=raw, output=output, force=force, by=operator_name(by))
    raise typer.Exit(asyncio.run(_export(context.obj, order)))


def _form(given: str | None, output: Path | None, *, raw: bool) -> str:
    """The form to export in.

    Raises:
        UsageProblem: if it is not said, or cannot be had there.
    """
    ending = None if output is None else _SUFFIXES.get(output.suffix.lower())
    form = given or ("jsonl" if raw else ending)
    if form is None:
        known = "csv or jsonl" if output is None else "csv, jsonl or parquet"
        raise UsageProblem(f"say in which form: --format {known}")
    if raw and form != "jsonl":
        raise UsageProblem(f"--raw is JSON lines; leave out --format {form}")
    if form == "parquet" and output is None:
        raise UsageProblem("Parquet needs a file; name it with --output")
    return form


async def _export(settings: Settings, order: _Order) -> int:
    from pointsman_audit import begin_export, record_export

    async with open_ledger(settings) as ledger:
        found = await begin_export(ledger, order.wanted)
        act = ExportRecord(
            form=order.form.value, filters=options_of(order.wanted, raw=order.raw), count=found.count, by=order.by
        )
        watched = screen.err.is_terminal and (order.output is not None or not screen.out.is_terminal)
        with screen.progress_bar() as bar:
            task = bar.add_task("records", total=found.count, visible=watched)
            if order.output is None:
                # Nothing leaves the ledger unrecorded, and a line that is out cannot be taken back.
                head = await record_export(ledger, act)
                await _to_standard_output(ledger, found, order, lambda count: bar.advance(task, count))
            else:
                with new_file(_OPTION, order.output, force=order.force) as draft:
                    await _to_file(ledger, found, order, draft, lambda count: bar.advance(task, count))
                    head = await record_export(ledger, act)
        unknown = () if found.count else await ledger.unknown_words(order.wanted)
    screen.say(
        f"{found.count:,} records, of a ledger that ended with record {found.head.seq} ({found.head.hash}); "
        f"record {head.seq} says that they were exported"
    )
    for remark in of.unknown_remarks(order.wanted.kind.value, unknown):
        screen.say(remark)
    return 0


def options_of(wanted: "RecordFilter", *, raw: bool) -> dict[str, str]:
    """What was asked for, by option of the command; what narrows nothing is left out."""
    moments = {"since": wanted.since, "until": wanted.until}
    given: dict[str, object] = {
        "kind": wanted.kind.value,
        **{of.OPTIONS.get(name, name): word for name, word in wanted.words.items()},
        **{name: str(flag).lower() for name, flag in wanted.flags.items()},
        **{name: moment and moment.isoformat() for name, moment in moments.items()},
        "batch": wanted.batch_id,
        "job": wanted.job_id,
        "custom-id": wanted.custom_id,
        "limit": wanted.limit,
        "before": wanted.before_seq,
        "raw": "true" if raw else None,
    }
    return {name: str(value) for name, value in given.items() if value is not None}


async def _to_standard_output(ledger: "Ledger", found: "Export", order: _Order, written: "Written") -> None:
    try:
        sys.stdout.flush()
        await _writer(order)(ledger, found, sys.stdout.buffer.write, written)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UsageProblem(f"standard output cannot be written: {error.strerror}; name a file with --output") from None


async def _to_file(ledger: "Ledger", found: "Export", order: _Order, draft: Path, written: "Written") -> None:
    from pointsman_audit import ExportForm, write_parquet

    if order.form is ExportForm.PARQUET:
        await write_parquet(ledger, found, draft, written)
    else:
        with draft.open("xb") as file:
            await _writer(order)(ledger, found, file.write, written)
    sync(draft)


def _writer(order: _Order) -> "TextWriter":
    from pointsman_audit import ExportForm, write_csv, write_jsonl, write_raw

    if order.raw:
        return write_raw
    return write_csv if order.form is ExportForm.CSV else write_jsonl
