"""A task class: a kind of work, with its route, floor, regions and deadline."""

from datetime import timedelta
from enum import StrEnum

from pydantic import Field

from .duration import Duration, PositiveDuration
from .wire import Wire


class OnEmpty(StrEnum):
    """What a second empty answer does."""

    MOVE = "move"
    FAIL = "fail"


class OnTruncated(StrEnum):
    """What an answer stopped at the token limit does."""

    ACCEPT = "accept"
    MOVE = "move"
    FAIL = "fail"


class OnRefused(StrEnum):
    """What a refusal does."""

    FAIL = "fail"
    MOVE = "move"


class OnExhausted(StrEnum):
    """What happens when no tier is left."""

    HOLD = "hold"
    FAIL = "fail"


class Acceptance(StrEnum):
    """What must have a job before its producer is told that it is accepted."""

    REDIS = "redis"
    """The queue; the ledger follows within a second or so."""
    LEDGER = "ledger"
    """The ledger too: the job survives the loss of Redis with all its data."""


class TaskClass(Wire):
    """A kind of work: its route, quality floor, allowed regions, deadline."""

    name: str = ""
    route: tuple[str, ...] = Field(min_length=1)
    """Tiers in order: the primary, then the backups."""
    quality_floor: float = Field(default=0, ge=0, le=1)
    """Lowest measured quality that may serve; 0 is none."""
    allow_below_floor: tuple[str, ...] = ()
    """Tiers that may serve below the floor; their answers are marked downgraded."""
    regions: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Where the work may be processed; absent means anywhere."""
    max_retention_days: int | None = Field(default=None, ge=0)
    """Longest a vendor may keep it; absent means any."""
    deadline: PositiveDuration = timedelta(hours=24)
    """From acceptance; claims go earliest deadline first."""
    spill_after: Duration = timedelta(minutes=5)
    """Waited this long for one tier: move on; 0 never moves a job for waiting."""
    max_attempts: int = Field(default=6, ge=1, le=100)
    """Counting failures, not waits."""
    max_tokens: int = Field(default=1024, ge=1)
    """Answer limit of a job that sets none."""
    on_empty: OnEmpty = OnEmpty.MOVE
    """What a second empty answer does."""
    on_truncated: OnTruncated = OnTruncated.ACCEPT
    """What an answer stopped at the token limit does; an accepted one is flagged."""
    on_refused: OnRefused = OnRefused.FAIL
    """What a refusal does."""
    on_exhausted: OnExhausted = OnExhausted.HOLD
    """What happens when no tier is left; a held job waits until its deadline."""
    keep_content: Duration = timedelta(days=30)
    """How long the ledger keeps what was asked and answered, from the job's end; 0 keeps none."""
    acceptance: Acceptance = Acceptance.REDIS
    """What must have a job before its producer is told that it is accepted."""

    @property
    def primary(self) -> str:
        """The tier a job of this class is first queued for."""
        return self.route[0]

    def hop(self, tier: str) -> int:
        """Position of a tier on the route: 0 is the primary; a tier no longer on it comes after the last."""
        return self.route.index(tier) if tier in self.route else len(self.route)

    def after(self, tier: str) -> tuple[str, ...]:
        """Where a job goes from a tier, in order: those after it on the route, then those before it."""
        here = self.hop(tier)
        return self.route[here + 1 :] + self.route[:here]
