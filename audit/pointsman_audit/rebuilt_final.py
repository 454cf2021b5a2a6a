"""A final record made again from what is left of a job that is over."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from pydantic import ValidationError

from pointsman_queue import Remains
from pointsman_routes import FinalRecord, JobState, PathStep, Reason, Result

UNKNOWN: Final = "unknown"
"""For a field that the contract requires and nobody can tell any more."""
_LONGEST_NUMBER: Final = 20
"""Digits of a number that means anything here."""
_MOST_USD: Final = 10**9


def rebuild_final(job_id: str, remains: Remains, accepted: Mapping[str, Any] | None) -> FinalRecord | None:
    """Make the record; it says that it was.

    State, path, calls and cost are the job's own in Redis; who answered is from its result; names and digests are from
    its acceptance. The digest of the answer and the source of the price are not known. The path's last step is known of
    a job that was answered, and of one that failed at a tier.

    Args:
        job_id: the job.
        remains: of the job.
        accepted: the record of its acceptance, if the ledger has it.

    Returns:
        None if what is left tells no end.
    """
    fields, told = remains.fields, accepted or {}
    result = _read(job_id, remains)
    story = result.pointsman if result is not None else None
    served, usage = (story.served, story.usage) if story is not None else (None, None)
    path, barred = _path(fields, result), fields.get("barred", "").split(",")
    requested = story.requested if story is not None else None
    values = {
        "job_id": job_id,
        "custom_id": told.get("custom_id") or (result.custom_id if result is not None else UNKNOWN),
        "batch_id": fields.get("batch") or told.get("batch_id") or UNKNOWN,
        "task_class": fields.get("class") or told.get("task_class") or UNKNOWN,
        "state": fields.get("state"),
        "requested_tier": told.get("requested_tier") or (requested.tier if requested is not None else UNKNOWN),
        "requested_model": requested.model if requested is not None else UNKNOWN,
        "served_tier": served.tier if served is not None else None,
        "served_provider": served.provider if served is not None else None,
        "served_model": served.model if served is not None else None,
        "served_region": served.region if served is not None else None,
        "fallback_reason": story.fallback_reason if story is not None else None,
        "path": path,
        "downgraded": story.downgraded if story is not None else False,
        "mismatch": any(step.reason == Reason.MISROUTED and step.tier in barred for step in path),
        "attempts": max(0, _number(fields, "calls") - _number(fields, "skipped")),
        "input_tokens": usage.input_tokens if usage is not None else None,
        "output_tokens": usage.output_tokens if usage is not None else None,
        "cost_microusd": _cost(fields, story.cost_usd if story is not None else None),
        "accepted_at": _number(fields, "accepted") or told.get("accepted_at"),
        "policy_digest": told.get("policy_digest") or UNKNOWN,
        "prompt_digest": told.get("prompt_digest") or UNKNOWN,
        "error_code": result.error.code if result is not None and result.error is not None else None,
        "rebuilt": True,
    }
    try:
        return FinalRecord.model_validate(values)
    except ValidationError:
        return None


def _read(job_id: str, remains: Remains) -> Result | None:
    """The result line, if it is this job's and tells of the same end."""
    try:
        result = Result.model_validate_json(remains.result or b"")
    except ValidationError:
        return None
    same = result.id == job_id and result.pointsman.state == remains.fields.get("state")
    return result if same else None


def _path(fields: Mapping[str, str], result: Result | None) -> tuple[PathStep, ...]:
    pairs = [step.rpartition(":") for step in fields.get("path", "").split(",") if step]
    steps = [PathStep(tier=tier, reason=reason) for tier, _, reason in pairs]
    if result is not None and result.pointsman.served is not None:
        reason = "truncated" if result.pointsman.truncated else "ok"
        steps.append(PathStep(tier=result.pointsman.served.tier, reason=reason))
    elif (
        result is not None
        and result.error is not None
        and result.pointsman.state is JobState.FAILED
        # A job that was held has left its last tier already, and is counted no try at another.
        and _number(fields, "tries")
        and fields.get("tier")
    ):
        steps.append(PathStep(tier=fields["tier"], reason=result.error.code))
    return tuple(steps)


def _cost(fields: Mapping[str, str], told: str | None) -> int | None:
    if "cost" in fields:
        return _number(fields, "cost")
    try:
        cost = None if told is None else Decimal(told)
    except InvalidOperation:
        return None
    # Looked at before it is multiplied: a text of ten characters can be a number of a million digits.
    return int(cost * 1_000_000) if cost is not None and cost.is_finite() and abs(cost) < _MOST_USD else None


def _number(fields: Mapping[str, str], name: str) -> int:
    text = fields.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER else 0
