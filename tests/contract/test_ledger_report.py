"""A month in figures agrees with the same sums in plain Python, and with itself; on both databases."""

import hashlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from audit_records import NOON, SECOND, accepted, final, finished, started
from ledger_model import Known, history, write
from report_model import modelled
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection

from pointsman_audit import FilterInvalid, Ledger, Month, MonthlyReport, find_policy, known_policies, report_month
from pointsman_audit.moment import to_micros
from pointsman_routes import PolicyRecord, UsageProblem

NOW = datetime(2026, 3, 10, 8, tzinfo=UTC)
JANUARY, FEBRUARY, MARCH = (Month(2026, number) for number in (1, 2, 3))
UNORDERED = ("by_class", "by_tier", "by_owner", "by_day", "by_day_and_class")


def long_history(seed: int) -> list[Known]:
    """Records from January to March, some in the first and the last microsecond of a month, and trials."""
    chance = random.Random(seed)
    first = NOON + 20 * 86_400 * SECOND
    told = [replace(known, at=first + (known.at - NOON) * 14_000) for known in history(seed, jobs=90)]
    edges = [to_micros(month.since) + shift for month in (FEBRUARY, MARCH) for shift in (-1, 0)]
    for at in edges * 5:
        index = chance.randrange(len(told))
        told[index] = replace(told[index], at=at)
    # A job that is held again is one job.
    again = [replace(known, at=known.at + 1) for known in told if known.record.kind == "held"]
    told += [replace(known, seq=len(told) + number) for number, known in enumerate(again, start=1)]
    trial = {"task_class": "-", "batch_id": None, "duration_us": None, "fence": 0}
    for number, at in enumerate(edges):
        begun = started(f"test-{number}", **{name: trial[name] for name in ("task_class", "batch_id", "fence")})
        told.append(Known(seq=len(told) + 1, at=at, record=begun))
        told.append(Known(seq=len(told) + 1, at=at, record=finished(f"test-{number}", **trial)))
    return told


async def made(ledger: Ledger, month: Month) -> MonthlyReport:
    """The report of a month."""
    return await report_month(ledger, month, now=NOW, version="0.1.0")


def in_no_order(value: Any) -> Any:
    """Lists sorted by what is in them."""
    return {name: sorted(map(str, some)) if isinstance(some, list | tuple) else some for name, some in value.items()}


@pytest.mark.parametrize("seed", range(3))
async def test_every_figure(ledger_url: str, seed: int) -> None:
    """Every figure of every month is the model's: each record counts once, in the month and on the day of its time."""
    told = long_history(seed)
    async with Ledger.open(ledger_url, make=True) as ledger:
        await write(ledger, told)
        for month in (JANUARY, FEBRUARY, MARCH, Month(2025, 12), Month(2026, 4)):
            report = asdict(await made(ledger, month))
            del report["frame"]
            assert in_no_order(report) == in_no_order(modelled(told, month)), month
            assert bool(report["records"]) is (month in (JANUARY, FEBRUARY, MARCH))


async def test_breakdowns_add_up(ledger_url: str) -> None:
    """Spend by class, tier, owner, day, and day and class has the same sums; jobs by state are as many as ended."""
    async with Ledger.open(ledger_url, make=True) as ledger:
        await write(ledger, long_history(7))
        for month in (JANUARY, FEBRUARY, MARCH):
            report = await made(ledger, month)
            for name in UNORDERED:
                parts = [line.spend for line in getattr(report, name)]
                for figure in ("calls", "input_tokens", "output_tokens", "unknown_tokens", "cost_microusd"):
                    total = sum(getattr(part, figure) or 0 for part in parts)
                    assert total == (getattr(report.spend, figure) or 0), (month, name, figure)
                assert sum(part.unknown_cost for part in parts) == report.spend.unknown_cost
            assert sum(line.calls for line in report.endings) == report.spend.calls
            ended = sum(line.jobs for line in report.jobs)
            assert ended == report.job_latency.measured + report.job_latency.unmeasured
            assert [line.name for line in report.by_day] == sorted(line.name or "" for line in report.by_day)


async def test_unknown_is_not_zero(ledger_url: str) -> None:
    """A sum of nothing known is none; beside something known, what is unknown is counted; what was free is 0."""
    nothing: dict[str, Any] = {"input_tokens": None, "output_tokens": None, "cost_microusd": None}
    told = [
        Known(seq=1, at=NOON, record=finished("a", owner="x", usage_source="estimate", **nothing)),
        Known(seq=2, at=NOON, record=finished("b", owner="y", usage_source="estimate", **nothing)),
        Known(seq=3, at=NOON, record=finished("c", owner="y")),
        Known(seq=4, at=NOON, record=finished("d", owner=None, usage_source="none", **nothing)),
    ]
    async with Ledger.open(ledger_url, make=True) as ledger:
        await write(ledger, told)
        report = await made(ledger, JANUARY)
    found = {line.name: line.spend for line in report.by_owner}
    assert (found["x"].cost_microusd, found["x"].unknown_cost, found["x"].input_tokens) == (None, 1, None)
    assert (found["y"].cost_microusd, found["y"].unknown_cost, found["y"].input_tokens) == (13, 1, 12)
    assert (found[None].cost_microusd, found[None].unknown_cost, found[None].output_tokens) == (0, 0, 0)
    assert (report.spend.cost_microusd, report.spend.unknown_cost) == (13, 2)
    assert (report.estimated.calls, report.estimated.cost_microusd, report.estimated.unknown_cost) == (2, None, 2)
    assert report.by_owner[0].name == "y", "the dearest first"


class Interrupted:
    """A connection during whose first statement somebody else appends."""

    def __init__(self, connection: AsyncConnection, append: Callable[[], Awaitable[None]]) -> None:
        self.dialect = connection.dialect
        self.execution_options = connection.execution_options
        self._connection = connection
        self._append: Callable[[], Awaitable[None]] | None = append

    async def execute(self, *asked: Any) -> Any:
        """Execute."""
        found = await self._connection.execute(*asked)
        if self._append is not None:
            append, self._append = self._append, None
            await append()
        return found


async def test_one_state_of_the_ledger(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is recorded while the report is made is not in it: the frame names the record up to which it looked."""
    told = [Known(seq=1, at=NOON, record=started("a")), Known(seq=2, at=NOON, record=accepted("a"))]
    after = [Known(seq=3, at=NOON, record=finished("a")), Known(seq=4, at=NOON, record=final("a"))]
    async with Ledger.open(ledger_url, make=True) as ledger, Ledger.open(ledger_url) as recorder:
        await write(ledger, told)
        head, before = await ledger.chain_head(), await made(ledger, JANUARY)
        reading = ledger.reading

        @asynccontextmanager
        async def interrupted() -> AsyncIterator[Interrupted]:
            async with reading() as connection:
                yield Interrupted(connection, lambda: write(recorder, after))

        monkeypatch.setattr(ledger, "reading", interrupted)
        during = await made(ledger, JANUARY)
        monkeypatch.undo()
        assert during == before
        assert (during.frame.head_seq, during.frame.head_hash, during.open_jobs, during.open_calls) == (*head, 1, 1)
        assert (await made(ledger, JANUARY)).frame.head_seq == 4


async def test_few_statements(ledger_url: str) -> None:
    """However much there is: the same eight statements, of which two read the month's records."""
    sent: list[str] = []
    async with Ledger.open(ledger_url, make=True) as ledger:
        await write(ledger, long_history(1))
        event.listen(ledger._engine.sync_engine, "before_cursor_execute", lambda *about: sent.append(about[2]))
        await made(ledger, FEBRUARY)
    assert len([statement for statement in sent if statement.lstrip().startswith(("SELECT", "WITH"))]) == 8


async def test_frame(ledger_url: str) -> None:
    """A report says of what, when and from where it is; of an empty ledger that there is no record."""
    async with Ledger.open(ledger_url, make=True) as ledger:
        frame = (await made(ledger, FEBRUARY)).frame
        assert (frame.first_record_at, frame.last_record_at, frame.head_seq) == (None, None, 0)
        assert (frame.month, frame.since, frame.until, frame.made_at, frame.version, frame.ledger_id) == (
            "2026-02",
            "2026-02-01T00:00:00.000000Z",
            "2026-03-01T00:00:00.000000Z",
            "2026-03-10T08:00:00.000000Z",
            "0.1.0",
            await ledger.ledger_id(),
        )
        await write(ledger, [Known(seq=1, at=NOON, record=accepted("a"))])
        await write(ledger, [Known(seq=2, at=NOON - SECOND, record=finished("a"))])
        frame = (await made(ledger, FEBRUARY)).frame
        assert frame.first_record_at == "2026-01-01T11:59:59.000000Z"
        assert frame.last_record_at == "2026-01-01T12:00:00.000000Z"


async def test_policies(ledger_url: str) -> None:
    """Every policy is known with the record and moment it came with; a beginning of its digest finds it, if one has it.

    One of which only the digest was told is known too.
    """
    text = '{"classes":{}}'
    digest = hashlib.sha256(text.encode()).hexdigest()
    other = digest[:8] + "0" * 56
    changes = [
        PolicyRecord(role="worker", policy_digest=digest, by="w1", policy=text),
        PolicyRecord(role="worker", policy_digest=other, previous_digest=digest, by="w2"),
        PolicyRecord(role="producer", policy_digest=digest, by="p1", policy=text),
    ]
    async with Ledger.open(ledger_url, make=True) as ledger:
        assert await known_policies(ledger) == []
        await write(ledger, [Known(seq=n, at=NOON + n, record=change) for n, change in enumerate(changes, start=1)])
        first, second = await known_policies(ledger)
        assert (first.digest, first.first_seq, first.first_at) == (digest, 1, "2026-01-01T12:00:00.000001Z")
        assert (first.roles, first.by, first.policy) == (("producer", "worker"), "w1", text)
        assert (second.digest, second.first_seq, second.roles, second.policy) == (other, 2, ("worker",), None)
        assert await find_policy(ledger, digest[:9].upper()) == first
        assert await find_policy(ledger, other) == second
        with pytest.raises(UsageProblem, match=f"2 policies begin with '{digest[:8]}': {digest[:12]}, {other[:12]};"):
            await find_policy(ledger, digest[:8])
        with pytest.raises(UsageProblem, match="knows no policy 'xyz'"):
            await find_policy(ledger, "xyz")


@pytest.mark.parametrize(
    "text", ["2026-13", "2026-00", "2026-1", "26-11", "2026", "9999-12", "0000-01", "", "2026-11-01"]
)
def test_no_month(text: str) -> None:
    """What is no month is refused in one line that says how to write one."""
    with pytest.raises(FilterInvalid, match=r"is not a month; write it as 2026-11$"):
        Month.parse(text)


def test_month() -> None:
    """A month begins and ends at midnight in UTC; December is followed by January, and February may be leap."""
    assert (str(Month.parse("2026-12")), Month.parse("2026-12").until) == ("2026-12", datetime(2027, 1, 1, tzinfo=UTC))
    assert [len(Month(year, 2).days) for year in (2026, 2028)] == [28, 29]
    assert Month(2026, 12).days[-1] == date(2026, 12, 31)
    late = datetime(2026, 12, 1, 0, 30, tzinfo=timezone(timedelta(hours=1)))
    assert Month.of(late) == Month(2026, 11)
