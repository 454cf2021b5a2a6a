"""Records added up agree with the same sums in plain Python; on both databases."""

import math
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from audit_records import NOON, finished
from ledger_model import Known, history, shown, words_of, write

from pointsman_audit import GroupKey, Ledger, ListedKind, RecordFilter, RecordGroup
from pointsman_audit.moment import to_iso

HISTORY = history(7, jobs=60)
NEXT_DAY = [replace(known, seq=known.seq + len(HISTORY), at=known.at + 86_400_000_000) for known in HISTORY[:9]]


@pytest.fixture
async def ledger(ledger_url: str) -> AsyncIterator[Ledger]:
    """A ledger with the history in it."""
    async with Ledger.open(ledger_url, make=True) as filled:
        await write(filled, HISTORY)
        yield filled


def nearest_rank(durations: Iterable[int | None], percent: int) -> int | None:
    """The smallest one that so many in a hundred are not above."""
    known = sorted(duration for duration in durations if duration is not None)
    return known[math.ceil(len(known) * percent / 100) - 1] if known else None


def duration_of(known: Known) -> int | None:
    """Of a job from acceptance to its end; of a call as it was measured."""
    if known.record.kind == "final":
        return int(known.at - known.body["accepted_at"])
    found: int | None = known.body.get("duration_us")
    return found


def total(values: Iterable[int | None]) -> int | None:
    """The sum of what is known; None if nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def added_up(keys: Sequence[str | None], records: Sequence[Known]) -> RecordGroup:
    """A group as the documentation has it."""
    bodies = [known.body for known in records]
    billed = [body for body in bodies if body.get("usage_source") != "none"]
    durations = [duration_of(known) for known in records]
    return RecordGroup(
        keys=tuple(keys),
        records=len(records),
        input_tokens=total(body.get("input_tokens") for body in bodies),
        output_tokens=total(body.get("output_tokens") for body in bodies),
        unknown_tokens=sum(body.get("input_tokens") is None or body.get("output_tokens") is None for body in billed),
        cost_microusd=total(body.get("cost_microusd") for body in bodies),
        unknown_cost=sum(body.get("cost_microusd") is None for body in billed),
        p50_us=nearest_rank(durations, 50),
        p95_us=nearest_rank(durations, 95),
        unknown_duration=sum(duration is None for duration in durations),
        fallback=sum(words_of(known)["fallback"] for known in records),
        downgraded=sum(words_of(known)["downgraded"] for known in records),
    )


def key_of(known: Known, key: GroupKey) -> Any:
    """What a record is grouped by."""
    if key is GroupKey.DAY:
        return to_iso(known.at)[:10]
    if key is GroupKey.KIND:
        return known.record.kind.value
    return words_of(known)["task_class" if key is GroupKey.CLASS else key.value]


def grouped(records: Sequence[Known], keys: Sequence[GroupKey]) -> dict[tuple[Any, ...], RecordGroup]:
    """The groups of some records, by their keys."""
    found: dict[tuple[Any, ...], list[Known]] = {}
    for known in records:
        found.setdefault(tuple(key_of(known, key) for key in keys), []).append(known)
    return {common: added_up(common, members) for common, members in found.items()}


@pytest.mark.parametrize("kind", [ListedKind.FINAL, ListedKind.ATTEMPT, ListedKind.ACCEPTED, ListedKind.ANY])
async def test_every_key(ledger: Ledger, kind: ListedKind) -> None:
    """By every key, alone and with another, the groups are the model's: each record is in one, the unknown beside."""
    for keys in (*((key,) for key in GroupKey), (GroupKey.CLASS, GroupKey.TIER), (GroupKey.DAY, GroupKey.OUTCOME)):
        wanted = RecordFilter(kind=kind)
        found = await ledger.groups(wanted, keys)
        assert {group.keys: group for group in found} == grouped(shown(HISTORY, wanted), keys), keys
        assert len({group.keys for group in found}) == len(found)


@pytest.mark.parametrize(
    "narrowed",
    [
        {"batch_id": "batch-1"},
        {"job_id": "job-4"},
        {"custom_id": "custom-3"},
        {"fallback": True, "task_class": "triage"},
        {"since": datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(seconds=30)},
        {"task_class": "nobody's"},
    ],
    ids=repr,
)
async def test_filters(ledger: Ledger, narrowed: dict[str, Any]) -> None:
    """What a filter leaves is added up, calls in flight too, and nothing else."""
    for kind in (ListedKind.ATTEMPT, ListedKind.FINAL):
        wanted = RecordFilter(kind=kind, **narrowed)
        found = await ledger.groups(wanted, (GroupKey.TIER,))
        assert {group.keys: group for group in found} == grouped(shown(HISTORY, wanted), (GroupKey.TIER,))


@pytest.mark.parametrize(
    ("count", "p50", "p95"), [(1, 1, 1), (2, 1, 2), (3, 2, 3), (19, 10, 19), (20, 10, 19), (21, 11, 20)]
)
async def test_nearest_ranks(ledger_url: str, count: int, p50: int, p95: int) -> None:
    """Of durations from 1 to n the percentiles are the whole numbers at half and at 95 in a hundred, rounded up."""
    calls = [
        Known(seq=seq, at=NOON + seq, record=finished(f"job-{seq}", fence=seq, duration_us=count + 1 - seq))
        for seq in range(1, count + 1)
    ]
    async with Ledger.open(ledger_url, make=True) as ledger:
        await write(ledger, calls)
        [group] = await ledger.groups(RecordFilter(kind=ListedKind.ATTEMPT), (GroupKey.TIER,))
    assert (group.records, group.p50_us, group.p95_us) == (count, p50, p95)


async def test_groups_are_in_order(ledger: Ledger) -> None:
    """Groups come in the order of their keys, days as well; what has no word is last."""
    await write(ledger, NEXT_DAY)
    days = [group.keys[0] for group in await ledger.groups(RecordFilter(kind=ListedKind.ANY), (GroupKey.DAY,))]
    assert days == ["2026-01-01", "2026-01-02"]
    tiers = [group.keys[0] for group in await ledger.groups(RecordFilter(kind=ListedKind.ANY), (GroupKey.TIER,))]
    assert tiers == [*sorted(tier for tier in tiers if tier is not None), None]
