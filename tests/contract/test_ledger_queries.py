"""Every filter shows exactly the records that a model in plain Python picks; on both databases."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from audit_records import NOON, SECOND, finished, started
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_model import TIERS, Known, history, shown, words_of, write

from pointsman_audit import FilterInvalid, Ledger, ListedKind, RecordFilter, ShownRecord, record_pages, record_search
from pointsman_audit.record_filter import WORDS

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
HISTORY = history(20260101)
LATEST = max(HISTORY, key=lambda known: known.at)
NARROWED: dict[str, dict[str, Any]] = {
    "everything": {},
    "class": {"task_class": "triage"},
    "tier": {"tier": "anthropic/fast"},
    "provider": {"provider": "openai"},
    "owner": {"owner": "ml-platform@example.com"},
    "model": {"model": "qwen3"},
    "requested model": {"model": "gpt-5-mini"},
    "region": {"region": "eu"},
    "state": {"state": "failed"},
    "outcome": {"outcome": "misrouted"},
    "reason": {"reason": "transient"},
    "error": {"error_code": "deadline"},
    "usage": {"usage_source": "none"},
    "since": {"since": START + timedelta(seconds=20)},
    "until": {"until": START + timedelta(seconds=20)},
    "between": {"since": START + timedelta(seconds=10), "until": START + timedelta(seconds=30, microseconds=1)},
    "fallback": {"fallback": True},
    "no fallback": {"fallback": False},
    "downgraded": {"downgraded": True},
    "not downgraded": {"downgraded": False},
    "mismatch": {"mismatch": True},
    "no mismatch": {"mismatch": False},
    "job": {"job_id": "job-4"},
    "batch": {"batch_id": "batch-1"},
    "custom id": {"custom_id": "custom-3"},
    "custom id in a batch": {"custom_id": "custom-3", "batch_id": "batch-1"},
    "page back": {"before_seq": 60},
    "page back from after the end": {"before_seq": LATEST.seq, "until": START + timedelta(seconds=20)},
    "all together": {
        "task_class": "triage",
        "fallback": True,
        "mismatch": False,
        "since": START,
        "batch_id": "batch-1",
    },
    "nothing": {"job_id": "job-4000"},
    "nobody's word": {"task_class": "triag"},
}


@pytest.fixture
async def ledger(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ledger]:
    """A ledger with the history in it, read in pages of seven."""
    monkeypatch.setattr(record_pages, "PAGE", 7)
    async with Ledger.open(ledger_url, make=True) as filled:
        await write(filled, HISTORY)
        yield filled


async def listed(ledger: Ledger, wanted: RecordFilter) -> list[ShownRecord]:
    """A listing."""
    return [record async for record in ledger.list(wanted)]


async def numbers(ledger: Ledger, wanted: RecordFilter) -> list[int]:
    """A listing's numbers."""
    return [record["seq"] for record in await listed(ledger, wanted)]


def expected(wanted: RecordFilter) -> list[int]:
    """The model's numbers."""
    return [known.seq for known in shown(HISTORY, wanted)]


async def test_every_filter(ledger: Ledger) -> None:
    """Whatever the filter and kind: the same records, oldest first, and `count` agrees; `limit` takes the newest."""
    sizes: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for kind in ListedKind:
        for name, narrowed in NARROWED.items():
            for limit in (None, 1, 9, 10_000):
                wanted = RecordFilter(kind=kind, limit=limit, **narrowed)
                assert await numbers(ledger, wanted) == expected(wanted), (kind, name, limit)
                assert await ledger.count(wanted) == len(expected(wanted)), (kind, name, limit)
            sizes[name] += len(expected(wanted))
            kinds[kind] += len(expected(wanted))
    # The history is rich enough: every case but two finds something, and every kind is found.
    assert [name for name, size in sizes.items() if not size] == ["nothing", "nobody's word"]
    assert all(kinds[kind] for kind in ListedKind)


def one_of(values: Sequence[Any]) -> st.SearchStrategy[Any]:
    """Mostly nothing, so that what is left is not nothing."""
    return st.one_of(st.none(), st.none(), st.none(), st.none(), st.sampled_from(values))


def moments() -> st.SearchStrategy[datetime | None]:
    """Mostly none; otherwise one of the history's, or next to one."""
    at = st.sampled_from([known.at for known in HISTORY])
    near = st.builds(lambda at, by: START + timedelta(microseconds=at - NOON + by), at, st.sampled_from((-1, 0, 1)))
    return st.one_of(st.none(), st.none(), near)


FOUND = [words_of(known) for known in HISTORY]
FILTERS = st.builds(
    RecordFilter,
    kind=st.sampled_from(ListedKind),
    since=moments(),
    until=moments(),
    before_seq=one_of([known.seq for known in HISTORY]),
    job_id=one_of([known.body.get("job_id") for known in HISTORY]),
    batch_id=one_of(["batch-0", "batch-1", "batch-2"]),
    custom_id=one_of(["custom-1", "custom-2"]),
    **{name: one_of(sorted({words[name] for words in FOUND if words[name]})) for name in WORDS},
    fallback=one_of([True, False]),
    downgraded=one_of([True, False]),
    mismatch=one_of([True, False]),
)


@pytest.mark.parametrize("merged", [True, False], ids=["merged", "scanned"])
@given(wanted=FILTERS, size=st.integers(1, 40))
@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_pages_put_together_are_the_whole(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, merged: bool, wanted: RecordFilter, size: int
) -> None:
    """Going back page by page shows every record of the model once, in order, whatever is asked and however found."""
    monkeypatch.setattr(record_search, "MOST_MERGED", 2_000 if merged else 0)
    whole = expected(wanted)
    assert await numbers(ledger, wanted) == whole
    assert await ledger.count(wanted) == len(whole)
    pages: list[int] = []
    page = await numbers(ledger, replace(wanted, limit=size))
    while page:
        pages[:0] = page
        page = await numbers(ledger, replace(wanted, limit=size, before_seq=page[0]))
    assert pages == whole


async def test_page_before_a_record_that_is_not_there(ledger: Ledger) -> None:
    """A page cannot begin at a number that no record has; the message says what to write."""
    with pytest.raises(FilterInvalid, match=r"no record 4000 .* write the `seq` of one"):
        await numbers(ledger, RecordFilter(before_seq=4000))


async def test_thousands_at_the_same_moment(ledger_url: str) -> None:
    """Jobs accepted in one call have one time: pages through them are complete, and in the order of numbers."""
    crowd = [Known(seq=seq, at=NOON, record=started(f"job-{seq}", fence=seq)) for seq in range(1, 3_001)]
    async with Ledger.open(ledger_url, make=True) as ledger:
        await write(ledger, crowd)
        wanted = RecordFilter(kind=ListedKind.ANY)
        assert await numbers(ledger, wanted) == list(range(1, 3_001))
        assert await numbers(ledger, replace(wanted, limit=2, before_seq=1_500)) == [1_498, 1_499]


async def test_listing_does_not_run_after_the_recorder(ledger: Ledger) -> None:
    """A listing shows the ledger as it was when it began, however much is appended meanwhile."""
    before = await listed(ledger, RecordFilter(kind=ListedKind.ATTEMPT))
    begun = [known for known in shown(HISTORY, RecordFilter(kind=ListedKind.ATTEMPT)) if "outcome" not in known.body]
    assert begun
    # Of words that other calls have ended with already, so that only their numbers tell them from what is shown.
    said = ("attempt", "hop", "tier", "provider", "owner", "model", "region", "fence", "task_class", "batch_id")
    ends = [finished(k.body["job_id"], **{name: k.body[name] for name in said}) for k in begun]
    listing = ledger.list(RecordFilter(kind=ListedKind.ATTEMPT))
    first = await anext(listing)
    await write(ledger, [new(number, end) for number, end in enumerate(ends, start=1)])
    assert [first, *[record async for record in listing]] == before
    # A listing begun now shows the attempts as ended, each still once.
    now = await listed(ledger, RecordFilter(kind=ListedKind.ATTEMPT))
    assert all(record["finished_at"] for record in now)
    assert Counter((r["job_id"], r["fence"]) for r in now) == Counter((r["job_id"], r["fence"]) for r in before)


async def test_retried_job_counting_again_is_in_flight(ledger: Ledger) -> None:
    """An attempt with the number of one that has ended, but a later fence, is in flight."""
    again = new(1, started("job-4", attempt=1, fence=999_999))
    await write(ledger, [again])
    newest = (await listed(ledger, RecordFilter(kind=ListedKind.ATTEMPT, limit=1)))[0]
    assert (newest["seq"], newest["fence"], newest["finished_at"]) == (again.seq, 999_999, None)


async def test_story_is_the_jobs_records_in_order(ledger: Ledger) -> None:
    """A story has every record of the job, of every kind, and no other's."""
    for job_id in {known.body["job_id"] for known in HISTORY if known.body.get("job_id")}:
        told = await ledger.story(job_id)
        records = [known for known in HISTORY if known.body.get("job_id") == job_id]
        assert [(t["seq"], t["kind"]) for t in told] == [(k.seq, k.record.kind.value) for k in records]
    assert await ledger.story("job-4000") == []


async def test_outcomes(ledger: Ledger) -> None:
    """Every call that has ended is counted once, under its tier, class and outcome, in whatever a filter leaves."""
    wanted = (
        RecordFilter(),
        RecordFilter(tier="anthropic/fast"),
        RecordFilter(batch_id="batch-2"),
        RecordFilter(job_id="job-4"),
        RecordFilter(task_class="triage", since=START + timedelta(seconds=5), until=START + timedelta(seconds=40)),
    )
    for chosen in wanted:
        ended = [
            known
            for known in shown(HISTORY, replace(chosen, kind=ListedKind.ATTEMPT))
            if known.record.kind == "attempt_finished"
        ]
        assert ended
        found = await ledger.outcomes(chosen)
        counted = Counter((k.body["tier"], k.body["task_class"], k.body["outcome"]) for k in ended)
        assert {(count.tier, count.task_class, count.outcome): count.calls for count in found} == counted


async def test_unknown_words(ledger: Ledger) -> None:
    """Of a word that no record of the kind has, the words that some have are told; a known word is not mentioned."""
    unknown = await ledger.unknown_words(RecordFilter(task_class="triag", tier="openai/fast", owner="me"))
    assert unknown == [("task_class", "triag", ("synthesis", "triage")), ("owner", "me", ())]
    owners = tuple(sorted(owner for _, _, owner, _ in TIERS if owner))
    unknown = await ledger.unknown_words(RecordFilter(kind=ListedKind.ATTEMPT, owner="me"))
    assert unknown == [("owner", "me", owners)]


def new(number: int, record: Any) -> Known:
    """A record after the history's last one."""
    return Known(seq=len(HISTORY) + number, at=HISTORY[-1].at + 60 * SECOND + number, record=record)
