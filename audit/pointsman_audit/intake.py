"""From an outbox entry to a draft of a record, or to the reason why it is no record.

The contract's models are not run over every record: they have been built from those models a moment ago, and a
recorder that is older than the workers must not refuse what it does not know yet. Seen to here: that it is a JSON
object of a known kind with every field the contract requires, that canonical JSON can express it, and that what goes
into a column is of the column's type. A field nobody declared stays in the record and is not shown.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic_core import from_json

from pointsman_queue import OutboxEntry
from pointsman_routes import (
    AcceptedRecord,
    AttemptFinished,
    AttemptStarted,
    ErasureRecord,
    ExportRecord,
    FinalRecord,
    HeldRecord,
    KeyRecord,
    MovedRecord,
    PolicyRecord,
    QuarantinedRecord,
    Record,
    RecordKind,
    ReleasedRecord,
    SwitchRecord,
    Wire,
)

from .chain import expressible
from .columns import Columns, Unreadable, columns_of, time_name
from .moment import LATEST

CONTRACT: dict[RecordKind, type[Wire]] = {
    RecordKind.ACCEPTED: AcceptedRecord,
    RecordKind.ATTEMPT_STARTED: AttemptStarted,
    RecordKind.ATTEMPT_FINISHED: AttemptFinished,
    RecordKind.MOVED: MovedRecord,
    RecordKind.HELD: HeldRecord,
    RecordKind.RELEASED: ReleasedRecord,
    RecordKind.FINAL: FinalRecord,
    RecordKind.SWITCH: SwitchRecord,
    RecordKind.POLICY_CHANGE: PolicyRecord,
    RecordKind.KEY_CHANGE: KeyRecord,
    RecordKind.ERASURE: ErasureRecord,
    RecordKind.EXPORT: ExportRecord,
    RecordKind.QUARANTINED: QuarantinedRecord,
}
LONGEST_RECORD = 1_000_000
"""Bytes; a record is about one thousand."""
_LONGEST_RAW = 65_536
_LARGEST = 2**63 - 1
_KINDS = frozenset(kind.value for kind in RecordKind)
_REQUIRED = {
    kind: tuple(name for name, field in model.model_fields.items() if field.is_required())
    for kind, model in CONTRACT.items()
}
_NAMED_JOB = frozenset(kind for kind, names in _REQUIRED.items() if "job_id" in names)
_MOMENTS = ("accepted_at", "started_at", "finished_at")
_OWN_ACTS = frozenset({RecordKind.ERASURE, RecordKind.EXPORT})
_OWN_FIELDS = {
    RecordKind.KEY_CHANGE: ("key_id", "public_key"),
    RecordKind.QUARANTINED: ("source", "entry_id"),
}
"""What nobody but the ledger itself tells of; whoever can write to Redis must not speak for it."""


class Draft(NamedTuple):
    """A record that has no number yet."""

    kind: RecordKind
    columns: Columns
    body: dict[str, Any]
    """The record, with its own time; the chain adds number and `prev_hash`."""
    policy: str | None = None
    """The configuration that came with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """An entry that is no record."""

    entry_id: str
    at: int
    reason: str
    """What is wrong with it; names fields, never what is in them."""
    raw: str
    """The entry as text, cut off after 64 Ki characters; bytes that are no text are written as `\\xNN`."""
    raw_digest: str
    """SHA-256 of the whole entry."""


def read_entry(entry: OutboxEntry) -> Draft | Garbage:
    """Make a draft of an entry, or say why not. Never raises, whatever the entry holds."""
    try:
        return _draft(entry)
    except Unreadable as problem:
        # Cut first: a megabyte of garbage need not be decoded to keep its beginning.
        raw = entry.record[:_LONGEST_RAW].decode("utf-8", "backslashreplace").replace("\0", "\\x00")
        return Garbage(
            entry_id=entry.entry_id,
            at=entry.at if entry.at <= _LARGEST else 0,
            reason=str(problem),
            raw=raw[:_LONGEST_RAW],
            raw_digest=hashlib.sha256(entry.record).hexdigest(),
        )


def draft_of(record: Record, at: int) -> Draft:
    """The draft of an act that the ledger itself is the scene of.

    Args:
        record: a record without its time.
        at: microseconds since the epoch.
    """
    body = record.model_dump(mode="json")
    kind = RecordKind(body["kind"])
    body[time_name(kind)] = at
    return Draft(kind, columns_of(kind, body), body)


def _draft(entry: OutboxEntry) -> Draft:
    body = _body(entry.record)
    kind = _kind(body)
    if not 0 < entry.at <= LATEST:
        raise Unreadable("no time")
    for name in _REQUIRED[kind]:
        if name not in body:
            raise Unreadable(f"{name} is missing")
    body[time_name(kind)] = entry.at
    for name in _MOMENTS:
        if name in body:
            _moment(body, name)
    if kind in _NAMED_JOB and not body["job_id"]:
        raise Unreadable("job_id is empty")
    policy = _policy(body) if kind is RecordKind.POLICY_CHANGE else None
    # The chain's own; whoever wrote them into the outbox did not know them.
    body.pop("seq", None)
    body.pop("prev_hash", None)
    columns = columns_of(kind, body)
    if not expressible(body):
        raise Unreadable("a number is too large")
    return Draft(kind, columns, body, policy)


def _body(record: bytes) -> dict[str, Any]:
    if len(record) > LONGEST_RECORD:
        raise Unreadable("too long")
    try:
        body = from_json(record, allow_inf_nan=False)
    except ValueError:
        raise Unreadable("not JSON") from None
    if not isinstance(body, dict):
        raise Unreadable("not an object")
    return body


def _kind(body: dict[str, Any]) -> RecordKind:
    kind = body.get("kind")
    # Text first: a list cannot be looked up.
    if not isinstance(kind, str) or kind not in _KINDS:
        raise Unreadable("unknown kind")
    found = RecordKind(kind)
    if found in _OWN_ACTS or any(body.get(name) is not None for name in _OWN_FIELDS.get(found, ())):
        raise Unreadable("only the ledger itself tells this")
    return found


def _policy(body: dict[str, Any]) -> str | None:
    """Take the configuration out: it is kept once, under its digest, which stays."""
    policy = body.pop("policy", None)
    if policy is None:
        return None
    if not isinstance(policy, str) or hashlib.sha256(policy.encode()).hexdigest() != body["policy_digest"]:
        raise Unreadable("policy is not what policy_digest says")
    if "\0" in policy:
        # No column holds it, and a canonical configuration escapes it.
        raise Unreadable("policy is no configuration")
    return policy


def _moment(body: dict[str, Any], name: str) -> None:
    value = body[name]
    if type(value) is not int or not 0 <= value <= LATEST:
        raise Unreadable(f"{name} is no moment")
