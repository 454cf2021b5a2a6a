"""How a job ends: its final record and its result line."""

import json
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pointsman_queue import Lease
from pointsman_routes import (
    Answer,
    Fail,
    FinalRecord,
    JobState,
    OutcomeKind,
    PathStep,
    Provider,
    Reason,
    Succeed,
    Tier,
    Usage,
    format_usd,
    salted_digest,
)

from .office import Office
from .report import Report

_STATES = {"expired": JobState.EXPIRED, "cancelled": JobState.CANCELLED}
_UNREADABLE = "unreadable"
_UNSALTED = "unsalted"
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """A job's end, ready to be written."""

    state: JobState
    record: FinalRecord
    line: bytes
    """The result line, a `Result` in JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """The tier that answered, with its answer."""

    tier: Tier
    provider: Provider
    report: Report
    answer: Answer
    truncated: bool


@lru_cache(maxsize=4096)
def path_steps(path: str) -> tuple[PathStep, ...]:
    """Read the path as leases carry it."""
    pairs = (step.rpartition(":") for step in path.split(",") if step)
    return tuple(PathStep(tier=tier, reason=reason) for tier, _, reason in pairs)


def path_with(path: str, tier: str, reason: str) -> str:
    """The path with one more tier left, or answered by."""
    return f"{path},{tier}:{reason}" if path else f"{tier}:{reason}"


def end(
    office: Office,
    lease: Lease,
    step: Succeed | Fail,
    *,
    why: str,
    spent: int,
    made: int,
    report: Report | None = None,
) -> Ending:
    """Write a job's end.

    The digests are made with the job's salt. A job that has none, since an older version took it in, ends with the
    `prompt_digest` "unsalted" and no `response_digest`: short texts could be found from a digest without a salt.

    Args:
        office: the worker's surroundings.
        lease: the job.
        step: how it ends.
        why: the reason the last tier's entry of the path gets.
        spent: micro-USD of all its attempts.
        made: calls made.
        report: of the attempt that ended it, if one did.
    """
    serving = None
    if isinstance(step, Succeed) and report is not None:
        serving = Serving(
            tier=office.table.tiers[lease.tier],
            provider=office.table.provider_of(lease.tier),
            report=report,
            answer=step.answer,
            truncated=step.truncated,
        )
    state = _STATES.get(step.code, JobState.FAILED) if isinstance(step, Fail) else JobState.SUCCEEDED
    # A held job ends where it happens to be seen: it has left its last tier, and was never at this one.
    path = lease.path if lease.held else path_with(lease.path, lease.tier, why)
    record = _final_record(office, lease, state, serving, path, spent, made, misrouted=_misrouted(lease, report))
    if isinstance(step, Fail):
        record = record.model_copy(update={"error_code": step.code})
    return Ending(state=state, record=record, line=_result_line(lease, record, serving, step))


def _final_record(
    office: Office,
    lease: Lease,
    state: JobState,
    serving: Serving | None,
    path: str,
    spent: int,
    made: int,
    *,
    misrouted: bool,
) -> FinalRecord:
    steps, left = path_steps(path), path_steps(lease.path)
    requested_tier, requested_model = _requested(office, lease)
    job, usage = lease.job, serving.report.evidence.usage if serving else None
    task_class = office.table.classes.get(lease.task_class)
    return FinalRecord(
        job_id=lease.job_id,
        custom_id=job.custom_id if job else _UNREADABLE,
        batch_id=lease.batch_id,
        task_class=lease.task_class,
        state=state,
        requested_tier=requested_tier,
        requested_model=requested_model,
        served_tier=serving.tier.name if serving else None,
        served_provider=serving.provider.name if serving else None,
        served_model=serving.report.evidence.response_model if serving else None,
        served_region=serving.provider.region if serving else None,
        fallback_reason=_fallback_reason(requested_tier, left, serving),
        path=steps,
        downgraded=bool(serving and task_class and office.table.downgraded(task_class, serving.tier.name)),
        mismatch=misrouted,
        attempts=made,
        input_tokens=usage.input_tokens if usage else None,
        output_tokens=usage.output_tokens if usage else None,
        cost_microusd=spent,
        price_source=_price_source(office, lease, serving) if made else None,
        accepted_at=lease.accepted_at,
        policy_digest=office.table.policy_digest,
        prompt_digest=_prompt_digest(lease),
        response_digest=salted_digest(lease.salt, serving.answer.canonical()) if serving and lease.salt else None,
    )


def _prompt_digest(lease: Lease) -> str:
    """As in the accepted record. A job that an older version took in has no salt, so nothing is told of its texts."""
    if lease.job is None:
        return _UNREADABLE
    return salted_digest(lease.salt, lease.job.asked()) if lease.salt else _UNSALTED


def _price_source(office: Office, lease: Lease, serving: Serving | None) -> str | None:
    """Where the price of the last attempt is from: the vendor itself where it told what the call cost."""
    if serving is not None and serving.report.evidence.told_microusd is not None:
        return "vendor"
    return office.rates[lease.tier].source if lease.tier in office.rates else None


def _misrouted(lease: Lease, report: Report | None) -> bool:
    """Whether an attempt of this job was answered by another model; finding a tier closed for that is not one."""
    here = report is not None and report.outcome.kind is OutcomeKind.MISROUTED
    left = path_steps(lease.path)
    return here or any(step.reason == Reason.MISROUTED and step.tier in lease.barred for step in left)


def _requested(office: Office, lease: Lease) -> tuple[str, str]:
    """Tier and model the class asks for first."""
    task_class = office.table.classes.get(lease.task_class)
    tier = task_class.primary if task_class else lease.tier
    known = office.table.tiers.get(tier)
    return tier, known.model if known else "unknown"


def _fallback_reason(primary: str, left: tuple[PathStep, ...], serving: Serving | None) -> Reason | None:
    """Why the primary was left; None when it answered, or when it was never left: ending there is not leaving it."""
    if serving is not None and serving.tier.name == primary:
        return None
    return next((Reason.named(step.reason) for step in left if step.tier == primary), None)


def _result_line(lease: Lease, record: FinalRecord, serving: Serving | None, step: Succeed | Fail) -> bytes:
    """A `Result` in JSON, written straight away: every job that ends comes through here."""
    usage = serving.report.evidence.usage if serving else None
    result = {
        "id": lease.job_id,
        "custom_id": record.custom_id,
        "response": _response(lease, serving, usage) if serving else None,
        "error": {"code": step.code, "message": step.detail} if isinstance(step, Fail) else None,
        "pointsman": {
            "state": record.state,
            "class": record.task_class,
            "requested": {"tier": record.requested_tier, "model": record.requested_model},
            "served": _served(serving) if serving else None,
            "fallback_reason": record.fallback_reason,
            "downgraded": record.downgraded,
            "truncated": serving.truncated if serving else False,
            "attempts": record.attempts,
            "usage": _tokens(usage) if usage else None,
            "cost_usd": format_usd(record.cost_microusd) if record.cost_microusd is not None else None,
        },
    }
    return _encode(result).encode("utf-8", "replace")


def _tokens(usage: Usage) -> dict[str, int | None]:
    """The fields of a `TokenCount`; `asdict` takes as long as all the rest of the line."""
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    }


def _served(serving: Serving) -> dict[str, str | None]:
    return {
        "tier": serving.tier.name,
        "provider": serving.provider.name,
        "model": serving.report.evidence.response_model,
        "region": serving.provider.region,
    }


def _response(lease: Lease, serving: Serving, usage: Usage | None) -> dict[str, Any]:
    """The answer as a chat completion, whatever the vendor's own format; `model` is the served one."""
    body: dict[str, Any] = {
        "id": f"chatcmpl-{lease.job_id}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": serving.report.evidence.response_model,
        "choices": [
            {
                "index": 0,
                "message": _message(serving.answer),
                "finish_reason": serving.answer.finish_reason,
            }
        ],
    }
    if usage is not None:
        body["usage"] = {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.input_tokens + usage.output_tokens,
            "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens},
        }
        if usage.reasoning_tokens is not None:
            body["usage"]["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return {"status_code": 200, "request_id": serving.report.evidence.provider_request_id, "body": body}


def _message(answer: Answer) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.content}
    if answer.tool_calls:
        message["content"] = answer.content or None
        message["tool_calls"] = [call.model_dump() for call in answer.tool_calls]
    return message
