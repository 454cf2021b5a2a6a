"""A month of the ledger in plain Python: added up from records that are all in memory, as the documentation says."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from ledger_model import Known, call, words_of

from pointsman_audit import Month
from pointsman_audit.moment import to_micros

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Lines = list[dict[str, Any]]


def modelled(history: Sequence[Known], month: Month) -> dict[str, Any]:
    """What the report has beside its frame, as one object of JSON; lists in no order."""
    inside = [known for known in history if to_micros(month.since) <= known.at < to_micros(month.until)]
    calls, finals = _of_kind(inside, "attempt_finished"), _of_kind(inside, "final")
    held = _of_kind(inside, "held")
    ended_jobs = {known.body["job_id"] for known in _of_kind(history, "final")}
    ended_calls = {call(known) for known in _of_kind(history, "attempt_finished")}
    accepted, begun = _of_kind(inside, "accepted"), _of_kind(inside, "attempt_started")
    below = [known for known in finals if known.body["downgraded"]]
    left = [known for known in finals if known.body["fallback_reason"] is not None]
    failed = [known for known in finals if known.body["error_code"] is not None]
    return {
        "records": len(inside),
        "spend": spend(calls),
        "estimated": spend([known for known in calls if known.body["usage_source"] == "estimate"]),
        "by_class": _lines(calls, lambda known: known.body["task_class"]),
        "by_tier": _lines(calls, lambda known: known.body["tier"]),
        "by_owner": _lines(calls, lambda known: known.body["owner"]),
        "by_day": _lines(calls, day),
        "by_day_and_class": [
            {"day": at, "task_class": name, "spend": spend(some)}
            for (at, name), some in _split(calls, lambda known: (day(known), known.body["task_class"])).items()
        ],
        "accepted": len(accepted),
        "jobs": _counts(finals, ("task_class", "state"), "jobs"),
        "open_jobs": len([known for known in accepted if known.body["job_id"] not in ended_jobs]),
        "open_calls": len([known for known in begun if call(known) not in ended_calls]),
        "fallbacks": _counts(left, ("task_class", "fallback_reason"), "jobs", fallback_reason="reason"),
        "moves": _counts(_of_kind(inside, "moved"), ("from_tier", "reason"), "moves", from_tier="tier"),
        "downgrades": [
            {"task_class": name, "tier": tier, "jobs": len(some)}
            for (name, tier), some in _split(
                below, lambda known: (known.body["task_class"], words_of(known)["tier"])
            ).items()
        ],
        "holds": _counts(held, ("task_class", "reason"), "times"),
        "held_jobs": len({known.body["job_id"] for known in held}),
        "endings": _counts(calls, ("tier", "task_class", "outcome"), "calls"),
        "errors": _counts(failed, ("error_code",), "jobs"),
        "call_latency": _latency(None, calls),
        "call_latency_by_tier": [
            _latency(name, some) for name, some in _split(calls, lambda known: known.body["tier"]).items()
        ],
        "job_latency": _latency(None, finals),
        "job_latency_by_class": [
            _latency(name, some) for name, some in _split(finals, lambda known: known.body["task_class"]).items()
        ],
    }


def spend(calls: Sequence[Known]) -> dict[str, Any]:
    """What some calls used."""
    bodies = [known.body for known in calls]
    billed = [body for body in bodies if body["usage_source"] != "none"]
    no_tokens = [body for body in billed if body["input_tokens"] is None or body["output_tokens"] is None]
    no_cost = [body for body in billed if body["cost_microusd"] is None]
    return {
        "calls": len(bodies),
        "input_tokens": _sum(bodies, "input_tokens", no_tokens),
        "output_tokens": _sum(bodies, "output_tokens", no_tokens),
        "unknown_tokens": len(no_tokens),
        "cost_microusd": _sum(bodies, "cost_microusd", no_cost),
        "unknown_cost": len(no_cost),
    }


def day(known: Known) -> str:
    """The day of a record, in UTC."""
    return (EPOCH + timedelta(microseconds=known.at)).date().isoformat()


def _sum(bodies: Iterable[dict[str, Any]], name: str, unknown: Sequence[object]) -> int | None:
    known = [body[name] for body in bodies if body[name] is not None]
    return sum(known) if known or not unknown else None


def _of_kind(history: Sequence[Known], kind: str) -> list[Known]:
    return [known for known in history if known.record.kind == kind]


def _split(records: Sequence[Known], key: Callable[[Known], Any]) -> dict[Any, list[Known]]:
    found: dict[Any, list[Known]] = {}
    for known in records:
        found.setdefault(key(known), []).append(known)
    return found


def _lines(calls: Sequence[Known], key: Callable[[Known], Any]) -> Lines:
    return [{"name": name, "spend": spend(some)} for name, some in _split(calls, key).items()]


def _counts(records: Sequence[Known], names: tuple[str, ...], counted: str, **called: str) -> Lines:
    found = Counter(tuple(known.body[name] for name in names) for known in records)
    shown = [called.get(name, name) for name in names]
    return [{**dict(zip(shown, words, strict=True)), counted: number} for words, number in found.items()]


def _latency(name: str | None, records: Sequence[Known]) -> dict[str, Any]:
    durations = sorted(duration for known in records if (duration := _duration(known)) is not None)
    ranks = [durations[math.ceil(len(durations) * share / 100) - 1] if durations else None for share in (50, 95)]
    missing = len(records) - len(durations)
    return {"name": name, "measured": len(durations), "unmeasured": missing, "p50_us": ranks[0], "p95_us": ranks[1]}


def _duration(known: Known) -> int | None:
    if known.record.kind == "final":
        return int(known.at - known.body["accepted_at"])
    found: int | None = known.body["duration_us"]
    return found
