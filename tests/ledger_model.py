"""The ledger's listings in plain Python: what a filter shows of records that are all in memory.

Made from the documentation, not from the columns: it reads the records alone.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from audit_records import DIGEST, NOON, SECOND, accepted, entry, final, finished, held, moved, started, switched

from pointsman_audit import Batch, Garbage, Ledger, ListedKind, RecordFilter, draft_of
from pointsman_audit.intake import Draft, read_entry
from pointsman_audit.moment import to_micros
from pointsman_routes import (
    ErasureRecord,
    ExportRecord,
    JobState,
    KeyRecord,
    OutcomeKind,
    PolicyRecord,
    QuarantinedRecord,
    Reason,
    ReleasedRecord,
    Wire,
)


@dataclass(frozen=True, kw_only=True)
class Known:
    """A record, its number and its time."""

    seq: int
    at: int
    record: Any

    @cached_property
    def body(self) -> dict[str, Any]:
        """The record's fields."""
        fields: dict[str, Any] = self.record.model_dump(mode="json")
        return fields


async def write(ledger: Ledger, known: Sequence[Known]) -> None:
    """Append records under their moments; each call is a source of its own."""
    drafts = tuple(drafted(one.record, one.at) for one in known)
    await ledger.append(Batch(source=f"source-{known[0].seq}", after="0-0", until="1-0", entries=drafts))


def drafted(record: Wire, at: int) -> Draft:
    """The draft of a record; what only the ledger itself tells of comes from nowhere else."""
    if isinstance(record, ErasureRecord | ExportRecord):
        return draft_of(record, at)
    draft = read_entry(entry(record, at=at))
    assert not isinstance(draft, Garbage), draft.reason
    return draft


def shown(history: Sequence[Known], wanted: RecordFilter) -> list[Known]:
    """What a listing has, oldest first."""
    ended = {call(known) for known in history if known.record.kind == "attempt_finished"}
    jobs = {known.body.get("job_id") for known in history if known.body.get("custom_id") == wanted.custom_id}
    found = [
        known
        for known in history
        if _of_kind(known, wanted.kind, ended)
        and (wanted.custom_id is None or known.body.get("job_id") in jobs)
        and _has(known, wanted)
    ]
    found.sort(key=lambda known: (known.at, known.seq))
    if wanted.before_seq is not None:
        end = next(known for known in history if known.seq == wanted.before_seq)
        found = [known for known in found if (known.at, known.seq) < (end.at, end.seq)]
    return found if wanted.limit is None else found[-wanted.limit :]


def call(known: Known) -> tuple[str, int, int]:
    """Which call a record of one is about."""
    body = known.body
    return body["job_id"], body["attempt"], body["fence"]


def words_of(known: Known) -> dict[str, Any]:
    """What the documentation says a record is found by, under the filter's names."""
    body, kind = known.body, str(known.record.kind)
    found = {name: body.get(name) for name in ("task_class", "provider", "owner", "model", "region", "outcome")}
    found |= {name: body.get(name) for name in ("tier", "state", "reason", "usage_source", "error_code")}
    found |= {"fallback": body.get("hop", 0) > 0, "downgraded": False, "mismatch": body.get("outcome") == "misrouted"}
    if kind == "final":
        side = "served" if body["served_tier"] else "requested"
        found |= {"tier": body[f"{side}_tier"], "model": body[f"{side}_model"], "provider": body["served_provider"]}
        found |= {"region": body["served_region"], "reason": body["fallback_reason"]}
        found |= {"fallback": body["fallback_reason"] is not None}
        found |= {name: body[name] for name in ("downgraded", "mismatch")}
    if kind in _NAMED:
        name, source = _NAMED[kind]
        found[name] = body[source]
    if kind in ("switch", "erasure"):
        # What a person wrote, not a word.
        found["reason"] = None
    return found


_NAMED = {
    "accepted": ("tier", "requested_tier"),
    "moved": ("tier", "from_tier"),
    "switch": ("tier", "scope"),
    "key_change": ("provider", "scope"),
}


def _of_kind(known: Known, kind: ListedKind, ended: set[tuple[str, int, int]]) -> bool:
    own = known.record.kind
    if kind is ListedKind.ATTEMPT:
        return own == "attempt_finished" or (own == "attempt_started" and call(known) not in ended)
    return kind is ListedKind.ANY or bool(own == kind.value)


def _has(known: Known, wanted: RecordFilter) -> bool:
    words, body = words_of(known), known.body
    return (
        all(words[name] == value for name, value in {**wanted.words, **wanted.flags}.items())
        and wanted.job_id in (None, body.get("job_id"))
        and wanted.batch_id in (None, body.get("batch_id"))
        and (wanted.since is None or known.at >= to_micros(wanted.since))
        and (wanted.until is None or known.at < to_micros(wanted.until))
    )


TIERS = (
    ("openai/fast", "gpt-5-mini", "ml-platform@example.com", "eu"),
    ("anthropic/fast", "claude-haiku-4-5", "research@example.com", "us"),
    ("ollama/small", "qwen3", None, None),
)


def history(seed: int, jobs: int = 30) -> list[Known]:
    """The records of some jobs and a few acts, with this and that going wrong.

    Their times have ties and go back now and then, as those of a Redis do that moved to another machine.
    """
    chance = random.Random(seed)
    told: list[Wire] = [switched(), PolicyRecord(role="worker", policy_digest=DIGEST, by="w1")]
    for number in range(jobs):
        told += _life(number, chance)
    told += [
        switched(action="enable"),
        KeyRecord(scope="openai", owner="ml-platform@example.com", by="w1"),
        ErasureRecord(job_id="job-1", task_class="triage", scope="job", erased=True, reason="asked for", by="ops"),
        ExportRecord(form="csv", filters={}, count=3, by="ops"),
        QuarantinedRecord(reason="no JSON", job_id="job-2", tier="openai/fast"),
    ]
    known, at = [], NOON
    for seq, record in enumerate(told, start=1):
        at += chance.choice((0, 0, SECOND, SECOND, 3 * SECOND, -4 * SECOND))
        known.append(Known(seq=seq, at=at, record=record))
    return known


def _life(number: int, chance: random.Random) -> list[Wire]:
    # Custom ids come again in other batches.
    named: dict[str, Any] = {"batch_id": f"batch-{number % 3}", "task_class": chance.choice(["triage", "synthesis"])}
    custom = {"custom_id": f"custom-{number // 2}"}
    job_id = f"job-{number}"
    told: list[Wire] = [accepted(job_id, **named, **custom)]
    hops = chance.randint(1, 3)
    for hop, (tier, model, owner, region) in enumerate(TIERS[:hops]):
        call = {**named, "attempt": hop + 1, "hop": hop, "tier": tier, "model": model, "fence": number * 10 + hop}
        call |= {"provider": tier.partition("/")[0], "owner": owner, "region": region}
        told.append(started(job_id, **call))
        if chance.random() < 0.2:
            return told  # in flight
        told.append(finished(job_id, **call, **_ending(chance)))
        if hop + 1 < hops:
            reason = chance.choice((Reason.OVERLOADED, Reason.TRANSIENT))
            told.append(moved(job_id, **named, from_tier=tier, to_tier=TIERS[hop + 1][0], reason=reason))
    if chance.random() < 0.2:
        told.append(held(job_id, **named, tier=TIERS[hops - 1][0]))
        told.append(ReleasedRecord(job_id=job_id, **named, tier=TIERS[hops - 1][0], policy_digest=DIGEST))
    told.append(_end(job_id, chance, hops, **named, **custom))
    return told


def _ending(chance: random.Random) -> dict[str, Any]:
    outcome = chance.choice([OutcomeKind.OK, OutcomeKind.MISROUTED, OutcomeKind.THROTTLED, OutcomeKind.UNKNOWN])
    ended: dict[str, Any] = {"outcome": outcome, "duration_us": chance.randrange(1, 100)}
    if outcome is OutcomeKind.THROTTLED:
        ended |= {"usage_source": "none", "input_tokens": None, "output_tokens": None, "cost_microusd": None}
    if outcome is OutcomeKind.UNKNOWN:
        ended |= {"usage_source": "estimate", "output_tokens": None, "cost_microusd": None, "duration_us": None}
    return ended


def _end(job_id: str, chance: random.Random, hops: int, **named: Any) -> Wire:
    state = chance.choice([JobState.SUCCEEDED, JobState.SUCCEEDED, JobState.FAILED, JobState.EXPIRED])
    tier, model, _, region = TIERS[hops - 1] if state is JobState.SUCCEEDED else (None, None, None, None)
    return final(
        job_id,
        **named,
        state=state,
        served_tier=tier,
        served_provider=None if tier is None else tier.partition("/")[0],
        served_model=model,
        served_region=region,
        fallback_reason=Reason.TRANSIENT if hops > 1 else None,
        downgraded=hops == 3,
        mismatch=chance.random() < 0.3,
        error_code=None if state is JobState.SUCCEEDED else chance.choice(("overloaded", "deadline")),
        cost_microusd=chance.choice((13, 40, None)),
        accepted_at=NOON - chance.randrange(100),
    )
