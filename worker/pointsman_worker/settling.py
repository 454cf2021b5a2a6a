"""From a decision to what the settle script writes: pure functions."""

from dataclasses import replace
from typing import NamedTuple, assert_never

from pointsman_queue import Lease, Settlement, SettleStep
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
    Usage,
    Wait,
)

from .ending import end, path_with
from .hearing import heard_of
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
    if decision.throttle_s is not None:
        fields["refused"] = lease.refusals + 1
    elif lease.refusals:
        fields["refused"] = 0
    if decision.bar:
        fields["barred"] = ",".join(sorted({*lease.barred, lease.tier}))
    records: tuple[Record, ...] = (_attempt(office, lease, report, decision, charge),)
    closing = decision.closing
    if closing is not None:
        records += (_closed(office, lease, closing.reason),)
    used = charge.used if report.called else None
    turn = _turn(office, lease, decision.step, why=report.outcome.kind, fields=fields, report=report)
    return replace(
        _settlement(lease, turn),
        records=records + turn.records,
        called=report.called,
        used_in=used.input_tokens if used else None,
        used_out=used.output_tokens if used else None,
        outcome=report.outcome.kind if report.called else None,
        healthy=decision.healthy,
        throttle_ms=None if decision.throttle_s is None else round(decision.throttle_s * 1000),
        refused=report.outcome.limit if isinstance(report.outcome, Throttled) else None,
        heard=heard_of(office.table, lease.tier, report.evidence.allowances),
        close_reason=closing.reason.value if closing else None,
        close_ms=None if closing is None or closing.seconds is None else round(closing.seconds * 1000),
    )


def settle_handed(office: Office, lease: Lease, step: Step) -> Settlement:
    """The settlement of a job that was handed over without a call."""
    turn = _turn(office, lease, step, why=lease.reason or "failed", fields={}, report=None)
    return _settlement(lease, turn)


class _Turn(NamedTuple):
    """What a step makes of a settlement."""

    step: SettleStep
    fields: dict[str, str | int]
    records: tuple[Record, ...] = ()
    state: str | None = None
    to: str | None = None
    tiers: tuple[str, ...] = ()
    wait_ms: int | None = None
    result: bytes = b""


def _settlement(lease: Lease, turn: _Turn) -> Settlement:
    """A settlement without a call."""
    return Settlement(
        lease=lease,
        step=turn.step,
        state=turn.state,
        to=turn.to,
        tiers=turn.tiers,
        wait_ms=turn.wait_ms,
        result=turn.result,
        records=turn.records,
        job_fields=turn.fields,
        called=False,
    )


def _turn(
    office: Office, lease: Lease, step: Step, *, why: str, fields: dict[str, str | int], report: Report | None
) -> _Turn:
    match step:
        case Succeed() | Fail():
            spent = int(fields.get("cost", lease.cost_microusd))
            made = lease.attempt - int(fields.get("skipped", lease.skipped))
            ending = end(office, lease, step, why=why, spent=spent, made=made, report=report)
            return _Turn("finish", fields, (ending.record,), state=ending.state.value, result=ending.line)
        case Move(tier=tier, reason=reason):
            left = _left(lease, fields, reason)
            return _Turn("move", left, (_moved(office, lease, tier, reason),), to=tier)
        case Hold(tiers=tiers, reason=reason):
            left = _left(lease, fields, reason)
            return _Turn("hold", left, (_held(office, lease, tiers, reason),), tiers=tiers)
        case Wait(seconds=seconds, reason=reason, aside=aside):
            # A throttled tier makes the whole queue wait, so the job keeps its place in it.
            if seconds <= 0 or (reason is Reason.THROTTLED and not aside):
                return _Turn("release", fields)
            return _Turn("delay", fields, wait_ms=max(1, round(seconds * 1000)))
        case _ as never:
            assert_never(never)


def _left(lease: Lease, fields: dict[str, str | int], reason: Reason) -> dict[str, str | int]:
    again = {"refused": 0} if lease.refusals or "refused" in fields else {}
    return {**fields, "tries": 0, **again, "path": path_with(lease.path, lease.tier, reason.value)}


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
            "owner": provider.owner,
            "model": tier.model,
            "region": provider.region,
            "worker": office.worker,
            "fence": lease.fence,
            "task_class": lease.task_class,
            "batch_id": lease.batch_id,
            "policy_digest": office.table.policy_digest,
            "started_at": lease.started_at,
            "duration_us": report.duration_us,
            "outcome": report.outcome.kind,
            "http_status": evidence.http_status,
            "provider_request_id": evidence.provider_request_id,
            "response_model": evidence.response_model,
            "response_region": evidence.response_region,
            "upstream": evidence.upstream,
            "service_tier": evidence.service_tier,
            "finish_reason": evidence.finish_reason,
            **_tokens(usage),
            "usage_source": charge.source,
            "cost_microusd": charge.microusd,
            "retry_after_s": _retry_after(report.outcome),
            "counted": decision.counted,
        }
    )


def _tokens(usage: Usage | None) -> dict[str, int | None]:
    if usage is None:
        return {}
    return {
        "input_tokens": usage.input_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "output_tokens": usage.output_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    }


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
        batch_id=lease.batch_id,
        task_class=lease.task_class,
        from_tier=lease.tier,
        to_tier=tier,
        reason=reason,
        policy_digest=office.table.policy_digest,
    )


def _held(office: Office, lease: Lease, tiers: tuple[str, ...], reason: Reason) -> HeldRecord:
    return HeldRecord(
        job_id=lease.job_id,
        batch_id=lease.batch_id,
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
