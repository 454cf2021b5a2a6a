"""The proof at the end of the demo: what was asked, answered, called and recorded, held against each other. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pointsman_routes import JobState, OutcomeKind, Result

from .demo_vendors import VendorCall

ShownRecord = Mapping[str, Any]
_NAMED = 3
"""Jobs a failed check names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibits:
    """Everything there is to compare."""

    prompts: Mapping[str, str]
    """What each submitted job asked, by its id. No two ask the same."""
    results: Sequence[Result]
    finals: Sequence[ShownRecord]
    attempts: Sequence[ShownRecord]
    calls: Mapping[str, Sequence[VendorCall]]
    """What each provider's vendor got."""
    complaints: Mapping[str, Sequence[str]]
    """What each vendor holds against its client."""
    cut: int
    """Calls that were under way when their worker was killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that must hold."""

    name: str
    missing: str = ""
    """What is not as it must be; empty when the check holds."""

    @property
    def holds(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing


def prove(exhibits: Exhibits) -> list[Check]:
    """Hold everything against everything."""
    return [Check(name=name, missing=find(exhibits)) for name, find in _CHECKS.items()]


def _every_job_succeeded(exhibits: Exhibits) -> str:
    states = Counter(dict.fromkeys(exhibits.prompts, 0))
    states.update(result.id for result in exhibits.results if result.pointsman.state is JobState.SUCCEEDED)
    return _named("without exactly one answer", (job_id for job_id, count in states.items() if count != 1))


def _one_final_record_each(exhibits: Exhibits) -> str:
    records = Counter(dict.fromkeys(exhibits.prompts, 0))
    records.update(record["job_id"] for record in exhibits.finals)
    return _named("without exactly one final record", (job_id for job_id, count in records.items() if count != 1))


def _record_tells_what_result_tells(exhibits: Exhibits) -> str:
    recorded = {record["job_id"]: _told_by_record(record) for record in exhibits.finals}
    results = exhibits.results
    return _named(
        "told differently", (found.id for found in results if _told_by_result(found) != recorded.get(found.id))
    )


def _every_request_has_its_attempt(exhibits: Exhibits) -> str:
    unrecorded = _requests(exhibits) - _attempted(exhibits.prompts, exhibits.attempts)
    return _named("requests without a record", (f"{provider}: {prompt}" for provider, prompt in unrecorded.elements()))


def _every_attempt_has_its_request(exhibits: Exhibits) -> str:
    # A call whose end nobody saw may have been cut before it arrived; its outcome says so.
    seen = [attempt for attempt in exhibits.attempts if attempt["outcome"] != OutcomeKind.UNKNOWN]
    invented = _attempted(exhibits.prompts, seen) - _requests(exhibits)
    return _named("records without a request", (f"{provider}: {prompt}" for provider, prompt in invented.elements()))


def _nothing_in_flight(exhibits: Exhibits) -> str:
    return _named("not ended", (attempt["job_id"] for attempt in exhibits.attempts if attempt["outcome"] is None))


def _no_vendor_complains(exhibits: Exhibits) -> str:
    complaints = exhibits.complaints.items()
    return _named("complaints", (f"{vendor}: {complaint}" for vendor, found in complaints for complaint in found))


def _every_fallback_is_told(exhibits: Exhibits) -> str:
    silent = (
        record["job_id"]
        for record in exhibits.finals
        if (record["served_tier"] != record["requested_tier"]) != (record["fallback_reason"] is not None)
    )
    return _named("silent", silent)


def _throttling_was_seen(exhibits: Exhibits) -> str:
    return _happened(exhibits.attempts, "outcome", {OutcomeKind.THROTTLED}, "a call refused with 429")


def _outage_was_seen(exhibits: Exhibits) -> str:
    return _happened(exhibits.finals, "fallback_reason", {"breaker_open", "overloaded"}, "a fallback for an outage")


def _switch_was_seen(exhibits: Exhibits) -> str:
    return _happened(exhibits.finals, "fallback_reason", {"disabled"}, "a fallback for a disabled tier")


def _cut_calls_were_recovered(exhibits: Exhibits) -> str:
    # A call that was claimed when its tier was switched off is unknown too; it never began, and nothing is charged.
    unknown = [at for at in exhibits.attempts if at["outcome"] == OutcomeKind.UNKNOWN]
    cut = {at["job_id"]: at["worker"] for at in unknown if at.get("usage_source") != "none"}
    saved = {at["job_id"]: at["worker"] for at in exhibits.attempts if at["outcome"] == OutcomeKind.OK}
    if len(cut) != exhibits.cut:
        return f"{len(cut)} calls recorded as unknown, not {exhibits.cut}"
    return _named(
        "not answered by another worker", (job_id for job_id in cut if saved.get(job_id) in (None, cut[job_id]))
    )


_CHECKS: Mapping[str, Callable[[Exhibits], str]] = {
    "every job has one answer": _every_job_succeeded,
    "every job has one final record": _one_final_record_each,
    "record and result name the same model, reason and cost": _record_tells_what_result_tells,
    "every request the vendors got has its attempt record": _every_request_has_its_attempt,
    "every attempt record has its request": _every_attempt_has_its_request,
    "every attempt has ended": _nothing_in_flight,
    "no vendor saw a call before its Retry-After was over": _no_vendor_complains,
    "every answer by another than the primary says why": _every_fallback_is_told,
    "a vendor's throttling was met": _throttling_was_seen,
    "a vendor's outage was met": _outage_was_seen,
    "an operator's switch was obeyed": _switch_was_seen,
    "calls cut by a kill were made again by another worker": _cut_calls_were_recovered,
}


def _told_by_record(record: ShownRecord) -> tuple[object, ...]:
    names = ("state", "served_tier", "served_model", "served_region", "fallback_reason", "downgraded", "attempts")
    return (*(record[name] for name in names), record["cost_microusd"])


def _told_by_result(result: Result) -> tuple[object, ...]:
    told = result.pointsman
    served = told.served
    who = (served.tier, served.model, served.region) if served else (None, None, None)
    cost = None if told.cost_usd is None else Decimal(told.cost_usd) * 1_000_000
    return (told.state, *who, told.fallback_reason, told.downgraded, told.attempts, cost)


def _requests(exhibits: Exhibits) -> Counter[tuple[str, str]]:
    return Counter((provider, call.prompt) for provider, calls in exhibits.calls.items() for call in calls)


def _attempted(prompts: Mapping[str, str], attempts: Iterable[ShownRecord]) -> Counter[tuple[str, str]]:
    return Counter((attempt["provider"], prompts.get(attempt["job_id"], attempt["job_id"])) for attempt in attempts)


def _happened(records: Iterable[ShownRecord], field: str, values: set[Any], what: str) -> str:
    return "" if any(record[field] in values for record in records) else f"{what} is not in the ledger"


def _named(what: str, found: Iterable[str]) -> str:
    names = list(found)
    if not names:
        return ""
    more = "" if len(names) <= _NAMED else f" and {len(names) - _NAMED} more"
    return f"{len(names)} {what}: {', '.join(names[:_NAMED])}{more}"
