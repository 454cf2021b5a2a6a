"""Audit records as they travel in the outbox and stand in the ledger. No prompt, answer or key is ever in one.

The outbox adds `at`, the Redis server's time in microseconds since the epoch, when a record is written;
the recorder adds `seq`. `at` is `accepted_at`, `started_at` or `finished_at` of the record, by its kind.
"""

from enum import StrEnum
from typing import Literal

from .outcome import OutcomeKind
from .state import JobState, Reason
from .wire import Wire


class RecordKind(StrEnum):
    """What a record tells of."""

    ACCEPTED = "accepted"
    """A producer's job was taken in."""
    ATTEMPT_STARTED = "attempt_started"
    """A call to a provider is about to be made."""
    ATTEMPT_FINISHED = "attempt_finished"
    """The call has ended, one way or another."""
    MOVED = "moved"
    """The job went to another tier's queue."""
    HELD = "held"
    """The job waits for a tier to open."""
    RELEASED = "released"
    """A held job is back in a queue: a tier it waited for is open."""
    FINAL = "final"
    """The job has reached its final state."""
    SWITCH = "switch"
    """An operator, or the dispatcher itself, closed or opened a tier or provider."""
    POLICY_CHANGE = "policy_change"
    """Another configuration is in force."""
    KEY_CHANGE = "key_change"
    """A provider's key was renewed, or the ledger is signed with another one."""
    ERASURE = "erasure"
    """What a job asked and was answered has been deleted."""
    EXPORT = "export"
    """Records were taken out of the ledger."""
    QUARANTINED = "quarantined"
    """Something in Redis was no record, or no job, and was put aside."""


class AcceptedRecord(Wire):
    """A job was taken in. The model asked for follows from tier and policy; a record waits in Redis, so it is short."""

    kind: Literal[RecordKind.ACCEPTED] = RecordKind.ACCEPTED
    job_id: str
    custom_id: str
    batch_id: str
    task_class: str
    requested_tier: str
    prompt_digest: str
    """`salted_digest` of `Job.asked()`, with the job's salt."""
    policy_digest: str
    redriven: Literal[True] | None = None
    """Whether it was taken in once more, from the ledger, after Redis had lost it."""


class AttemptIdentity(Wire):
    """Which call to which model, by whom."""

    job_id: str
    attempt: int
    """Counts the calls of the job, from 1."""
    hop: int
    """Position of the tier on the route: 0 is the primary."""
    tier: str
    provider: str
    owner: str | None = None
    """Who answers for the key that was used."""
    model: str
    region: str | None
    worker: str
    fence: int
    task_class: str
    batch_id: str | None = None
    policy_digest: str


class AttemptStarted(AttemptIdentity):
    """A call to a provider is about to be made. Written in the same step that leases the job."""

    kind: Literal[RecordKind.ATTEMPT_STARTED] = RecordKind.ATTEMPT_STARTED


class AttemptFinished(AttemptIdentity):
    """How the call ended. None is unknown, never zero."""

    kind: Literal[RecordKind.ATTEMPT_FINISHED] = RecordKind.ATTEMPT_FINISHED
    started_at: int
    """Microseconds since the epoch, by the Redis server's clock."""
    duration_us: int | None = None
    """Microseconds that the call took, by the worker's monotonic clock; None when no request was sent, or the worker
    did not live to see it end."""
    outcome: OutcomeKind
    http_status: int | None = None
    provider_request_id: str | None = None
    response_model: str | None = None
    """The model the vendor says it used."""
    response_region: str | None = None
    """Where the vendor says it was processed."""
    upstream: str | None = None
    """Who answered behind a broker, as the broker says."""
    service_tier: str | None = None
    """The class of service the vendor says it was answered at."""
    finish_reason: str | None = None
    input_tokens: int | None = None
    """All of them, those read from and written to a cache included."""
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    output_tokens: int | None = None
    """All of them, reasoning included."""
    reasoning_tokens: int | None = None
    usage_source: Literal["vendor", "estimate", "none"]
    """`estimate` when the call may have been billed and nobody said how much; `none` when it was not billed."""
    cost_microusd: int | None = None
    retry_after_s: float | None = None
    counted: bool
    """Whether it counts against `max_attempts`."""


class MovedRecord(Wire):
    """The job went to another tier's queue."""

    kind: Literal[RecordKind.MOVED] = RecordKind.MOVED
    job_id: str
    batch_id: str | None = None
    task_class: str
    from_tier: str
    to_tier: str
    reason: Reason
    policy_digest: str


class HeldRecord(Wire):
    """The job waits for one of these tiers to open."""

    kind: Literal[RecordKind.HELD] = RecordKind.HELD
    job_id: str
    batch_id: str | None = None
    task_class: str
    tier: str
    """Where it was when nothing was left."""
    waits_for: tuple[str, ...]
    reason: Reason
    policy_digest: str


class ReleasedRecord(Wire):
    """A held job is back in a queue: this tier, which it waited for, is open."""

    kind: Literal[RecordKind.RELEASED] = RecordKind.RELEASED
    job_id: str
    batch_id: str | None = None
    task_class: str
    tier: str
    policy_digest: str


class PathStep(Wire):
    """A tier the job was at, and why it left."""

    tier: str
    reason: str
    """A `Reason`, or `ok` and `truncated` for the tier that answered."""


class FinalRecord(Wire):
    """The job has reached its final state. Each job has exactly one."""

    kind: Literal[RecordKind.FINAL] = RecordKind.FINAL
    job_id: str
    custom_id: str
    batch_id: str
    task_class: str
    state: JobState
    requested_tier: str
    requested_model: str
    served_tier: str | None = None
    served_provider: str | None = None
    served_model: str | None = None
    """As the vendor named it; None when nothing was served or the vendor named none."""
    served_region: str | None = None
    fallback_reason: Reason | None = None
    """Why the primary was left; None when the primary answered."""
    path: tuple[PathStep, ...] = ()
    """Every tier tried, with its reason."""
    downgraded: bool = False
    mismatch: bool = False
    """Whether some attempt was answered by a model that was not asked for."""
    attempts: int = 0
    """Calls made."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_microusd: int | None = None
    """Of all attempts of the job; estimates included."""
    price_source: str | None = None
    """`config`, the name and version of the price list, or `vendor` where the vendor told what the call cost."""
    accepted_at: int
    """Microseconds since the epoch."""
    policy_digest: str
    prompt_digest: str
    """As in the accepted record."""
    response_digest: str | None = None
    """`salted_digest` of `Answer.canonical()`, with the job's salt; None where nothing was answered."""
    error_code: str | None = None
    rebuilt: Literal[True] | None = None
    """Whether it was put together again from the result, after the first one had been lost on its way."""


class SwitchRecord(Wire):
    """A tier or provider was closed or opened."""

    kind: Literal[RecordKind.SWITCH] = RecordKind.SWITCH
    scope: str
    """A tier's or provider's name."""
    action: Literal["disable", "enable", "close"]
    reason: str
    by: str
    """The operator, or `worker <id>` where the dispatcher itself acted."""
    abort: bool = False
    """Whether calls in flight were cut too."""
    policy_digest: str | None = None


class PolicyRecord(Wire):
    """Another configuration is in force than the one before."""

    kind: Literal[RecordKind.POLICY_CHANGE] = RecordKind.POLICY_CHANGE
    role: Literal["producer", "worker"]
    """Who works by it: producers accept by one, workers decide by one."""
    policy_digest: str
    previous_digest: str | None = None
    """None when none is known to have been in force."""
    by: str
    """The process that came with it."""
    policy: str | None = None
    """The canonical configuration, whose SHA-256 the digest is: `RouteTable.policy`. Travels in the outbox; the ledger
    keeps it once, beside the records."""


class KeyRecord(Wire):
    """A key was changed. Neither the key nor anything made from a secret one is here."""

    kind: Literal[RecordKind.KEY_CHANGE] = RecordKind.KEY_CHANGE
    scope: str
    """`ledger` for the key that signs checkpoints, or a provider's name."""
    owner: str | None = None
    """Who answers for a provider's key."""
    key_id: str | None = None
    """Of the ledger's: the fingerprint of the public key."""
    public_key: str | None = None
    """Of the ledger's: the raw public key, 64 hexadecimal digits."""
    by: str


class ErasureRecord(Wire):
    """What a job asked and was answered, and the salt of its digests, have been deleted."""

    kind: Literal[RecordKind.ERASURE] = RecordKind.ERASURE
    job_id: str
    task_class: str | None = None
    scope: Literal["job", "subject"]
    """Whether the job was named, or the person it is about."""
    erased: bool
    """Whether the ledger still held anything of it."""
    reason: str
    by: str


class ExportRecord(Wire):
    """Records were taken out of the ledger."""

    kind: Literal[RecordKind.EXPORT] = RecordKind.EXPORT
    form: str
    """`csv`, `jsonl` or `parquet`."""
    filters: dict[str, str]
    """What was asked for, by option."""
    count: int
    """Records written."""
    by: str


class QuarantinedRecord(Wire):
    """Something in Redis was no record, or no job, and was put aside."""

    kind: Literal[RecordKind.QUARANTINED] = RecordKind.QUARANTINED
    reason: str
    """What is wrong with it; never what is in it."""
    source: str | None = None
    """The outbox it stood in."""
    entry_id: str | None = None
    """Its id there."""
    raw_digest: str | None = None
    """SHA-256 of its bytes."""
    job_id: str | None = None
    """Of something that stood in a queue: under which id."""
    tier: str | None = None
    policy_digest: str | None = None


Record = (
    AcceptedRecord
    | AttemptStarted
    | AttemptFinished
    | MovedRecord
    | HeldRecord
    | ReleasedRecord
    | FinalRecord
    | SwitchRecord
    | PolicyRecord
    | KeyRecord
    | ErasureRecord
    | ExportRecord
    | QuarantinedRecord
)
