"""Each record of a job as a step of its story: a sentence, and what else the record says of it. Pure."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from pointsman_routes import OutcomeKind, format_usd

from .printable import known, printable
from .story_times import read_time, span, time_of
from .story_words import error_words, hop_words, outcome_words, reason_words

Record = Mapping[str, Any]
TRIALS_CLASS: Final = "-"
"""What stands as the class in the records of a trial."""
_MICROSECOND = timedelta(microseconds=1)
_ANSWERS = frozenset({OutcomeKind.OK.value, OutcomeKind.TRUNCATED.value})
_SILENT = frozenset({"kind", "seq", "job_id", "at", "policy_digest"})


class Step(NamedTuple):
    """What a record tells."""

    sentence: str
    details: tuple[str, ...] = ()


def step_of(record: Record, held_since: datetime | None = None) -> Step:
    """Tell a record.

    Args:
        record: as a story of the ledger has it; of any version.
        held_since: when the job was held, if it is.
    """
    if record.get("kind") == "released":
        return _released(record, held_since)
    return _STEPS.get(str(record.get("kind")), _other)(record)


def model_at(record: Record, side: str) -> str:
    """A tier and its model, of the side `requested` or `served` of a final record."""
    model = record.get(f"{side}_model")
    unnamed = "its model is unknown" if side == "requested" else "the vendor named no model"
    return f"{known(record.get(f'{side}_tier'))}, {printable(model) if model is not None else unnamed}"


def cost_words(microusd: object) -> str:
    """An amount in USD, exact to the micro-USD."""
    return f"{format_usd(microusd)} USD" if isinstance(microusd, int) else "an unknown cost"


def _accepted(record: Record) -> Step:
    named = f"class {_named(record, 'task_class')}, asked for {_named(record, 'requested_tier')}"
    if record.get("redriven"):
        return Step(f"taken in once more from the ledger, since Redis had lost it: {named}")
    return Step(f"accepted: {named}")


def _started(record: Record) -> Step:
    where = f" in region {_named(record, 'region')}" if record.get("region") is not None else ", region unknown"
    sentence = f"call {_named(record, 'attempt')} begins: {_named(record, 'tier')}, {_named(record, 'model')}{where}"
    # A trial is of a tier, not of a class with a route.
    place = () if record.get("task_class") == TRIALS_CLASS else (hop_words(record.get("hop")),)
    return Step(sentence, (*place, _who(record)))


def _finished(record: Record) -> Step:
    call = f"call {_named(record, 'attempt')} to {_named(record, 'tier')} ended"
    return Step(
        f"{call} {_after(record)}: {printable(outcome_words(record.get('outcome')))}",
        tuple(filter(None, (_asked(record), _said(record), _answered(record), _used(record), _counted(record)))),
    )


def _after(record: Record) -> str:
    """How long the call took, and by which clock."""
    duration = record.get("duration_us")
    if isinstance(duration, int):
        return f"after {span(duration * _MICROSECOND)}"
    begun, ended = read_time(record.get("started_at")), time_of(record)
    if begun is None or ended is None:
        return "after an unknown time"
    return f"after {span(ended - begun)} between its records, the call itself not measured"


def _who(record: Record) -> str:
    owner = record.get("owner")
    key = "whose key it was is unknown" if owner is None else f"key of {printable(owner)}"
    return f"{key}; worker {_named(record, 'worker')}, lease {_named(record, 'fence')}"


def _asked(record: Record) -> str | None:
    """What answered, told apart from what was asked for."""
    model, named = record.get("model"), record.get("response_model")
    if named is None:
        return None
    asked = f"asked for {known(model)}, " if named != model else ""
    place = record.get("response_region")
    where = f" in {printable(place)}" if place is not None else ""
    return f"{asked}the vendor says that {printable(named)} answered{where}"


def _said(record: Record) -> str | None:
    wait = record.get("retry_after_s")
    return _listed(
        ("HTTP", record.get("http_status")),
        ("vendor's request id", record.get("provider_request_id")),
        ("asked to wait", f"{wait:g} s" if isinstance(wait, int | float) else None),
    )


def _answered(record: Record) -> str | None:
    return _listed(
        ("behind the broker", record.get("upstream")),
        ("class of service", record.get("service_tier")),
        ("stopped by", record.get("finish_reason")),
    )


def _used(record: Record) -> str:
    source = record.get("usage_source")
    if source == "none":
        cost = record.get("cost_microusd")
        return "not billed" if not cost else f"not billed, and yet {cost_words(cost)}"
    told = {"vendor": "as the vendor counted", "estimate": "an estimate: nobody said what was billed"}
    tokens = f"{_tokens(record, 'input')}, {_tokens(record, 'output')}"
    return f"{tokens}; {cost_words(record.get('cost_microusd'))}; {told.get(str(source), 'who counted is unknown')}"


def _tokens(record: Record, side: str) -> str:
    number = record.get(f"{side}_tokens")
    parts = {
        "input": (("from the cache", "cached_input_tokens"), ("to the cache", "cache_write_tokens")),
        "output": (("in thought", "reasoning_tokens"),),
    }
    within = ", ".join(f"{record[name]:,} {words}" for words, name in parts[side] if record.get(name))
    total = f"{number:,}" if isinstance(number, int) else "an unknown number of"
    return f"{total} {side} tokens" + (f" ({within})" if within else "")


def _counted(record: Record) -> str | None:
    if record.get("counted"):
        return "counted as a failure against max_attempts"
    return None if record.get("outcome") in _ANSWERS else "not counted as a failure"


def _moved(record: Record) -> Step:
    left, reason = _named(record, "from_tier"), record.get("reason")
    return Step(
        f"moved from {left} to {_named(record, 'to_tier')}: {_named(record, 'reason')}",
        (f"why {left} was left: {printable(reason_words(reason))}",),
    )


def _held(record: Record) -> Step:
    waits = " or ".join(printable(tier) for tier in record.get("waits_for") or ()) or "an unknown tier"
    return Step(
        f"held: no tier of the route may take it now; it waits for {waits} to open",
        (f"it was at {_named(record, 'tier')}, {_named(record, 'reason')}: {_reason(record)}",),
    )


def _released(record: Record, held_since: datetime | None) -> Step:
    ended = time_of(record)
    waited = f" after {span(ended - held_since)}" if held_since is not None and ended is not None else ""
    return Step(f"released{waited}: {_named(record, 'tier')} is open; it is back in its queue")


def _final(record: Record) -> Step:
    state, code = _named(record, "state"), record.get("error_code")
    again = "the record was put together again from the result, after the first had been lost on its way"
    path = " > ".join(f"{known(at.get('tier'))} ({known(at.get('reason'))})" for at in record.get("path") or ())
    details = (
        f"way: {path}" if path else None,
        f"price from: {printable(record['price_source'])}" if record.get("price_source") else None,
        again if record.get("rebuilt") else None,
    )
    if record.get("served_tier") is not None:
        return Step(f"{state}: answered by {model_at(record, 'served')}", tuple(filter(None, details)))
    why = printable(error_words(code))
    # Expired and cancelled jobs have their state for an error code.
    sentence = why if state == code else f"{state}: {why}"
    return Step(sentence, tuple(filter(None, details)))


def _erasure(record: Record) -> Step:
    named = "the job was named" if record.get("scope") == "job" else "the person it is about was named"
    what = "what it asked and was answered was deleted, with the salt of its digests"
    if not record.get("erased"):
        what = "asked to be deleted; the ledger held nothing of it any more"
    return Step(f"erasure: {what}", (f"by {_named(record, 'by')}: {_named(record, 'reason')}; {named}",))


def _quarantined(record: Record) -> Step:
    digest = record.get("raw_digest")
    return Step(
        f"put aside: {_named(record, 'reason')}",
        (f"SHA-256 of what stood there: {printable(digest)}",) if digest is not None else (),
    )


def _other(record: Record) -> Step:
    """A kind that has no words of its own: every field that says something."""
    told = {name: value for name, value in record.items() if name not in _SILENT and value not in (None, False, [])}
    return Step(f"{_named(record, 'kind')}: " + ", ".join(f"{name} {printable(value)}" for name, value in told.items()))


def _reason(record: Record) -> str:
    return printable(reason_words(record.get("reason")))


def _named(record: Record, name: str) -> str:
    return known(record.get(name))


def _listed(*facts: tuple[str, object]) -> str | None:
    return "; ".join(f"{name} {printable(value)}" for name, value in facts if value is not None) or None


_STEPS: dict[str, Callable[[Record], Step]] = {
    "accepted": _accepted,
    "attempt_started": _started,
    "attempt_finished": _finished,
    "moved": _moved,
    "held": _held,
    "final": _final,
    "erasure": _erasure,
    "quarantined": _quarantined,
}
