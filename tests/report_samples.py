"""Monthly reports for tests, put together from cells as the database would give them."""

from typing import Any

from hypothesis import strategies as st

from pointsman_audit import Frame, MonthlyReport
from pointsman_audit.columns import Facet
from pointsman_audit.report_making import Cell, Standing, Timing, make_report

FIRST_DAY = 20_758
"""2026-11-01, in days since the epoch."""
EVIL = "<script>alert('x')</script> & \"q\" \x1b[31m\u202e\x00 ]]>"


def frame(**changes: Any) -> Frame:
    """The frame of November 2026, which is over."""
    values: dict[str, Any] = {
        "month": "2026-11",
        "since": "2026-11-01T00:00:00.000000Z",
        "until": "2026-12-01T00:00:00.000000Z",
        "made_at": "2026-12-03T08:00:00.000000Z",
        "version": "0.1.0",
        "ledger_id": "55cba81af2ea402e",
        "head_seq": 300_000,
        "head_hash": "e9" * 32,
        "first_record_at": "2026-10-01T00:00:00.000000Z",
        "last_record_at": "2026-12-02T00:00:00.000000Z",
    }
    return Frame(**{**values, **changes})


def call(day: int, cost: int | None, **words: Any) -> Cell:
    """Three calls of a day that cost so much together; where that is unknown, three of which nobody knows it."""
    source = words.pop("usage_source", "vendor")
    named = {"task_class": "triage", "tier": "openai/fast", "owner": "ml@example.com", "outcome": "ok", **words}
    facet = Facet(kind="attempt_finished", usage_source=source, **named)
    unknown = 3 if cost is None else 0
    return Cell(facet, FIRST_DAY + day, 3, 30, 12, 0, cost, unknown)


def job(jobs: int, **words: Any) -> Cell:
    """Jobs that ended on the first day."""
    named = {"task_class": "triage", "tier": "openai/fast", "state": "succeeded", **words}
    return Cell(Facet(kind="final", **named), FIRST_DAY, jobs, None, None, jobs, None, jobs)


def other(kind: str, records: int, **words: Any) -> Cell:
    """Other records of the first day."""
    return Cell(Facet(kind=kind, task_class="triage", **words), FIRST_DAY, records, None, None, records, None, records)


CELLS = (
    call(0, 1_234_567),
    call(0, 400_000, task_class="synthesis", tier="anthropic/large", owner=None),
    call(4, 13, task_class="-", outcome="empty"),
    call(4, None, outcome="unknown", usage_source="estimate"),
    call(6, 90, outcome="misrouted", usage_source="estimate"),
    call(6, 0, outcome="throttled", usage_source="none"),
    call(6, 7, outcome="refused"),
    job(10),
    job(2, state="failed", error_code="refused"),
    job(3, fallback=True, reason="overloaded", downgraded=True, tier="ollama/small"),
    job(1, task_class="synthesis", state="expired", error_code="expired", fallback=True, reason="disabled"),
    other("accepted", 17),
    other("moved", 4, tier="openai/fast", reason="overloaded"),
    other("held", 5, reason="disabled"),
)
TIMINGS = (
    Timing("attempt_finished", "openai/fast", 12, 800_000, 2_500_000),
    Timing("attempt_finished", None, 15, 700_000, 2_600_000),
    Timing("final", "triage", 15, 1_500_000, 61_000_000),
    Timing("final", None, 16, 1_400_000, 61_000_000),
)


def sample(*more: Cell, cells: tuple[Cell, ...] = CELLS, **changes: Any) -> MonthlyReport:
    """A report of a month with a bit of everything."""
    standing = Standing(open_jobs=1, open_calls=2, held_jobs=3) if cells else Standing(0, 0, 0)
    return make_report(frame(**changes), (*cells, *more), TIMINGS, standing)


_names = st.one_of(st.none(), st.sampled_from(["triage", "-", EVIL]), st.text(max_size=40))
_calls = st.builds(
    call,
    st.integers(0, 29),
    st.one_of(st.none(), st.integers(0, 10**12)),
    task_class=_names,
    tier=_names,
    owner=_names,
    outcome=st.sampled_from(["ok", "refused", "unknown", EVIL]),
    usage_source=st.sampled_from(["vendor", "estimate", "none"]),
)
_jobs = st.builds(
    job,
    st.integers(1, 10**6),
    task_class=_names,
    state=st.sampled_from(["succeeded", "failed", "new"]),
    reason=_names,
    error_code=_names,
    fallback=st.booleans(),
    downgraded=st.booleans(),
)
reports = st.lists(st.one_of(_calls, _jobs), max_size=40).map(lambda cells: sample(cells=tuple(cells)))
"""Reports of any month; names are whatever vendors and producers may write."""
