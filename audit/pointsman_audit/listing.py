"""Records as they are shown: the documented fields in the documented order, moments as ISO-8601."""

import json
from typing import Any

from pointsman_routes import RecordKind

from .columns import time_name
from .intake import CONTRACT
from .moment import to_iso
from .record_filter import ListedKind

ShownRecord = dict[str, Any]
"""A record as it is shown; every value is plain JSON."""

FINAL_FIELDS = (
    "kind",
    "seq",
    "job_id",
    "custom_id",
    "batch_id",
    "task_class",
    "state",
    "requested_tier",
    "requested_model",
    "served_tier",
    "served_provider",
    "served_model",
    "served_region",
    "fallback_reason",
    "path",
    "downgraded",
    "attempts",
    "input_tokens",
    "output_tokens",
    "cost_microusd",
    "price_source",
    "accepted_at",
    "finished_at",
    "policy_digest",
    "prompt_digest",
    "response_digest",
    "error_code",
)
ATTEMPT_FIELDS = (
    "kind",
    "seq",
    "job_id",
    "attempt",
    "hop",
    "tier",
    "provider",
    "owner",
    "model",
    "region",
    "worker",
    "fence",
    "started_at",
    "finished_at",
    "duration_us",
    "outcome",
    "http_status",
    "provider_request_id",
    "response_model",
    "response_region",
    "upstream",
    "service_tier",
    "finish_reason",
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "usage_source",
    "cost_microusd",
    "retry_after_s",
    "counted",
)
_MOMENTS = frozenset({"accepted_at", "started_at", "finished_at", "at"})


def _told_fields(kind: RecordKind) -> tuple[str, ...]:
    declared = [name for name in CONTRACT[kind].model_fields if name not in ("kind", "policy")]
    time = time_name(kind)
    return ("kind", "seq", *declared, *(() if time in declared else (time,)))


_TOLD = {kind.value: _told_fields(kind) for kind in RecordKind}


def as_listed(kind: ListedKind, seq: int, body: str) -> ShownRecord:
    """A record in a listing of its kind.

    An attempt's `kind` is `attempt` whether it has ended or not; while it has not, `finished_at` and `outcome`
    are None and its number is that of its beginning.
    """
    if kind is ListedKind.FINAL:
        return _shown(FINAL_FIELDS, seq, json.loads(body))
    if kind is ListedKind.ATTEMPT:
        return _shown(ATTEMPT_FIELDS, seq, {**json.loads(body), "kind": kind.value})
    return as_told(seq, body)


def as_told(seq: int, body: str) -> ShownRecord:
    """A record in a job's story: under its own kind, with every field the contract declares for it."""
    record = json.loads(body)
    return _shown(_TOLD[record["kind"]], seq, record)


def _shown(fields: tuple[str, ...], seq: int, record: ShownRecord) -> ShownRecord:
    shown: ShownRecord = {name: record.get(name) for name in fields}
    shown["seq"] = seq
    for name in _MOMENTS.intersection(fields):
        if shown[name] is not None:
            shown[name] = to_iso(shown[name])
    return shown
