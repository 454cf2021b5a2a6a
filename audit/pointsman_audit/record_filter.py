"""Which records a listing shows."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pointsman_routes import RecordKind

from .errors import FilterInvalid

WORDS = (
    "task_class",
    "tier",
    "provider",
    "owner",
    "model",
    "region",
    "state",
    "outcome",
    "reason",
    "error_code",
    "usage_source",
)
"""What a filter may ask the words of a facet for; a field has the name of the facet's."""
FLAGS = ("fallback", "downgraded", "mismatch")


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
    ANY = "any"
    """Every record, under its own kind: a call has one of its beginning and one of its end."""

    @property
    def records(self) -> tuple[RecordKind, ...]:
        """The kinds of records that a listing of this kind may have."""
        if self is ListedKind.ANY:
            return tuple(RecordKind)
        if self is ListedKind.ATTEMPT:
            return (RecordKind.ATTEMPT_STARTED, RecordKind.ATTEMPT_FINISHED)
        return (RecordKind(self.value),)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFilter:
    """Which records a listing shows; what is None does not narrow it.

    Records are in the order of their own times, and of their numbers where these are the same. That is nearly the
    order of numbers; a clock that was set back makes the difference.

    Weakness: a record that has no such field is found by neither value of a text filter, so `state` with
    attempts finds nothing. The three flags are false where a record has none.
    """

    kind: ListedKind = ListedKind.FINAL
    task_class: str | None = None
    tier: str | None = None
    """Of a final record the tier that answered, or the one asked for if none did; of a move the tier left."""
    provider: str | None = None
    """Of a final record the one that answered; of a switch and a key's change, what was switched or changed."""
    owner: str | None = None
    """Who answers for the key: of attempts and of changes of keys."""
    model: str | None = None
    """Chosen as `tier` is: the model that answered, as the vendor named it, or else the one asked for."""
    region: str | None = None
    """Where it was answered; of an attempt, where it was asked."""
    state: str | None = None
    """How a job ended."""
    outcome: str | None = None
    """How an attempt ended."""
    reason: str | None = None
    """Why a job moved or was held; of a final record, why the primary was left."""
    error_code: str | None = None
    """What a job failed of."""
    usage_source: str | None = None
    """Who counted the tokens of an attempt."""
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
    custom_id: str | None = None
    """Attempts, moves and holds are found through the job that was accepted under it."""
    limit: int | None = None
    """Show only the newest so many."""
    before_seq: int | None = None
    """Show only what comes before the record of that number: the next page back."""

    def __post_init__(self) -> None:
        for name in ("since", "until"):
            moment: datetime | None = getattr(self, name)
            if moment is not None and moment.utcoffset() is None:
                raise FilterInvalid(f"{name} has no time zone; write it as 2025-01-31T09:30:00Z")
        for name in (*WORDS, "job_id", "batch_id", "custom_id"):
            if not _is_text(getattr(self, name)):
                raise FilterInvalid(f"{name} is not UTF-8, so no record has it; write it as text")
        if self.limit is not None and self.limit < 1:
            raise FilterInvalid(f"a limit of {self.limit} shows nothing; write 1 or more, or leave it out")

    @property
    def words(self) -> dict[str, str]:
        """The words asked for, by the names of their fields."""
        return {name: value for name in WORDS if (value := getattr(self, name)) is not None}

    @property
    def flags(self) -> dict[str, bool]:
        """The flags asked for, by their names."""
        return {name: value for name in FLAGS if (value := getattr(self, name)) is not None}


def _is_text(value: str | None) -> bool:
    """Whether a database can be asked for it: bytes of a command line that are no UTF-8 come as half characters."""
    try:
        (value or "").encode()
    except UnicodeEncodeError:
        return False
    return True
