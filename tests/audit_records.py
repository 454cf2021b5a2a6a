"""Audit records for tests, as the contract has them, and a way to put them into the outbox."""

import json
from collections.abc import Iterable
from typing import Any

from arq import ArqRedis

from pointsman_queue import OutboxEntry, keys
from pointsman_routes import (
    AcceptedRecord,
    AttemptFinished,
    AttemptStarted,
    FinalRecord,
    HeldRecord,
    JobState,
    MovedRecord,
    OutcomeKind,
    PathStep,
    Reason,
    SwitchRecord,
    Wire,
)

NOON = 1_767_268_800_000_000
"""2026-01-01T12:00:00Z in microseconds."""
SECOND = 1_000_000
DIGEST = "d" * 64


def accepted(job_id: str, **changes: Any) -> AcceptedRecord:
    """A job was taken in."""
    record = AcceptedRecord(
        job_id=job_id,
        custom_id=f"custom-{job_id}",
        batch_id="batch",
        task_class="triage",
        requested_tier="openai/fast",
        prompt_digest=DIGEST,
        policy_digest=DIGEST,
    )
    return record.model_copy(update=changes)


def started(job_id: str, **changes: Any) -> AttemptStarted:
    """A call is about to be made."""
    record = AttemptStarted(
        job_id=job_id,
        attempt=1,
        hop=0,
        tier="openai/fast",
        provider="openai",
        model="gpt-5-mini",
        region="eu",
        worker="w1",
        fence=1,
        task_class="triage",
        policy_digest=DIGEST,
    )
    return record.model_copy(update=changes)


def finished(job_id: str, **changes: Any) -> AttemptFinished:
    """The call has ended."""
    begun = started(job_id).model_dump(exclude={"kind"})
    record = AttemptFinished(
        **begun,
        started_at=NOON,
        outcome=OutcomeKind.OK,
        http_status=200,
        response_model="gpt-5-mini-2025-08-07",
        input_tokens=12,
        output_tokens=5,
        usage_source="vendor",
        cost_microusd=13,
        counted=False,
    )
    return record.model_copy(update=changes)


def moved(job_id: str, **changes: Any) -> MovedRecord:
    """The job went to another tier."""
    record = MovedRecord(
        job_id=job_id,
        task_class="triage",
        from_tier="openai/fast",
        to_tier="anthropic/fast",
        reason=Reason.OVERLOADED,
        policy_digest=DIGEST,
    )
    return record.model_copy(update=changes)


def held(job_id: str, **changes: Any) -> HeldRecord:
    """The job waits for a tier to open."""
    record = HeldRecord(
        job_id=job_id,
        task_class="triage",
        tier="anthropic/fast",
        waits_for=("openai/fast",),
        reason=Reason.BREAKER_OPEN,
        policy_digest=DIGEST,
    )
    return record.model_copy(update=changes)


def final(job_id: str, **changes: Any) -> FinalRecord:
    """The job was answered by its primary, unless changed."""
    record = FinalRecord(
        job_id=job_id,
        custom_id=f"custom-{job_id}",
        batch_id="batch",
        task_class="triage",
        state=JobState.SUCCEEDED,
        requested_tier="openai/fast",
        requested_model="gpt-5-mini",
        served_tier="openai/fast",
        served_provider="openai",
        served_model="gpt-5-mini-2025-08-07",
        served_region="eu",
        path=(PathStep(tier="openai/fast", reason="ok"),),
        attempts=1,
        input_tokens=12,
        output_tokens=5,
        cost_microusd=13,
        price_source="config",
        accepted_at=NOON,
        policy_digest=DIGEST,
        prompt_digest=DIGEST,
        response_digest=DIGEST,
    )
    return record.model_copy(update=changes)


def switched(**changes: Any) -> SwitchRecord:
    """A tier was closed."""
    record = SwitchRecord(scope="openai/fast", action="disable", reason="bad answers", by="ops")
    return record.model_copy(update=changes)


def entry(record: Wire | bytes | dict[str, Any], *, at: int = NOON, entry_id: str = "1-0") -> OutboxEntry:
    """A record as it comes out of the outbox."""
    return OutboxEntry(entry_id=entry_id, at=at, record=_bytes(record))


async def put(redis: ArqRedis, records: Iterable[Wire | bytes], *, at: int = NOON) -> None:
    """Write records into the outbox, one microsecond apart."""
    pipe = redis.pipeline(transaction=False)
    for offset, record in enumerate(records):
        pipe.xadd(keys.OUTBOX, {"at": at + offset, "record": _bytes(record)})
    await pipe.execute()


def _bytes(record: Wire | bytes | dict[str, Any]) -> bytes:
    if isinstance(record, Wire):
        return record.model_dump_json().encode()
    return record if isinstance(record, bytes) else json.dumps(record).encode()
