"""What a claim gives: jobs in a worker's hands, and where each stands."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from pointsman_routes import Job

from .envelope import decode_envelope

_HELD = b"held"


class Lease(NamedTuple):
    """A job in a worker's hands, and where it stands. A tuple, since every claim makes many."""

    job_id: str
    tier: str
    fence: str
    """Only this number may settle the job."""
    job: Job | None
    """None when what is in Redis is not a job's envelope."""
    salt: str | None
    """Of the digests in its records; None when there is no job, or an older version took it in."""
    reason: str | None
    """Why the job is handed over without a call; None for one to be called."""
    attempt: int
    """The number of this call; for a job handed over, of the last one made."""
    failures: int
    tries_here: int
    recoveries: int
    path: str
    """Tiers left so far, as `tier:reason` joined by commas."""
    barred: frozenset[str]
    accepted_at: int
    """Microseconds since the epoch."""
    started_at: int
    """When it was claimed; microseconds since the epoch."""
    deadline_ms: float
    cost_microusd: int
    """Of the attempts before this one."""
    estimate_in: int
    """Tokens reserved."""
    estimate_out: int
    task_class: str
    batch_id: str
    skipped: int
    """Attempts before this one that ended before the call was made."""
    refusals: int = 0
    """Calls in a row that the vendor refused for now, at this tier."""
    held: bool = False
    """Handed over from among the held jobs: it has left its last tier already, and only ends at this one."""
    better: str | None = None
    """Of one that would wait too long here: the tier where it waits less."""

    @property
    def seconds_left(self) -> float:
        """Until the deadline, from when it was claimed."""
        return self.deadline_ms / 1000 - self.started_at / 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a claim gave."""

    leases: tuple[Lease, ...]
    """Jobs to call for; their `attempt_started` records are written."""
    handed: tuple[Lease, ...]
    """Jobs to settle without a call."""
    wait_ms: int | None
    """Until it is worth asking again; None until woken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """What a heartbeat found."""

    lost: frozenset[str]
    """Fences of leases that are gone: their calls are of no use any more, their settling would be refused."""
    cut: frozenset[str]
    """Fences of leases that are kept and whose calls an operator has aborted."""


def read_lease(tier: str, now_us: int, entry: list[Any]) -> Lease:
    """A lease as the claim script answers it.

    Args:
        tier: the tier that was claimed for.
        now_us: the server's time of the claim.
        entry: see the script's header.
    """
    (job_id, envelope, fence, calls, failures, tries, recoveries, path, barred, accepted, deadline, cost,
     tokens_in, tokens_out, task_class, batch, skipped, refusals, *handed) = entry  # fmt: skip
    reason, more = (*handed, None, None)[:2]
    opened = decode_envelope(envelope)
    return Lease(
        job_id=job_id.decode(),
        tier=tier,
        fence=fence.decode(),
        job=opened.job if opened is not None else None,
        salt=opened.salt if opened is not None else None,
        reason=reason.decode() if reason is not None else None,
        attempt=int(calls),
        failures=int(failures),
        tries_here=int(tries),
        recoveries=int(recoveries),
        path=path.decode(),
        barred=frozenset(name for name in barred.decode().split(",") if name),
        accepted_at=int(accepted),
        started_at=now_us,
        deadline_ms=float(deadline),
        cost_microusd=int(cost),
        estimate_in=int(tokens_in),
        estimate_out=int(tokens_out),
        task_class=task_class.decode(),
        batch_id=batch.decode(),
        skipped=int(skipped),
        refusals=int(refusals),
        held=more == _HELD,
        better=more.decode() if more is not None and more != _HELD else None,
    )
