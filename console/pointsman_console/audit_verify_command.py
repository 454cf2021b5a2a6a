"""`pointsman audit verify` and `audit checkpoint`: whether anybody changed the ledger."""

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointsman_queue import Settings
from pointsman_routes import UsageProblem

from . import screen
from .composition import open_ledger, open_notary

if TYPE_CHECKING:
    from pointsman_audit import Checkpoints, Finding, Ledger, PublicKey, Verdict

AsJson = Annotated[bool, typer.Option("--json", help="One object a line.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("verify")(verify)
    app.command("checkpoint")(checkpoint)


def verify(
    context: typer.Context,
    public_key: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="A public key whose checkpoints count; may be given again. [beside POINTSMAN_SIGNING_KEY]",
        ),
    ] = None,
    checkpoints: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A file of checkpoints; may be given again. [POINTSMAN_CHECKPOINTS]"),
    ] = None,
    no_checkpoints: Annotated[
        bool,
        typer.Option("--no-checkpoints", help="Check what can be checked without: not a chain rewritten to its end."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Recompute every record's hash and hold the chain against the signed checkpoints; needs no service but the ledger.

    Finds what was edited, deleted, inserted or put in another order, and a cut end, and names the first bad record.
    What comes after the last checkpoint is held by the chain alone: whoever can write to the database could have cut
    it off. Trust a copy of the public key, and of the checkpoints, that the ledger's machine cannot write to.

    Exit code 0: nothing was changed. 1: something was. 2: wrong use, or no checkpoints. 3: no ledger.
    """
    if no_checkpoints and checkpoints:
        raise UsageProblem("--no-checkpoints and --checkpoints exclude each other; give one of them")
    settings: Settings = context.obj
    files = [] if no_checkpoints else _checkpoints(checkpoints or [settings.effective_checkpoints])
    keys = _keys(settings, public_key) if files or public_key else []
    raise typer.Exit(asyncio.run(_verify(settings, files, keys, as_json)))


def checkpoint(
    context: typer.Context,
    sign: Annotated[bool, typer.Option("--sign", help="Make one now, with the private key.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the newest checkpoint, and how many records came after it. Keep it where the ledger's machine cannot write.

    With `--sign` one is made first, after the chain has been recomputed from the last one on.
    """
    raise typer.Exit(asyncio.run(_checkpoint(context.obj, sign, as_json)))


def _checkpoints(paths: list[Path]) -> "list[Checkpoints]":
    from pointsman_audit import CheckpointsUnusable, read_checkpoints

    files = [read_checkpoints(path) for path in paths]
    for path, file in zip(paths, files, strict=True):
        if file.foreign and not file.found:
            raise CheckpointsUnusable(f"no line of {path} is a checkpoint; name the recorder's file with --checkpoints")
    if not any(file.found for file in files):
        raise CheckpointsUnusable(
            f"there are no checkpoints in {', '.join(map(str, paths))}: without them neither a cut end nor a chain "
            "rewritten to its end is found; name their file with --checkpoints, or say --no-checkpoints"
        )
    return files


def _keys(settings: Settings, paths: list[Path] | None) -> "list[PublicKey]":
    from pointsman_audit import public_path, read_public_keys

    return [key for path in paths or [public_path(settings.effective_signing_key)] for key in read_public_keys(path)]


async def _verify(settings: Settings, files: "list[Checkpoints]", keys: "list[PublicKey]", as_json: bool) -> int:
    from pointsman_audit import examine

    async with open_ledger(settings) as ledger:
        with screen.progress_bar() as bar:
            task = bar.add_task("verifying", total=None)
            verdict = await examine(
                ledger, files, keys, progress=lambda read, end: bar.update(task, completed=read, total=end)
            )
    if as_json:
        screen.line(_object(verdict))
    else:
        for text in _told(verdict, with_checkpoints=bool(files)):
            screen.tell(text)
    return 0 if verdict.ok else 1


def _object(verdict: "Verdict") -> dict[str, object]:
    first = verdict.first
    return {
        "ok": verdict.ok,
        "ledger_id": verdict.ledger_id,
        "records": verdict.records,
        "checkpoints": verdict.checkpoints,
        "vouched": verdict.vouched,
        "torn": verdict.torn,
        "first_bad_seq": verdict.first_bad_seq,
        "between": verdict.between,
        "what": first.what if first else None,
        "text": first.text if first else None,
        "findings": [asdict(finding) for finding in verdict.findings],
    }


def _told(verdict: "Verdict", *, with_checkpoints: bool) -> list[str]:
    read = f"ledger {verdict.ledger_id}: {verdict.records:,} records, {verdict.checkpoints:,} good checkpoints"
    lines = [read, *(_line(finding) for finding in verdict.findings)]
    if verdict.torn:
        lines.append(f"{verdict.torn} half-written checkpoints, which vouch for nothing")
    if not verdict.ok:
        return lines
    if not with_checkpoints:
        lines.append("nothing found; without checkpoints neither a cut end nor a chain rewritten to its end would be")
        return lines
    after = verdict.records - verdict.vouched
    held = f"; the last {after:,} records are not signed yet: only the chain holds them" if after else ""
    lines.append(f"nothing was changed up to record {verdict.vouched:,}{held}")
    return lines


def _line(finding: "Finding") -> str:
    if finding.seq is None or finding.between is None:
        return f"{finding.text} ({finding.what})"
    low, high = finding.between
    doubt = "" if low == high else f", or another from {low} to {high}: no checkpoint is between"
    return f"first bad record {finding.seq}{doubt}: {finding.text} ({finding.what})"


async def _checkpoint(settings: Settings, sign: bool, as_json: bool) -> int:
    from pointsman_audit import CheckpointsUnusable, LedgerBroken, read_checkpoints

    path = settings.effective_checkpoints
    async with open_ledger(settings) as ledger:
        if sign:
            await _sign(settings, ledger)
        newest = read_checkpoints(path).newest
        head = await ledger.head()
    if newest is None:
        raise CheckpointsUnusable(f"there is no checkpoint in {path} yet; start `pointsman recorder`, or give --sign")
    if newest.seq > head:
        raise LedgerBroken(
            f"the newest checkpoint is of record {newest.seq}, the ledger ends at {head}; see `pointsman audit verify`"
        )
    if as_json:
        screen.line({"checkpoint": json.loads(newest.line), "records_after": head - newest.seq})
    else:
        screen.table(("checkpoint", "value"), [*asdict(newest).items(), ("records_after", head - newest.seq)])
    return 0


async def _sign(settings: Settings, ledger: "Ledger") -> None:
    from pointsman_audit import CheckpointsUnusable, KeyFileInvalid

    key = settings.effective_signing_key
    if not key.exists():
        raise KeyFileInvalid(f"there is no signing key at {key}; name the recorder's with POINTSMAN_SIGNING_KEY")
    notary = await open_notary(settings, ledger)
    if notary.unsigned:
        raise CheckpointsUnusable(f"nothing could be added to {settings.effective_checkpoints}; the log says why")
