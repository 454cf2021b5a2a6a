"""How a monthly report is put together from what the ledger adds up. Pure."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import NamedTuple

from pointsman_routes import RecordKind

from .columns import Facet
from .monthly_report import (
    CallEnding,
    ClassDay,
    Downgrade,
    ErrorCount,
    Fallback,
    Frame,
    HoldCount,
    JobCount,
    Latency,
    MonthlyReport,
    MoveCount,
    Spend,
    SpendLine,
)


class Cell(NamedTuple):
    """Records of one facet on one day, added up. A sum of nothing known is None."""

    facet: Facet
    day: int
    """Since the epoch."""
    records: int
    input_tokens: int | None
    output_tokens: int | None
    untold_tokens: int
    """Records without the one or the other."""
    cost_microusd: int | None
    untold_cost: int
    """Records without a cost."""


class Timing(NamedTuple):
    """How long records of a kind took that have a tier or class in common; of a kind altogether where that is None."""

    kind: str
    name: str | None
    measured: int
    p50_us: int | None
    p95_us: int | None


class Standing(NamedTuple):
    """What the records of a month alone do not tell."""

    open_jobs: int
    open_calls: int
    held_jobs: int


_ORIGIN = date(1970, 1, 1).toordinal()
_Words = tuple[str | None, ...]


def make_report(frame: Frame, cells: Sequence[Cell], timings: Sequence[Timing], standing: Standing) -> MonthlyReport:
    """Put a report together.

    Args:
        frame: what it is of.
        cells: every record of the month, by facet and day.
        timings: of calls by tier, of jobs by class, and of each altogether.
        standing: what else is known.
    """
    calls, finals = _of_kind(cells, RecordKind.ATTEMPT_FINISHED), _of_kind(cells, RecordKind.FINAL)
    moves, holds = _of_kind(cells, RecordKind.MOVED), _of_kind(cells, RecordKind.HELD)
    left = [cell for cell in finals if cell.facet.fallback]
    below = [cell for cell in finals if cell.facet.downgraded]
    failed = [cell for cell in finals if cell.facet.error_code is not None]
    errors = _counts(failed, lambda cell: (cell.facet.error_code,))
    by_day = _grouped(calls, _day_and_class)
    return MonthlyReport(
        frame=frame,
        records=_total(cells),
        spend=_spend(calls),
        estimated=_spend([cell for cell in calls if cell.facet.usage_source == "estimate"]),
        by_class=_dearest(calls, lambda cell: cell.facet.task_class),
        by_tier=_dearest(calls, lambda cell: cell.facet.tier),
        by_owner=_dearest(calls, lambda cell: cell.facet.owner),
        by_day=tuple(sorted(_lines(calls, _day), key=lambda line: line.name or "")),
        by_day_and_class=tuple(
            ClassDay(day=day or "", task_class=name, spend=_spend(some)) for (day, name), some in by_day.items()
        ),
        accepted=_total(_of_kind(cells, RecordKind.ACCEPTED)),
        jobs=tuple(
            JobCount(task_class=name, state=state, jobs=number)
            for (name, state), number in _counts(finals, lambda cell: (cell.facet.task_class, cell.facet.state))
        ),
        open_jobs=standing.open_jobs,
        open_calls=standing.open_calls,
        fallbacks=tuple(Fallback(task_class=name, reason=why, jobs=number) for (name, why), number in _reasons(left)),
        moves=tuple(
            MoveCount(tier=tier, reason=why, moves=number)
            for (tier, why), number in _counts(moves, lambda cell: (cell.facet.tier, cell.facet.reason))
        ),
        downgrades=tuple(
            Downgrade(task_class=name, tier=tier, jobs=number)
            for (name, tier), number in _counts(below, lambda cell: (cell.facet.task_class, cell.facet.tier))
        ),
        holds=tuple(HoldCount(task_class=name, reason=why, times=number) for (name, why), number in _reasons(holds)),
        held_jobs=standing.held_jobs,
        endings=tuple(
            CallEnding(tier=tier, task_class=name, outcome=outcome, calls=number)
            for (tier, name, outcome), number in _counts(
                calls, lambda cell: (cell.facet.tier, cell.facet.task_class, cell.facet.outcome)
            )
        ),
        errors=tuple(
            ErrorCount(error_code=code, jobs=number)
            for (code,), number in sorted(errors, key=lambda entry: (-entry[1], entry[0][0] or ""))
        ),
        call_latency=_altogether(timings, RecordKind.ATTEMPT_FINISHED, _total(calls)),
        call_latency_by_tier=_latencies(timings, calls, lambda cell: cell.facet.tier),
        job_latency=_altogether(timings, RecordKind.FINAL, _total(finals)),
        job_latency_by_class=_latencies(timings, finals, lambda cell: cell.facet.task_class),
    )


def _of_kind(cells: Sequence[Cell], kind: RecordKind) -> list[Cell]:
    return [cell for cell in cells if cell.facet.kind == kind.value]


def _total(cells: Iterable[Cell]) -> int:
    return sum(cell.records for cell in cells)


def _spend(cells: Sequence[Cell]) -> Spend:
    # A call that was not billed has no tokens and no cost, and these are not unknown.
    billed = [cell for cell in cells if cell.facet.usage_source != "none"]
    untold_tokens = sum(cell.untold_tokens for cell in billed)
    untold_cost = sum(cell.untold_cost for cell in billed)
    return Spend(
        calls=_total(cells),
        input_tokens=_sum((cell.input_tokens for cell in cells), untold_tokens),
        output_tokens=_sum((cell.output_tokens for cell in cells), untold_tokens),
        unknown_tokens=untold_tokens,
        cost_microusd=_sum((cell.cost_microusd for cell in cells), untold_cost),
        unknown_cost=untold_cost,
    )


def _sum(values: Iterable[int | None], untold: int) -> int | None:
    known = [value for value in values if value is not None]
    return None if untold and not known else sum(known)


def _grouped(cells: Sequence[Cell], words: Callable[[Cell], _Words]) -> dict[_Words, list[Cell]]:
    """Cells by words they have in common, in the order of these; what has none comes last."""
    found: dict[_Words, list[Cell]] = {}
    for cell in cells:
        found.setdefault(words(cell), []).append(cell)
    return dict(sorted(found.items(), key=lambda entry: [(word is None, word or "") for word in entry[0]]))


def _counts(cells: Sequence[Cell], words: Callable[[Cell], _Words]) -> list[tuple[_Words, int]]:
    return [(common, _total(some)) for common, some in _grouped(cells, words).items()]


def _reasons(cells: Sequence[Cell]) -> list[tuple[_Words, int]]:
    return _counts(cells, lambda cell: (cell.facet.task_class, cell.facet.reason))


def _lines(cells: Sequence[Cell], name: Callable[[Cell], str | None]) -> list[SpendLine]:
    groups = _grouped(cells, lambda cell: (name(cell),))
    return [SpendLine(name=common, spend=_spend(some)) for (common,), some in groups.items()]


def _dearest(cells: Sequence[Cell], name: Callable[[Cell], str | None]) -> tuple[SpendLine, ...]:
    """The dearest first."""
    return tuple(sorted(_lines(cells, name), key=lambda line: -(line.spend.cost_microusd or 0)))


def _day(cell: Cell) -> str:
    return date.fromordinal(_ORIGIN + cell.day).isoformat()


def _day_and_class(cell: Cell) -> _Words:
    return _day(cell), cell.facet.task_class


def _altogether(timings: Sequence[Timing], kind: RecordKind, records: int) -> Latency:
    found = next((one for one in timings if one.kind == kind.value and one.name is None), None)
    return _latency(None, found, records)


def _latencies(
    timings: Sequence[Timing], cells: Sequence[Cell], name: Callable[[Cell], str | None]
) -> tuple[Latency, ...]:
    kinds = {cell.facet.kind for cell in cells}
    found = {one.name: one for one in timings if one.kind in kinds and one.name is not None}
    return tuple(
        _latency(common, found.get(common), number)
        for (common,), number in _counts(cells, lambda cell: (name(cell),))
        if common is not None
    )


def _latency(name: str | None, timing: Timing | None, records: int) -> Latency:
    if timing is None:
        return Latency(name=name, measured=0, unmeasured=records, p50_us=None, p95_us=None)
    missing = records - timing.measured
    return Latency(name=name, measured=timing.measured, unmeasured=missing, p50_us=timing.p50_us, p95_us=timing.p95_us)
