"""Every filter shows exactly the records that the same condition in plain Python picks; on both databases."""

import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from audit_records import NOON, SECOND, accepted, entry, final, finished, held, moved, started, switched

from pointsman_audit import Batch, Garbage, Ledger, ListedKind, RecordFilter, ShownRecord
from pointsman_audit import ledger as ledger_module
from pointsman_audit.intake import read_entry
from pointsman_routes import JobState, OutcomeKind, Reason, Wire

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
TIERS = (("openai/fast", "gpt-5-mini"), ("anthropic/fast", "claude-haiku-4-5"), ("ollama/small", "qwen3"))


@dataclass(frozen=True, kw_only=True)
class Known:
    """A record and its number, as the test knows them."""

    seq: int
    record: Any

    @property
    def at(self) -> int:
        """A second passes between two records."""
        return NOON + self.seq * SECOND

    @property
    def body(self) -> dict[str, Any]:
        """The record's fields."""
        fields: dict[str, Any] = self.record.model_dump(mode="json")
        return fields


def life(number: int, chance: random.Random) -> list[Wire]:
    """The records of one job, with this and that going wrong."""
    job_id, batch_id = f"job-{number}", f"batch-{number % 3}"
    task_class = chance.choice(["triage", "synthesis"])
    told: list[Wire] = [accepted(job_id, batch_id=batch_id, task_class=task_class)]
    hops = chance.randint(1, 3)
    for hop, (tier, model) in enumerate(TIERS[:hops]):
        call = {"attempt": hop + 1, "hop": hop, "tier": tier, "model": model, "fence": number * 10 + hop}
        told.append(started(job_id, task_class=task_class, **call))
        if chance.random() < 0.2:
            return told  # in flight
        outcome = chance.choice([OutcomeKind.OK, OutcomeKind.MISROUTED, OutcomeKind.THROTTLED])
        told.append(finished(job_id, task_class=task_class, outcome=outcome, **call))
        if hop + 1 < hops:
            told.append(moved(job_id, task_class=task_class, from_tier=tier, to_tier=TIERS[hop + 1][0]))
    if chance.random() < 0.2:
        told.append(held(job_id, task_class=task_class, tier=TIERS[hops - 1][0]))
    state = chance.choice([JobState.SUCCEEDED, JobState.SUCCEEDED, JobState.FAILED, JobState.EXPIRED])
    served = TIERS[hops - 1] if state is JobState.SUCCEEDED else (None, None)
    told.append(
        final(
            job_id,
            batch_id=batch_id,
            task_class=task_class,
            state=state,
            served_tier=served[0],
            served_model=served[1],
            fallback_reason=Reason.TRANSIENT if hops > 1 else None,
            downgraded=hops == 3,
            mismatch=chance.random() < 0.3,
        )
    )
    return told


def history() -> list[Known]:
    """The records of thirty jobs and two switches."""
    chance = random.Random(20260101)
    told: list[Wire] = [switched()]
    for number in range(30):
        told += life(number, chance)
    told.append(switched(action="enable"))
    return [Known(seq=seq, record=record) for seq, record in enumerate(told, start=1)]


HISTORY = history()
BATCH_OF = {known.body["job_id"]: known.body["batch_id"] for known in HISTORY if known.record.kind == "accepted"}
ENDED = {(k.body["job_id"], k.body["fence"]) for k in HISTORY if k.record.kind == "attempt_finished"}


def is_of(kind: ListedKind, known: Known) -> bool:
    """Whether a listing of this kind has the record."""
    if kind is ListedKind.ATTEMPT:
        in_flight = known.record.kind == "attempt_started" and (known.body["job_id"], known.body["fence"]) not in ENDED
        return known.record.kind == "attempt_finished" or in_flight
    return bool(known.record.kind == kind.value)


def tier_of(known: Known) -> tuple[str | None, str | None]:
    """The tier and model the documentation says a record is found by."""
    body = known.body
    if known.record.kind == "final":
        side = "served" if body["served_tier"] else "requested"
        return body[f"{side}_tier"], body[f"{side}_model"]
    names = {"accepted": "requested_tier", "moved": "from_tier", "switch": "scope"}
    return body[names.get(known.record.kind, "tier")], body.get("model")


def flags_of(known: Known) -> dict[str, bool]:
    """The flags the documentation gives a record."""
    body = known.body
    return {
        "fallback": body.get("fallback_reason") is not None or body.get("hop", 0) > 0,
        "downgraded": body.get("downgraded", False),
        "mismatch": body.get("mismatch", False) or body.get("outcome") == "misrouted",
    }


CASES: dict[str, tuple[dict[str, Any], Callable[[Known], bool]]] = {
    "everything": ({}, lambda _: True),
    "class": ({"task_class": "triage"}, lambda k: k.body.get("task_class") == "triage"),
    "tier": ({"tier": "anthropic/fast"}, lambda k: tier_of(k)[0] == "anthropic/fast"),
    "primary": ({"tier": "openai/fast"}, lambda k: tier_of(k)[0] == "openai/fast"),
    "model": ({"model": "qwen3"}, lambda k: tier_of(k)[1] == "qwen3"),
    "requested model": ({"model": "gpt-5-mini"}, lambda k: tier_of(k)[1] == "gpt-5-mini"),
    "state": ({"state": "failed"}, lambda k: k.body.get("state") == "failed"),
    "since": ({"since": START + timedelta(seconds=50)}, lambda k: k.seq >= 50),
    "until": ({"until": START + timedelta(seconds=50)}, lambda k: k.seq < 50),
    "between": (
        {"since": START + timedelta(seconds=20), "until": START + timedelta(seconds=90, microseconds=1)},
        lambda k: 20 <= k.seq <= 90,
    ),
    "fallback": ({"fallback": True}, lambda k: flags_of(k)["fallback"]),
    "no fallback": ({"fallback": False}, lambda k: not flags_of(k)["fallback"]),
    "downgraded": ({"downgraded": True}, lambda k: flags_of(k)["downgraded"]),
    "not downgraded": ({"downgraded": False}, lambda k: not flags_of(k)["downgraded"]),
    "mismatch": ({"mismatch": True}, lambda k: flags_of(k)["mismatch"]),
    "no mismatch": ({"mismatch": False}, lambda k: not flags_of(k)["mismatch"]),
    "job": ({"job_id": "job-4"}, lambda k: k.body.get("job_id") == "job-4"),
    "batch": ({"batch_id": "batch-1"}, lambda k: BATCH_OF.get(k.body.get("job_id")) == "batch-1"),
    "page back": ({"before_seq": 60}, lambda k: k.seq < 60),
    "all together": (
        {"task_class": "triage", "fallback": True, "mismatch": False, "since": START + timedelta(seconds=10)},
        lambda k: (
            k.body.get("task_class") == "triage"
            and flags_of(k)["fallback"]
            and not flags_of(k)["mismatch"]
            and k.seq >= 10
        ),
    ),
    "nothing": ({"job_id": "job-4000"}, lambda _: False),
}


@pytest.fixture
async def ledger(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ledger]:
    """A ledger with the history in it, read in pages of seven."""
    monkeypatch.setattr(ledger_module, "PAGE", 7)
    async with Ledger.open(ledger_url, migrate=True) as filled:
        await write(filled, HISTORY)
        yield filled


async def write(ledger: Ledger, known: Sequence[Known]) -> None:
    """Append records under their moments."""
    rows = [read_entry(entry(one.record, at=one.at)) for one in known]
    clean = tuple(row for row in rows if not isinstance(row, Garbage))
    assert len(clean) == len(known)
    source = f"source-{known[0].seq}"
    await ledger.append(Batch(source=source, after="0-0", until="1-0", rows=clean))


async def shown(ledger: Ledger, wanted: RecordFilter) -> list[ShownRecord]:
    """A listing."""
    return [record async for record in ledger.list(wanted)]


async def numbers(ledger: Ledger, wanted: RecordFilter) -> list[int]:
    """A listing's numbers."""
    return [record["seq"] for record in await shown(ledger, wanted)]


async def test_every_filter(ledger: Ledger) -> None:
    """Whatever the filter and kind: the same records, oldest first, and `count` agrees; `limit` takes the newest."""
    sizes: Counter[str] = Counter()
    for kind in ListedKind:
        for name, (narrowed, holds) in CASES.items():
            wanted = RecordFilter(kind=kind, **narrowed)
            expected = [known.seq for known in HISTORY if is_of(kind, known) and holds(known)]
            assert await numbers(ledger, wanted) == expected, (kind, name)
            assert await ledger.count(wanted) == len(expected), (kind, name)
            for limit in (1, 9, 10_000):
                newest = replace(wanted, limit=limit)
                assert await numbers(ledger, newest) == expected[-limit:], (kind, name, limit)
                assert await ledger.count(newest) == len(expected[-limit:]), (kind, name, limit)
            sizes[name] += len(expected)
    # The history is rich enough: every case but the last finds something.
    assert [name for name, size in sizes.items() if not size] == ["nothing"]


async def test_pages_back_are_the_whole_listing(ledger: Ledger) -> None:
    """Going back page by page shows every record once."""
    wanted = RecordFilter(kind=ListedKind.ATTEMPT)
    pages: list[list[int]] = []
    page = await numbers(ledger, replace(wanted, limit=8))
    while page:
        pages.insert(0, page)
        page = await numbers(ledger, replace(wanted, limit=8, before_seq=page[0]))
    assert len(pages) > 3
    assert [seq for page in pages for seq in page] == await numbers(ledger, wanted)


async def test_listing_does_not_run_after_the_recorder(ledger: Ledger) -> None:
    """A listing shows the ledger as it was when it began, however much is appended meanwhile."""
    expected = await shown(ledger, RecordFilter(kind=ListedKind.ATTEMPT))
    begun = [k for k in HISTORY if k.record.kind == "attempt_started" and is_of(ListedKind.ATTEMPT, k)]
    assert begun
    ends = [
        finished(k.body["job_id"], attempt=k.body["attempt"], fence=k.body["fence"], tier=k.body["tier"]) for k in begun
    ]
    after = [Known(seq=len(HISTORY) + n, record=record) for n, record in enumerate(ends, start=1)]
    listing = ledger.list(RecordFilter(kind=ListedKind.ATTEMPT))
    first = await anext(listing)
    await write(ledger, after)
    assert [first, *[record async for record in listing]] == expected
    # A listing begun now shows the attempts as ended, each still once.
    now = await shown(ledger, RecordFilter(kind=ListedKind.ATTEMPT))
    assert all(record["finished_at"] for record in now)
    assert Counter((r["job_id"], r["fence"]) for r in now) == Counter((r["job_id"], r["fence"]) for r in expected)


async def test_retried_job_counting_again_is_in_flight(ledger: Ledger) -> None:
    """An attempt with the number of one that has ended, but a later fence, is in flight."""
    again = Known(seq=len(HISTORY) + 1, record=started("job-4", attempt=1, fence=999_999))
    await write(ledger, [again])
    newest = (await shown(ledger, RecordFilter(kind=ListedKind.ATTEMPT, limit=1)))[0]
    assert (newest["seq"], newest["fence"], newest["finished_at"]) == (again.seq, 999_999, None)


async def test_story_is_the_jobs_records_in_order(ledger: Ledger) -> None:
    """A story has every record of the job, of every kind, and no other's."""
    for job_id in BATCH_OF:
        told = await ledger.story(job_id)
        expected = [known for known in HISTORY if known.body.get("job_id") == job_id]
        assert [(t["seq"], t["kind"]) for t in told] == [(k.seq, k.record.kind.value) for k in expected]
    assert await ledger.story("job-4000") == []


async def test_outcomes(ledger: Ledger) -> None:
    """Every call that has ended is counted once, under its tier, class and outcome, in whatever a filter leaves."""
    wanted = (
        RecordFilter(),
        RecordFilter(tier="anthropic/fast"),
        RecordFilter(task_class="triage", since=START + timedelta(seconds=40), until=START + timedelta(seconds=160)),
    )
    for chosen in wanted:
        counted = Counter(
            (known.body["tier"], known.body["task_class"], known.body["outcome"])
            for known in HISTORY
            if known.record.kind == "attempt_finished"
            and chosen.tier in (None, known.body["tier"])
            and chosen.task_class in (None, known.body["task_class"])
            and (chosen.since is None or known.at >= chosen.since.timestamp() * 1_000_000)
            and (chosen.until is None or known.at < chosen.until.timestamp() * 1_000_000)
        )
        assert counted
        found = await ledger.outcomes(chosen)
        assert {(count.tier, count.task_class, count.outcome): count.calls for count in found} == counted
