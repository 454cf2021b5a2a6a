"""How an attempt ends: what one atomic step writes."""

import json
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from pointsman_routes import Record

from .lease import Lease

_compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
"""Compact JSON; `json.dumps` would make an encoder for every call."""

SettleStep = Literal["finish", "move", "delay", "hold", "release"]
"""What becomes of a job when an attempt ends."""


class Heard(NamedTuple):
    """What a vendor said is left of one limit, and whose limit that is."""

    scope: str
    """The tier, or the provider where the account's limit is meant."""
    name: str
    """rpm, tpm, itpm, otpm or rpd."""
    limit: int | None
    left: int | None
    reset_ms: int | None
    """Until the limit is whole again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """How an attempt ends: everything one atomic step writes."""

    lease: Lease
    step: SettleStep
    state: str | None = None
    """Of a finish."""
    to: str | None = None
    """Of a move."""
    tiers: tuple[str, ...] = ()
    """Of a hold: those that could take the job once they open."""
    wait_ms: int | None = None
    """Of a delay."""
    result: bytes = b""
    """Result line of a finish."""
    records: tuple[Record, ...] = ()
    called: bool = True
    """Whether a call was made; otherwise the reservation is given back."""
    used_in: int | None = None
    """Tokens really used; None keeps the estimate charged."""
    used_out: int | None = None
    outcome: str | None = None
    """How the call ended, for the rates of the tier and class."""
    healthy: bool | None = None
    """What the breaker is told; None says nothing."""
    throttle_ms: int | None = None
    """Closes the tier's buckets for every worker; 0 when the vendor named no time."""
    refused: str | None = None
    """Which limit a refusal spoke of: requests or tokens; None when the vendor did not say."""
    heard: tuple[Heard, ...] = ()
    """What the vendor said is left."""
    close_reason: str | None = None
    close_ms: int | None = None
    """With a reason: for how long; None until an operator enables the tier."""
    job_fields: dict[str, str | int] = field(default_factory=dict)
    """What to remember of the job: failures, tries, path, barred, cost, skipped."""


def settlement_head(settlement: Settlement) -> str:
    """A settlement as the settle script reads it; see its header."""
    lease = settlement.lease
    head: dict[str, Any] = {
        "id": lease.job_id,
        "fence": lease.fence,
        "tier": lease.tier,
        "provider": lease.tier.partition("/")[0],
        "records": len(settlement.records),
        "step": settlement.step,
        "called": settlement.called,
        "set": settlement.job_fields,
        "state": settlement.state,
        "to": settlement.to,
        "wait_ms": settlement.wait_ms,
        "tiers": settlement.tiers or None,
        "real_in": settlement.used_in,
        "real_out": settlement.used_out,
        "outcome": settlement.outcome,
        "healthy": settlement.healthy,
        "throttle_ms": settlement.throttle_ms,
        "refused": settlement.refused,
        "seen": [_heard(heard) for heard in settlement.heard] or None,
    }
    if settlement.close_reason is not None:
        ms = -1 if settlement.close_ms is None else settlement.close_ms
        head["close"] = {"reason": settlement.close_reason, "ms": ms}
    return _compact({name: value for name, value in head.items() if value is not None})


def _heard(heard: Heard) -> dict[str, Any]:
    return {name: value for name, value in heard._asdict().items() if value is not None}
