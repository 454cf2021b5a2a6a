"""Which records a listing shows."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, Select, and_, or_, select

from pointsman_routes import RecordKind

from .errors import FilterInvalid
from .moment import to_micros
from .schema import facets, open_attempts, records

_EQUAL = ("task_class", "tier", "model", "state", "fallback", "downgraded", "mismatch")


class ListedKind(StrEnum):
    """What a listing is of."""

    FINAL = "final"
    """How each job ended."""
    ATTEMPT = "attempt"
    """Each call to a provider, once: as it ended, or as it began if it has not ended yet."""
    ACCEPTED = "accepted"
    """Each job as it was taken in."""
    MOVED = "moved"
    """Each change of a job to another tier."""
    HELD = "held"
    """Each time a job began to wait for a tier to open."""
    SWITCH = "switch"
    """Each closing and opening of a tier or provider."""
    RELEASED = "released"
    """Each time a held job came back into a queue."""
    POLICY_CHANGE = "policy_change"
    """Each time another configuration came into force."""
    KEY_CHANGE = "key_change"
    """Each change of a key."""
    ERASURE = "erasure"
    """Each deletion of what a job asked and was answered."""
    EXPORT = "export"
    """Each time records were taken out."""
    QUARANTINED = "quarantined"
    """Each thing in Redis that was no record, or no job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFilter:
    """Which records a listing shows; what is None does not narrow it.

    Weakness: a record that has no such field is found by neither value of a text filter, so `state` with
    attempts finds nothing. The three flags are false where a record has none.
    """

    kind: ListedKind = ListedKind.FINAL
    task_class: str | None = None
    tier: str | None = None
    """Of a final record the tier that answered, or the one asked for if none did; of a move the tier left."""
    model: str | None = None
    """Chosen as `tier` is: the model that answered, as the vendor named it, or else the one asked for."""
    state: str | None = None
    since: datetime | None = None
    """The earliest moment shown, by the record's own time: a final record's is `finished_at`."""
    until: datetime | None = None
    """The first moment not shown any more."""
    fallback: bool | None = None
    """Whether the primary was left; of an attempt, whether it was at another tier than the primary."""
    downgraded: bool | None = None
    mismatch: bool | None = None
    """Whether some attempt was answered by a model not asked for; of an attempt, whether it ended `misrouted`."""
    job_id: str | None = None
    batch_id: str | None = None
    """Attempts and moves are found through their job."""
    limit: int | None = None
    """Show only the newest so many."""
    before_seq: int | None = None
    """Show only what is older than this number: the next page back."""

    def __post_init__(self) -> None:
        for name in ("since", "until"):
            moment: datetime | None = getattr(self, name)
            if moment is not None and moment.utcoffset() is None:
                raise FilterInvalid(f"{name} has no time zone; write it as 2025-01-31T09:30:00Z")
        if self.limit is not None and self.limit < 1:
            raise FilterInvalid(f"a limit of {self.limit} shows nothing; write 1 or more, or leave it out")


def conditions(wanted: RecordFilter, head: int) -> list[ColumnElement[bool]]:
    """The filter in SQL, as the ledger stood when `head` was its last number.

    Records only get more, so whatever is asked under the same head gets the same answer, page after page.
    """
    below = head if wanted.before_seq is None else min(head, wanted.before_seq - 1)
    found = [records.c.seq <= below, _of_kind(wanted)]
    if wanted.job_id is not None:
        found.append(records.c.job_id == wanted.job_id)
    if wanted.batch_id is not None:
        found.append(records.c.batch_id == wanted.batch_id)
    if wanted.since is not None:
        found.append(records.c.at >= to_micros(wanted.since))
    if wanted.until is not None:
        found.append(records.c.at < to_micros(wanted.until))
    return found


def _of_kind(wanted: RecordFilter) -> ColumnElement[bool]:
    if wanted.kind is not ListedKind.ATTEMPT:
        return records.c.facet_id.in_(_facets(wanted, RecordKind(wanted.kind.value)))
    in_flight = and_(
        records.c.seq.in_(select(open_attempts.c.seq)),
        records.c.facet_id.in_(_facets(wanted, RecordKind.ATTEMPT_STARTED)),
    )
    return or_(records.c.facet_id.in_(_facets(wanted, RecordKind.ATTEMPT_FINISHED)), in_flight)


def _facets(wanted: RecordFilter, kind: RecordKind) -> Select[tuple[int]]:
    query = select(facets.c.id).where(facets.c.kind == kind.value)
    for name in _EQUAL:
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(facets.c[name] == value)
    return query
