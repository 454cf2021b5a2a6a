"""What is known of a tier or provider at a moment: whether it takes calls, its limits, and how fast jobs go."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

_LEVELS = ("rpm", "tpm", "itpm", "otpm")
_RECENT_MS = 60_000


class BreakerState(StrEnum):
    """The state of a tier's circuit breaker."""

    CLOSED = "closed"
    """Calls pass."""
    OPEN = "open"
    """It failed too often of late; no call passes."""
    HALF_OPEN = "half-open"
    """One call passes, to see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedLimit:
    """A limit as the vendor told it, or as its refusals taught it."""

    limit: int
    """A minute; of rpd, a day."""
    told: bool
    """Whether the vendor's headers said so; otherwise it follows from refusals."""
    refills: bool | None = None
    """Whether it refills all the time; False for a window, None where that does not matter or is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Whether a tier or provider takes calls at a moment, and why not."""

    scope: str
    disabled: str | None = None
    """The operator's reason."""
    disabled_by: str | None = None
    closed: str | None = None
    """Why the dispatcher itself closed it: exhausted, unauthorized or misrouted."""
    closed_for_s: float | None = None
    """None with a reason: until an operator enables it."""
    breaker: BreakerState = BreakerState.CLOSED
    throttled_for_s: float = 0
    throttles: int = 0
    """429s since Redis began to keep count."""
    levels: Mapping[str, float]
    """Of its buckets, as of the last claim."""
    learned: Mapping[str, LearnedLimit]
    """Limits the vendor told or taught, by name."""
    token_factor: float = 1
    """Real tokens per estimated token."""
    next_free_s: float = 0
    """Until the job that is first in its queue can go; 0 is now."""
    pace_ms: float = 0
    """A job takes so long at the rate of the limits; 0 when nothing limits it, or nobody knows yet."""
    gap_ms: float = 0
    """Milliseconds between two answers of late; 0 when there was none in the last minute."""
    served: bool = False
    """Whether a worker of the tier lives, as far as is known."""
    aborted: bool = False
    """Whether calls in flight were cut when it was disabled."""

    def drain_s(self, queued: int) -> float | None:
        """Seconds until so many jobs are gone, at the limits' pace or at that of late, whichever is slower.

        None is unknown. Weakness: it takes the next jobs to be like the last ones.
        """
        if not queued:
            return 0.0
        pace_ms = max(self.pace_ms, self.gap_ms)
        return self.next_free_s + queued * pace_ms / 1000 if pace_ms else None

    @property
    def open(self) -> bool:
        """Whether jobs may be queued for it."""
        return self.disabled is None and self.closed is None and self.breaker is not BreakerState.OPEN


def read_gate(scope: str, raw: Mapping[bytes, bytes], now_ms: float) -> Gate:
    """A gate from its hash; the fields are listed in chapters/gates.lua.

    Args:
        scope: the tier or provider.
        raw: the hash.
        now_ms: the moment it is seen at.
    """
    fields = {name.decode(): value.decode() for name, value in raw.items()}
    closed_until, throttled_until = (float(fields.get(name, 0)) for name in ("closed_until", "throttled_until"))
    closed = closed_until < 0 or closed_until > now_ms
    breaker = BreakerState.CLOSED
    if "open_until" in fields:
        breaker = BreakerState.OPEN if float(fields["open_until"]) > now_ms else BreakerState.HALF_OPEN
    free_at = max(throttled_until, float(fields.get("free_at", 0)))
    recent = now_ms - float(fields.get("ended", 0)) < _RECENT_MS
    return Gate(
        scope=scope,
        disabled=fields.get("disabled"),
        disabled_by=fields.get("disabled_by"),
        closed=fields.get("closed_reason", "closed") if closed else None,
        closed_for_s=(closed_until - now_ms) / 1000 if closed_until > now_ms else None,
        breaker=breaker,
        throttled_for_s=max(0.0, (throttled_until - now_ms) / 1000),
        throttles=int(fields.get("throttles", 0)),
        levels={name: float(fields[name]) for name in _LEVELS if name in fields},
        learned={name: _learned(name, fields) for name in (*_LEVELS, "rpd") if f"{name}:limit" in fields},
        token_factor=float(fields.get("factor", 1)),
        next_free_s=max(0.0, (free_at - now_ms) / 1000),
        pace_ms=float(fields.get("pace", 0)),
        gap_ms=float(fields.get("gap", 0)) if recent else 0.0,
        served=float(fields.get("served_until", 0)) > now_ms,
        aborted="abort" in fields,
    )


def _learned(name: str, fields: Mapping[str, str]) -> LearnedLimit:
    told = fields.get(f"{name}:from") == "vendor"
    mode = fields.get(f"{name}:mode") if told else None
    return LearnedLimit(
        limit=round(float(fields[f"{name}:limit"])), told=told, refills=mode == "bucket" if mode is not None else None
    )
