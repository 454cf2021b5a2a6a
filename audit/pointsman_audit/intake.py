"""From an outbox entry to a row of the ledger, or to the reason why it is no record.

The contract's models are not run over every record: they have been built from those models a moment ago, and a
recorder that is older than the workers must not refuse what it does not know yet. Seen to here: that it is a JSON
object of a known kind with every field the contract requires, and that what goes into a column is of the
column's type. A field nobody declared stays in the body and is not shown.
"""

import json
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from pointsman_queue import OutboxEntry
from pointsman_routes import (
    AcceptedRecord,
    AttemptFinished,
    AttemptStarted,
    FinalRecord,
    HeldRecord,
    MovedRecord,
    OutcomeKind,
    RecordKind,
    SwitchRecord,
    Wire,
)

from .moment import LATEST

Row = dict[str, Any]
"""A row of `records` without its number."""

CONTRACT: dict[RecordKind, type[Wire]] = {
    RecordKind.ACCEPTED: AcceptedRecord,
    RecordKind.ATTEMPT_STARTED: AttemptStarted,
    RecordKind.ATTEMPT_FINISHED: AttemptFinished,
    RecordKind.MOVED: MovedRecord,
    RecordKind.HELD: HeldRecord,
    RecordKind.FINAL: FinalRecord,
    RecordKind.SWITCH: SwitchRecord,
}
TIME_NAMES: dict[RecordKind, str] = {
    RecordKind.ACCEPTED: "accepted_at",
    RecordKind.ATTEMPT_STARTED: "started_at",
    RecordKind.ATTEMPT_FINISHED: "finished_at",
    RecordKind.MOVED: "at",
    RecordKind.HELD: "at",
    RecordKind.FINAL: "finished_at",
    RecordKind.SWITCH: "at",
}
"""What the outbox's `at` is called in a record of that kind."""

LONGEST_RECORD = 1_000_000
"""Bytes; a record is about one thousand."""
_LONGEST_RAW = 65_536
_LONGEST_TEXT = 1024
"""Bytes in a column; an index entry of PostgreSQL has room for 2,704 in all."""
_LARGEST = 2**63 - 1
_KINDS = frozenset(kind.value for kind in RecordKind)
_REQUIRED = {
    kind: tuple(name for name, field in model.model_fields.items() if field.is_required())
    for kind, model in CONTRACT.items()
}
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode
"""Compact, sorted, and ASCII only: an escape carries what a text column cannot, a NUL."""
_TEXTS = ("job_id", "batch_id", "custom_id", "task_class", "state", "outcome")
_NUMBERS = ("attempt", "fence")
_FLAGS = ("downgraded", "mismatch")
_MOMENTS = ("accepted_at", "started_at", "finished_at")
_TRACK = {
    RecordKind.ACCEPTED: ("requested_tier", None),
    RecordKind.ATTEMPT_STARTED: ("tier", "model"),
    RecordKind.ATTEMPT_FINISHED: ("tier", "model"),
    RecordKind.MOVED: ("from_tier", None),
    RecordKind.HELD: ("tier", None),
    RecordKind.SWITCH: ("scope", None),
}
"""Which fields are the `tier` and `model` a record is found by; a final record's are chosen in `_track`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """An entry that is no record."""

    entry_id: str
    at: int
    reason: str
    """What is wrong with it; names fields, never what is in them."""
    raw: str
    """The entry as text, cut off after 64 Ki characters; bytes that are no text are written as `\\xNN`."""


class _Unreadable(Exception):
    """An entry is no record; the message says why."""


def read_entry(entry: OutboxEntry) -> Row | Garbage:
    """Make a row of an entry, or say why not. Never raises, whatever the entry holds."""
    try:
        return _row(entry)
    except _Unreadable as problem:
        # Cut first: a megabyte of garbage need not be decoded to keep its beginning.
        raw = entry.record[:_LONGEST_RAW].decode("utf-8", "backslashreplace").replace("\0", "\\x00")
        at = entry.at if entry.at <= _LARGEST else 0
        return Garbage(entry_id=entry.entry_id, at=at, reason=str(problem), raw=raw[:_LONGEST_RAW])


def _row(entry: OutboxEntry) -> Row:
    body = _body(entry.record)
    kind = _kind(body)
    if not 0 < entry.at <= LATEST:
        raise _Unreadable("no time")
    for name in _REQUIRED[kind]:
        if name not in body:
            raise _Unreadable(f"{name} is missing")
    body[TIME_NAMES[kind]] = entry.at
    for name in _MOMENTS:
        if name in body:
            _moment(body, name)
    if kind is not RecordKind.SWITCH and not body["job_id"]:
        raise _Unreadable("job_id is empty")
    tier, model = _track(kind, body)
    row: Row = {"kind": kind.value, "at": entry.at, "tier": tier, "model": model}
    row.update((name, _text(body, name)) for name in _TEXTS)
    row.update((name, _number(body, name)) for name in _NUMBERS)
    row.update((name, _flag(body, name)) for name in _FLAGS)
    row["fallback"] = _fallback(kind, body)
    row["mismatch"] = row["mismatch"] or row["outcome"] == OutcomeKind.MISROUTED
    row["body"] = _canonical(body)
    return row


def _canonical(body: dict[str, Any]) -> str:
    try:
        return _encode(body)
    except ValueError:
        # 1e999 is JSON and yet no number: it is read as infinite, which JSON cannot say.
        raise _Unreadable("a number is too large") from None


def _body(record: bytes) -> dict[str, Any]:
    if len(record) > LONGEST_RECORD:
        raise _Unreadable("too long")
    try:
        body = from_json(record, allow_inf_nan=False)
    except ValueError:
        raise _Unreadable("not JSON") from None
    if not isinstance(body, dict):
        raise _Unreadable("not an object")
    return body


def _kind(body: dict[str, Any]) -> RecordKind:
    kind = body.get("kind")
    # Text first: a list cannot be looked up.
    if not isinstance(kind, str) or kind not in _KINDS:
        raise _Unreadable("unknown kind")
    return RecordKind(kind)


def _track(kind: RecordKind, body: dict[str, Any]) -> tuple[str | None, str | None]:
    """The tier and model a record is found by: of a final record the served ones, or else the requested ones."""
    if kind is RecordKind.FINAL:
        # Together: a served tier whose vendor named no model must not be found under the primary's model.
        side = "served" if body.get("served_tier") is not None else "requested"
        return _text(body, f"{side}_tier"), _text(body, f"{side}_model")
    tier, model = _TRACK[kind]
    return _text(body, tier), None if model is None else _text(body, model)


def _fallback(kind: RecordKind, body: dict[str, Any]) -> bool:
    if kind is RecordKind.FINAL:
        return body.get("fallback_reason") is not None
    return (_number(body, "hop") or 0) > 0


def _text(body: dict[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise _Unreadable(f"{name} is no text")
    if len(value) > _LONGEST_TEXT or (not value.isascii() and len(value.encode()) > _LONGEST_TEXT):
        raise _Unreadable(f"{name} is too long")
    # A column only helps to find the record; its body keeps the text as it was.
    return value.replace("\0", "\\x00")


def _number(body: dict[str, Any], name: str) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if type(value) is not int or not -_LARGEST <= value <= _LARGEST:
        raise _Unreadable(f"{name} is no whole number")
    return value


def _flag(body: dict[str, Any], name: str) -> bool:
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise _Unreadable(f"{name} is neither true nor false")
    return value


def _moment(body: dict[str, Any], name: str) -> None:
    value = body[name]
    if type(value) is not int or not 0 <= value <= LATEST:
        raise _Unreadable(f"{name} is no moment")
