"""A job's story, told from its records alone: what was asked, each step and why, what answered, what it cost. Pure.

What no record says is said to be unknown. Weakness: a record that is not in the ledger yet is not in the story.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pointsman_routes import TaskClass, format_duration

from .printable import known, printable
from .story_policy import SHORT, policy_lines, table_of
from .story_steps import TRIALS_CLASS, Record, Step, cost_words, model_at, step_of
from .story_times import after, in_utc, read_time, time_of
from .story_words import error_words, reason_words

if TYPE_CHECKING:
    from pointsman_audit import KnownPolicy

Policies = Mapping[str, "KnownPolicy"]
_OF_THE_LIFE = frozenset({"accepted", "attempt_started", "attempt_finished", "moved", "held", "released", "final"})
_TRIAL = "test-"


def tell_story(records: Sequence[Record], policies: Policies) -> list[str]:
    """Tell the story of one job.

    Args:
        records: all of its records, in the order of their numbers; at least one.
        policies: what the ledger knows of the policies that they name, by digest.

    Returns:
        Lines of text in which nothing steers a terminal.
    """
    lines = [*_heading(records), *_asked(records, policies), *_end(records), "", *_steps(records)]
    class_name = _first(records, "task_class")
    tiers = [tier for tier in dict.fromkeys(one.get("tier") for one in _of(records, "attempt_started")) if tier]
    for digest in dict.fromkeys(one["policy_digest"] for one in records if one.get("policy_digest")):
        named = None if class_name == TRIALS_CLASS else class_name
        lines += ["", *policy_lines(digest, policies.get(digest), named, tiers)]
    return lines


def is_trial(records: Sequence[Record]) -> bool:
    """Whether it is no job but a call that a person made to try a tier."""
    named = str(_first(records, "job_id") or "").startswith(_TRIAL)
    return named and not _of(records, "accepted") and not _of(records, "final")


def final_of(records: Sequence[Record]) -> Record | None:
    """The record of its end; None while it has none, or has been taken in again since."""
    last = next((one for one in reversed(records) if one["kind"] in ("accepted", "final")), None)
    return last if last is not None and last["kind"] == "final" else None


def _heading(records: Sequence[Record]) -> Iterator[str]:
    job_id, final = known(_first(records, "job_id")), final_of(records)
    if is_trial(records):
        yield f"trial {job_id}: a call made by a person with `pointsman routes test`; it is no job"
        return
    state = known(final.get("state")) if final is not None else "not ended"
    yield f"job {job_id}: {state}"
    names = (("custom id", "custom_id"), ("batch", "batch_id"), ("class", "task_class"))
    yield "  " + ", ".join(f"{words} {known(_first(records, name))}" for words, name in names)


def _asked(records: Sequence[Record], policies: Policies) -> Iterator[str]:
    if is_trial(records):
        return
    accepted = _began(records)
    moment = in_utc(accepted)
    told = "" if _of(records, "accepted") else " (its end says so; there is no record of its acceptance)"
    yield f"  accepted     {moment}{told if accepted else ''}"
    yield f"  deadline     {_deadline(records, policies, accepted)}"
    yield f"  asked for    {_requested(records, policies)}"


def _end(records: Sequence[Record]) -> Iterator[str]:
    final = final_of(records)
    if final is not None:
        yield f"  answered by  {_served(final)}"
        reason = final.get("fallback_reason")
        if reason is not None:
            left, why = known(final.get("requested_tier")), printable(reason_words(reason))
            yield f"  fallback     {printable(reason)}: {left} was left, since {why}"
        if final.get("downgraded"):
            yield "  downgraded   the answer is below the class's quality floor; the policy names this tier for that"
        if final.get("mismatch"):
            yield "  mismatch     some call was answered by a model or region that was not asked for"
        ended = time_of(final)
        yield f"  ended        {in_utc(ended)}, {after(_began(records), ended)} from acceptance"
    elif not is_trial(records):
        yield f"  waits        {_waits(records)}"
    yield f"  cost         {_cost(records, final)}"


def _served(final: Record) -> str:
    if final.get("served_tier") is None:
        return f"nobody: {printable(error_words(final.get('error_code')))}"
    place = final.get("served_region")
    where = "in an unknown region" if place is None else f"in region {printable(place)}"
    return f"{model_at(final, 'served')}, {where}"


def _requested(records: Sequence[Record], policies: Policies) -> str:
    final = _of(records, "final")
    if final:
        return model_at(final[-1], "requested")
    tier = _first(records, "requested_tier")
    table = table_of(policies.get(str(_first(records, "policy_digest"))))
    model = table.tiers[tier].model if table is not None and tier in table.tiers else None
    return "unknown" if tier is None else model_at({"requested_tier": tier, "requested_model": model}, "requested")


def _deadline(records: Sequence[Record], policies: Policies, accepted: datetime | None) -> str:
    entry = _class(records, policies)
    if accepted is None or entry is None:
        return "unknown: the policy it was accepted under cannot be read here"
    return f"{in_utc(accepted + entry.deadline)}, {format_duration(entry.deadline)} from acceptance"


def _class(records: Sequence[Record], policies: Policies) -> TaskClass | None:
    """The class, as the policy has it that the job was accepted under."""
    accepted = _of(records, "accepted") or list(records)
    table = table_of(policies.get(str(accepted[0].get("policy_digest"))))
    return table.classes.get(str(_first(records, "task_class"))) if table is not None else None


def _waits(records: Sequence[Record]) -> str:
    """What a job without an end waits for, as far as records tell."""
    life = [one for one in records if one["kind"] in _OF_THE_LIFE]
    last: Record = life[-1] if life else {"kind": None}
    now = f"; where it is now: pointsman jobs show {known(_first(records, 'job_id'))}"
    match last["kind"]:
        case "accepted" | "moved" | "released":
            names = {"accepted": "requested_tier", "moved": "to_tier", "released": "tier"}
            return f"in the queue of {known(last.get(names[last['kind']]))} for a worker{now}"
        case "held":
            tiers = " or ".join(printable(tier) for tier in last.get("waits_for") or ())
            return f"for {tiers or 'an unknown tier'} to open, until its deadline{now}"
        case "attempt_started":
            return f"for the end of call {known(last.get('attempt'))} to {known(last.get('tier'))}{now}"
        case "attempt_finished":
            return f"to be asked again at {known(last.get('tier'))}, or for its next record{now}"
        case _:
            return f"for what is unknown: no record tells of its life{now}"


def _cost(records: Sequence[Record], final: Record | None) -> str:
    ends = _of(records, "attempt_finished")
    begun, ended = {_call(one) for one in _of(records, "attempt_started")}, {_call(one) for one in ends}
    billed = [one for one in ends if one.get("usage_source") != "none"]
    unknown = len([one for one in billed if one.get("cost_microusd") is None])
    told = _sum(ends, unknown)
    guessed = _sum([one for one in billed if one.get("usage_source") == "estimate"], unknown)
    total = told if final is None else final.get("cost_microusd")
    number, flying = len(begun | ended), len(begun - ended)
    parts = (
        f"{cost_words(total)} for {number} {'call' if number == 1 else 'calls'}",
        f"{cost_words(guessed)} of it are estimates" if guessed else None,
        f"{unknown} without a known cost" if unknown else None,
        f"{flying} without an end, whose cost is not in it" if flying else None,
        f"the records of the calls add up to {cost_words(told)}" if total != told else None,
    )
    return "; ".join(filter(None, parts))


def _sum(calls: Sequence[Record], unknown: int) -> int | None:
    told = [one["cost_microusd"] for one in calls if one.get("cost_microusd") is not None]
    return None if unknown and not told else sum(told)


def _steps(records: Sequence[Record]) -> Iterator[str]:
    """Every record: when after the acceptance, how long after the one before, its number, what it tells."""
    began, held, before = _began(records), None, None
    digest: object = None
    rows: list[tuple[str, str, str, Step]] = []
    for record in records:
        now = time_of(record)
        step = step_of(record, held)
        under = record.get("policy_digest")
        if digest is not None and under not in (None, digest):
            step = Step(step.sentence, (*step.details, f"under another policy: {printable(str(under)[:SHORT])}"))
        digest = under or digest
        held = {"held": now, "released": None}.get(record["kind"], held)
        gap = "" if before is None else after(before, now)
        rows.append((after(began or time_of(records[0]), now), gap, f"{record['seq']}", step))
        before = now or before
    heads = ("since", "step", "record")
    widths = [max(len(head), *(len(row[at]) for row in rows)) for at, head in enumerate(heads)]
    yield "  ".join(head.rjust(width) for head, width in zip(heads, widths, strict=True)) + "  what"
    margin = " " * (sum(widths) + 8)
    for since, gap, seq, step in rows:
        left = "  ".join(text.rjust(width) for text, width in zip((since, gap, seq), widths, strict=True))
        yield f"{left}  {step.sentence}"
        yield from (f"{margin}{detail}" for detail in step.details)


def _began(records: Sequence[Record]) -> datetime | None:
    accepted = _of(records, "accepted") or _of(records, "final")
    return read_time(accepted[0].get("accepted_at")) if accepted else None


def _of(records: Sequence[Record], kind: str) -> list[Record]:
    return [one for one in records if one["kind"] == kind]


def _call(record: Record) -> tuple[Any, Any]:
    return record.get("attempt"), record.get("fence")


def _first(records: Sequence[Record], name: str) -> Any:
    return next((one[name] for one in records if one.get(name) is not None), None)
