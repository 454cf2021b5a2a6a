"""Where a job can be in its life; the diagram is in docs/lifecycle.md."""

from enum import StrEnum


class JobState(StrEnum):
    """The state of a job."""

    QUEUED = "queued"
    """In a tier's queue, ready to be claimed."""
    DELAYED = "delayed"
    """Waiting for a moment: a backoff or a vendor's Retry-After."""
    HELD = "held"
    """Waiting, visibly, for a tier that is good enough and allowed."""
    LEASED = "leased"
    """A worker has it."""
    SUCCEEDED = "succeeded"
    """Answered. Final."""
    FAILED = "failed"
    """Will not be answered. Final."""
    EXPIRED = "expired"
    """Its deadline passed first. Final."""
    CANCELLED = "cancelled"
    """Called off by a person. Final."""

    @property
    def final(self) -> bool:
        """Whether nothing more will happen to the job."""
        return self in _FINAL


_FINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.EXPIRED, JobState.CANCELLED})


class Reason(StrEnum):
    """Why a job left a tier, or waits."""

    RATE_LIMITED = "rate_limited"
    """Waited, or would wait, longer than `spill_after`."""
    UNSERVED = "unserved"
    """Waited longer than `spill_after` for a tier without a living worker."""
    OVERLOADED = "overloaded"
    TRANSIENT = "transient"
    EXHAUSTED = "exhausted"
    UNAUTHORIZED = "unauthorized"
    UNSUPPORTED = "unsupported"
    MISROUTED = "misrouted"
    EMPTY = "empty"
    TRUNCATED = "truncated"
    REFUSED = "refused"
    THROTTLED = "throttled"
    LEASE_LOST = "lease_lost"
    """The worker died or froze during the call."""
    BREAKER_OPEN = "breaker_open"
    """The tier failed too often of late."""
    DISABLED = "disabled"
    """An operator switched the tier or its provider off."""
    OFF_ROUTE = "off_route"
    """The configuration no longer has the tier on the class's route."""

    @classmethod
    def named(cls, text: str | None) -> "Reason | None":
        """The reason of that spelling; None if there is none."""
        return next((reason for reason in cls if reason.value == text), None)
