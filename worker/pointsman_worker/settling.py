"""From a decision to what the settle script writes: pure functions."""

from dataclasses import replace
from typing import assert_never

from pointsman_queue import Lease, Settlement
from pointsman_routes import (
    AttemptFinished,
    Decision,
    Exhausted,
    Fail,
    HeldRecord,
    Hold,
    Move,
    MovedRecord,
    Outcome,
    Overloaded,
    Reason,
    Record,
    Step,
    Succeed,
    SwitchRecord,
    Throttled,
    Wait,
)

from .ending import end, path_with
from .office import Office
from .report import Charge, Report, charge_for


def settle_call(office: Office, lease: Lease, report: Report, decision: Decision) -> Settlement:
    """The settlement of an attempt: its record, what it cost, what the tier learns, where the job goes."""
    charge = charge_for(lease, report, office.rates[lease.tier])
    fields: dict[str, str | int] = {
        "cost": lease.cost_microusd + charge.microusd,
        "skipped": lease.skipped + (not report.called),
    }
    if decision.counted:
        fields |= {"failures": lease.failures + 1, "tries": lease.tries_here + 1}
    if decision.bar:
        fields["barred"] = ",".join(sorted({*lease.barred, lease.tier}))
    records: tuple[Record, ...] = (_attempt(office, lease, report, decision, charge),)
    closing = decision.closing
    if closing is not None:
        records += (_closed(office, lease, closing.reason),)
    used = charge.used if report.called else None
    settlement = Settlement(
        lease=lease,
        step="release",
        records=records,
        called=report.called,
        used_in=used.input_tokens if used else None,
        used_out=used.output_tokens if used else None,
        healthy=decision.healthy,
        throttle_ms=None if decision.throttle_s is None else round(decision.throttle_s * 1000),
        close_reason=closing.reason.value if closing else None,
        close_ms=None if closing is None or closing.seconds is None else round(closing.seconds * 1000),
        job_fields=fields,
    )
    return _with_step(office, settlement, decision.step, why=report.outcome.kind.value, report=report)


def settle_handed(office: Office, lease: Lease, step: Step) -> Settlement:
    """The settlement of a job that was handed over without a call."""
    settlement = Settlement(lease=lease, step="release", called=False)
    return _with_step(office, settlement, step, why=lease.reason or "failed", report=None)


def _with_step(office: Office, base: Settlement, step: Step, *, why: str, report: Report | None) -> Settlement:
    lease = base.lease
    match step:
        case Succeed() | Fail():
            ending = end(
                office,
                lease,
                step,
                why=why,
                spent=int(base.job_fields.get("cost", lease.cost_microusd)),
                made=lease.attempt - int(base.job_fields.get("skipped", lease.skipped)),
                report=report,
            )
            result = ending.result.to_line().encode()
            records = (*base.records, ending.record)
            return replace(base, step="finish", state=ending.state.value, result=result, records=records)
        case Move(tier=tier, reason=reason):
            records = (*base.records, _moved(office, lease, tier, reason))
            return replace(base, step="move", to=tier, records=records, job_fields=_left(base, reason))
        case Hold(tiers=tiers, reason=reason):
            records = (*base.records, _held(office, lease, tiers, reason))
            return replace(base, step="hold", tiers=tiers, records=records, job_fields=_left(base, reason))
        case Wait(seconds=seconds, reason=reason):
            # A throttled tier makes the whole queue wait, so the job keeps its place in it.
            if seconds <= 0 or reason is Reason.THROTTLED:
                return base
            return replace(base, step="delay", wait_ms=max(1, round(seconds * 1000)))
        case _ as never:
            assert_never(never)


def _left(base: Settlement, reason: Reason) -> dict[str, str | int]:
    lease = base.lease
    return {**base.job_fields, "tries": 0, "path": path_with(lease.path, lease.tier, reason.value)}


def _attempt(office: Office, lease: Lease, report: Report, decision: Decision, charge: Charge) -> AttemptFinished:
    tier, provider = office.table.tiers[lease.tier], office.table.provider_of(lease.tier)
    task_class = office.table.classes.get(lease.task_class)
    evidence, usage = report.evidence, charge.usage
    return AttemptFinished.model_validate(
        {
            "job_id": lease.job_id,
            "attempt": lease.attempt,
            "hop": task_class.hop(lease.tier) if task_class else 0,
            "tier": lease.tier,
            "provider": provider.name,
            "model": tier.model,
            "region": provider.region,
            "worker": office.worker,
            "fence": lease.fence,
            "task_class": lease.task_class,
            "policy_digest": office.table.policy_digest,
            "started_at": lease.started_at,
            "outcome": report.outcome.kind,
            "http_status": evidence.http_status,
            "provider_request_id": evidence.provider_request_id,
            "response_model": evidence.response_model,
            "finish_reason": evidence.finish_reason,
            "input_tokens": usage.input_tokens if usage else None,
            "output_tokens": usage.output_tokens if usage else None,
            "usage_source": charge.source,
            "cost_microusd": charge.microusd,
            "retry_after_s": _retry_after(report.outcome),
            "counted": decision.counted,
        }
    )


def _closed(office: Office, lease: Lease, reason: Reason) -> SwitchRecord:
    return SwitchRecord(
        scope=lease.tier,
        action="close",
        reason=reason.value,
        by=f"worker {office.worker}",
        policy_digest=office.table.policy_digest,
    )


def _moved(office: Office, lease: Lease, tier: str, reason: Reason) -> MovedRecord:
    return MovedRecord(
        job_id=lease.job_id,
        task_class=lease.task_class,
        from_tier=lease.tier,
        to_tier=tier,
        reason=reason,
        policy_digest=office.table.policy_digest,
    )


def _held(office: Office, lease: Lease, tiers: tuple[str, ...], reason: Reason) -> HeldRecord:
    return HeldRecord(
        job_id=lease.job_id,
        task_class=lease.task_class,
        tier=lease.tier,
        waits_for=tiers,
        reason=reason,
        policy_digest=office.table.policy_digest,
    )


def _retry_after(outcome: Outcome) -> float | None:
    match outcome:
        case Throttled(retry_after_s=wait) | Overloaded(retry_after_s=wait):
            return wait
        case Exhausted(reset_after_s=reset):
            return reset
        case _:
            return None
