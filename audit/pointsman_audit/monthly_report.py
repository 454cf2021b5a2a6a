"""A month of the ledger in figures: what was spent, how jobs and calls ended, how long they took.

Money is that of calls, each of which costs, also those of jobs that failed and of trials; it counts on the day a call
ended. Jobs are counted on the day they ended. Unknown is never zero: a call whose cost or tokens nobody knows is not in
the sum, and is counted beside it.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """Calls that have ended, and what they used."""

    calls: int
    input_tokens: int | None
    output_tokens: int | None
    """What is known of them; None where something was billed and nothing is known."""
    unknown_tokens: int
    """Calls that were or may have been billed, of which not both are known."""
    cost_microusd: int | None
    """Likewise. Estimates are in it."""
    unknown_cost: int
    """Calls that were or may have been billed, and nobody knows how much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendLine:
    """What was spent for one class, at one tier, under one owner's keys, or on one day."""

    name: str | None
    """A day as 2026-01-31; None where records do not say."""
    spend: Spend


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassDay:
    """What was spent for a class on a day."""

    day: str
    task_class: str | None
    spend: Spend


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCount:
    """Jobs of a class that reached a final state."""

    task_class: str | None
    state: str | None
    jobs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """Jobs of a class whose primary was left for a reason."""

    task_class: str | None
    reason: str | None
    jobs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveCount:
    """Moves of jobs away from a tier for a reason."""

    tier: str | None
    reason: str | None
    moves: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldCount:
    """How often jobs of a class began to wait for a tier to open."""

    task_class: str | None
    reason: str | None
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Downgrade:
    """Jobs of a class answered below its floor."""

    task_class: str | None
    tier: str | None
    jobs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnding:
    """Calls to a tier for a class that ended in one way."""

    tier: str | None
    task_class: str | None
    outcome: str | None
    calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCount:
    """Jobs that did not succeed, by the code of their error."""

    error_code: str | None
    jobs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Durations: nearest ranks, so ones that have been measured."""

    name: str | None
    """A tier of calls, a class of jobs; None for all of them."""
    measured: int
    unmeasured: int
    p50_us: int | None
    p95_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Which month of which ledger, as it stood when."""

    month: str
    since: str
    until: str
    """The first moment after it."""
    made_at: str
    version: str
    """Of Pointsman."""
    ledger_id: str
    head_seq: int
    head_hash: str
    """Where the chain ended: everything up to this record was looked at."""
    first_record_at: str | None
    last_record_at: str | None
    """Of the whole ledger; None where it has no record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthlyReport:
    """A month in figures; breakdowns of the same add up to the same."""

    frame: Frame
    records: int
    """Of all kinds, in the month."""
    spend: Spend
    estimated: Spend
    """The part of it that may have been billed and nobody said how much: estimates."""
    by_class: tuple[SpendLine, ...]
    by_tier: tuple[SpendLine, ...]
    by_owner: tuple[SpendLine, ...]
    by_day: tuple[SpendLine, ...]
    by_day_and_class: tuple[ClassDay, ...]
    accepted: int
    """Jobs that were taken in."""
    jobs: tuple[JobCount, ...]
    open_jobs: int
    """Taken in during the month, and without an end when the report was made."""
    open_calls: int
    """Begun in the month, and without an end when the report was made: what they cost is in no sum."""
    fallbacks: tuple[Fallback, ...]
    moves: tuple[MoveCount, ...]
    downgrades: tuple[Downgrade, ...]
    holds: tuple[HoldCount, ...]
    held_jobs: int
    """Jobs that were held at least once."""
    endings: tuple[CallEnding, ...]
    errors: tuple[ErrorCount, ...]
    """The most frequent first."""
    call_latency: Latency
    call_latency_by_tier: tuple[Latency, ...]
    job_latency: Latency
    job_latency_by_class: tuple[Latency, ...]
