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
    FINAL = "final"
    """The job has reached its final state."""
    SWITCH = "switch"
    """An operator, or the dispatcher itself, closed or opened a tier or provider."""


class AcceptedRecord(Wire):
    """A job was taken in. The model asked for follows from tier and policy; a record waits in Redis, so it is short."""

    kind: Literal[RecordKind.ACCEPTED] = RecordKind.ACCEPTED
    job_id: str
    custom_id: str
    batch_id: str
    task_class: str
    requested_tier: str
    prompt_digest: str
    policy_digest: str


class AttemptIdentity(Wire):
    """Which call to which model, by whom."""

    job_id: str
    attempt: int
    """Counts the calls of the job, from 1."""
    hop: int
    """Position of the tier on the route: 0 is the primary."""
    tier: str
    provider: str
    model: str
    region: str | None
    worker: str
    fence: int
    task_class: str
    policy_digest: str


class AttemptStarted(AttemptIdentity):
    """A call to a provider is about to be made. Written in the same step that leases the job."""

    kind: Literal[RecordKind.ATTEMPT_STARTED] = RecordKind.ATTEMPT_STARTED


class AttemptFinished(AttemptIdentity):
    """How the call ended. None is unknown, never zero."""

    kind: Literal[RecordKind.ATTEMPT_FINISHED] = RecordKind.ATTEMPT_FINISHED
    started_at: int
    """Microseconds since the epoch, by the Redis server's clock."""
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
    task_class: str
    from_tier: str
    to_tier: str
    reason: Reason
    policy_digest: str


class HeldRecord(Wire):
    """The job waits for one of these tiers to open."""

    kind: Literal[RecordKind.HELD] = RecordKind.HELD
    job_id: str
    task_class: str
    tier: str
    """Where it was when nothing was left."""
    waits_for: tuple[str, ...]
    reason: Reason
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
    response_digest: str | None = None
    error_code: str | None = None


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


Record = AcceptedRecord | AttemptStarted | AttemptFinished | MovedRecord | HeldRecord | FinalRecord | SwitchRecord
