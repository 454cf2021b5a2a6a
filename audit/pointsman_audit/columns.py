"""What a record is found and counted by: columns beside its text, every one made from the text alone.

Most questions are asked of a few words: class, tier, outcome, and so on. There are few combinations of them, however
many records, so each combination is a `Facet` that the ledger holds once, and a record names its facet. Any question
then is: which facets answer it, and what are the newest records of these. Weakness: a vendor that names another model
in every answer makes a facet of every answer.
"""

import hashlib
import json
from typing import Any, NamedTuple

from pointsman_routes import OutcomeKind, RecordKind

LONGEST_TEXT = 1024
"""Bytes in a column; an index entry of PostgreSQL has room for 2,704 in all."""
_LARGEST = 2**53 - 1


class Unreadable(Exception):
    """A record says something that it cannot say; the message names the field, never what is in it."""


class Facet(NamedTuple):
    """The words a record is found by. What a kind of record does not have is None, or false."""

    kind: str
    task_class: str | None = None
    tier: str | None = None
    """Of a final record the tier that answered, or the one asked for if none did; of a move the tier left."""
    provider: str | None = None
    owner: str | None = None
    """Who answers for the key of an attempt."""
    model: str | None = None
    """Chosen as the tier is; of an attempt the one asked for."""
    region: str | None = None
    state: str | None = None
    outcome: str | None = None
    reason: str | None = None
    """Why a job moved or is held; of a final record, why the primary was left."""
    error_code: str | None = None
    usage_source: str | None = None
    fallback: bool = False
    downgraded: bool = False
    mismatch: bool = False

    @property
    def key(self) -> str:
        """The same for the same words, and for no others: SHA-256 over them as JSON."""
        return hashlib.sha256(json.dumps(self).encode()).hexdigest()


class Columns(NamedTuple):
    """Everything about a record that has a column of its own."""

    facet: Facet
    at: int
    """Its own time: microseconds since the epoch."""
    job_id: str | None
    batch_id: str | None
    custom_id: str | None
    input_tokens: int | None
    output_tokens: int | None
    cost_microusd: int | None
    duration_us: int | None
    """Of an attempt the call; of a final record from acceptance to the end, by Redis's clock."""


TIME_NAMES: dict[RecordKind, str] = {
    RecordKind.ACCEPTED: "accepted_at",
    RecordKind.ATTEMPT_STARTED: "started_at",
    RecordKind.ATTEMPT_FINISHED: "finished_at",
    RecordKind.FINAL: "finished_at",
}
"""What a record's own time is called in it, where that is not `at`."""


def time_name(kind: RecordKind) -> str:
    """What a record's own time is called in it."""
    return TIME_NAMES.get(kind, "at")


def columns_of(kind: RecordKind, body: dict[str, Any]) -> Columns:
    """Make the columns of a record.

    Raises:
        Unreadable: if a field that goes into a column is not of the column's type.
    """
    at = _number(body, time_name(kind))
    if at is None:
        raise Unreadable("no time")
    if kind is RecordKind.FINAL:
        began = _number(body, "accepted_at")
        duration = at - began if began is not None and began <= at else None
    else:
        duration = _number(body, "duration_us")
    return Columns(
        _FACETS.get(kind, _plain_facet)(kind, body),
        at,
        _text(body, "job_id"),
        _text(body, "batch_id"),
        _text(body, "custom_id"),
        _number(body, "input_tokens"),
        _number(body, "output_tokens"),
        _number(body, "cost_microusd"),
        duration,
    )


def _final_facet(kind: RecordKind, body: dict[str, Any]) -> Facet:
    # Together: a served tier whose vendor named no model must not be found under the primary's model.
    side = "served" if body.get("served_tier") is not None else "requested"
    reason = _text(body, "fallback_reason")
    return Facet(
        kind=kind.value,
        task_class=_text(body, "task_class"),
        tier=_text(body, f"{side}_tier"),
        provider=_text(body, "served_provider"),
        model=_text(body, f"{side}_model"),
        region=_text(body, "served_region"),
        state=_text(body, "state"),
        reason=reason,
        error_code=_text(body, "error_code"),
        fallback=reason is not None,
        downgraded=_flag(body, "downgraded"),
        mismatch=_flag(body, "mismatch"),
    )


def _attempt_facet(kind: RecordKind, body: dict[str, Any]) -> Facet:
    outcome = _text(body, "outcome")
    for name in ("attempt", "fence"):
        # Which call it was; the end of a call is matched with its beginning by these.
        _number(body, name)
    return Facet(
        kind=kind.value,
        task_class=_text(body, "task_class"),
        tier=_text(body, "tier"),
        provider=_text(body, "provider"),
        owner=_text(body, "owner"),
        model=_text(body, "model"),
        region=_text(body, "region"),
        outcome=outcome,
        usage_source=_text(body, "usage_source"),
        fallback=(_number(body, "hop") or 0) > 0,
        mismatch=outcome == OutcomeKind.MISROUTED,
    )


def _switch_facet(kind: RecordKind, body: dict[str, Any]) -> Facet:
    # What a person wrote as the reason is no word to sort by.
    return Facet(kind=kind.value, tier=_text(body, "scope"))


def _key_facet(kind: RecordKind, body: dict[str, Any]) -> Facet:
    return Facet(kind=kind.value, provider=_text(body, "scope"), owner=_text(body, "owner"))


def _act_facet(kind: RecordKind, body: dict[str, Any]) -> Facet:
    return Facet(kind=kind.value, task_class=_text(body, "task_class"))


def _plain_facet(kind: RecordKind, body: dict[str, Any]) -> Facet:
    return Facet(
        kind=kind.value,
        task_class=_text(body, "task_class"),
        tier=_text(body, _TIER_NAMES.get(kind, "tier")),
        reason=_text(body, "reason"),
    )


_TIER_NAMES = {RecordKind.ACCEPTED: "requested_tier", RecordKind.MOVED: "from_tier"}
_FACETS = {
    RecordKind.FINAL: _final_facet,
    RecordKind.ATTEMPT_STARTED: _attempt_facet,
    RecordKind.ATTEMPT_FINISHED: _attempt_facet,
    RecordKind.SWITCH: _switch_facet,
    RecordKind.KEY_CHANGE: _key_facet,
    RecordKind.ERASURE: _act_facet,
    RecordKind.EXPORT: _act_facet,
    RecordKind.POLICY_CHANGE: _act_facet,
}


def _text(body: dict[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise Unreadable(f"{name} is no text")
    if len(value) > LONGEST_TEXT or (not value.isascii() and len(value.encode()) > LONGEST_TEXT):
        raise Unreadable(f"{name} is too long")
    # A column only helps to find the record; its body keeps the text as it was.
    return value.replace("\0", "\\x00")


def _number(body: dict[str, Any], name: str) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if type(value) is not int or not -_LARGEST <= value <= _LARGEST:
        raise Unreadable(f"{name} is no whole number")
    return value


def _flag(body: dict[str, Any], name: str) -> bool:
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise Unreadable(f"{name} is neither true nor false")
    return value
