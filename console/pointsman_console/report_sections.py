"""A monthly report as sections of words and figures: what the tables on a terminal and the page both show. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pointsman_routes import JobState, OutcomeKind

from .printable import known, printable
from .report_words import class_words, cost_words, owner_words, second_words, share, token_words, usd_words

if TYPE_CHECKING:
    from pointsman_audit import Latency, MonthlyReport, Spend, SpendLine

_TOP_ERRORS: Final = 10
_SPEND: Final = ("CALLS", "INPUT", "OUTPUT", "COST_USD", "SHARE")
_WAIT: Final = "WAIT"
_OTHER: Final = "OTHER"
_ENDS: Final = {
    "OK": (OutcomeKind.OK,),
    "EMPTY": (OutcomeKind.EMPTY,),
    "TRUNCATED": (OutcomeKind.TRUNCATED,),
    "REFUSED": (OutcomeKind.REFUSED,),
    "MISROUTED": (OutcomeKind.MISROUTED,),
    "BROKEN": (OutcomeKind.OVERLOADED, OutcomeKind.TRANSIENT, OutcomeKind.UNKNOWN),
    _WAIT: (OutcomeKind.THROTTLED,),
    _OTHER: (OutcomeKind.EXHAUSTED, OutcomeKind.UNAUTHORIZED, OutcomeKind.UNSUPPORTED, OutcomeKind.INVALID),
}
"""Column -> outcomes."""
_STATES: Final = tuple(state.value for state in JobState if state.final)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A table with a title."""

    key: str
    """Which one it is."""
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """Cells as they are shown; nothing in them steers a terminal."""
    names: int = 1
    """So many columns at the left are names, the others figures."""
    note: str | None = None
    """What must be known to read it."""


def sections(report: "MonthlyReport") -> list[Section]:
    """Every section that has a row."""
    found = (
        _spent("by_class", "Spend by class", "CLASS", report.by_class, report, class_words),
        _spent("by_tier", "Spend by tier", "TIER", report.by_tier, report, known),
        _spent("by_owner", "Spend by owner of the key", "OWNER", report.by_owner, report, owner_words),
        _spent("by_day", "Spend by day", "DAY", report.by_day, report, known),
        _billing(report),
        _jobs(report),
        Section(
            key="fallbacks",
            title="Fallbacks: jobs whose primary was left, and why",
            columns=("CLASS", "REASON", "JOBS"),
            rows=_rows((class_words(one.task_class), one.reason, one.jobs) for one in report.fallbacks),
            names=2,
        ),
        Section(
            key="moves",
            title="Moves: how often jobs left a tier, and why",
            columns=("TIER", "REASON", "MOVES"),
            rows=_rows((one.tier, one.reason, one.moves) for one in report.moves),
            names=2,
        ),
        Section(
            key="downgrades",
            title="Downgrades: jobs answered below the class's quality floor",
            columns=("CLASS", "TIER", "JOBS"),
            rows=_rows((class_words(one.task_class), one.tier, one.jobs) for one in report.downgrades),
            names=2,
        ),
        Section(
            key="holds",
            title="Held: how often jobs waited for a tier to open, and why",
            columns=("CLASS", "REASON", "TIMES"),
            rows=_rows((class_words(one.task_class), one.reason, one.times) for one in report.holds),
            names=2,
            note=f"{report.held_jobs:,} jobs were held at least once.",
        ),
        _endings(report),
        Section(
            key="errors",
            title="Error codes of jobs that did not succeed",
            columns=("CODE", "JOBS"),
            rows=_rows((one.error_code, one.jobs) for one in report.errors[:_TOP_ERRORS]),
            note=_more_errors(report),
        ),
        _latency("call_latency", "How long calls took", "TIER", report.call_latency, report.call_latency_by_tier),
        _latency("job_latency", "How long jobs took", "CLASS", report.job_latency, report.job_latency_by_class),
    )
    return [section for section in found if section.rows]


def _spent(
    key: str,
    title: str,
    column: str,
    lines: "Sequence[SpendLine]",
    report: "MonthlyReport",
    words: Callable[[str | None], str],
) -> Section:
    total = report.spend.cost_microusd or 0
    rows = ((words(line.name), *_figures(line.spend, total)) for line in lines)
    return Section(key=key, title=title, columns=(column, *_SPEND), rows=_rows(rows))


def _figures(spend: "Spend", total: int) -> tuple[object, ...]:
    return (
        spend.calls,
        token_words(spend.input_tokens, spend),
        token_words(spend.output_tokens, spend),
        cost_words(spend),
        share(spend.cost_microusd or 0, total),
    )


def _billing(report: "MonthlyReport") -> Section:
    """What is sure about the money, and what is not."""
    told, guessed = report.spend, report.estimated
    sure = None
    if told.cost_microusd is not None:
        sure = usd_words(told.cost_microusd - (guessed.cost_microusd or 0))
    counted = told.calls - guessed.calls - (told.unknown_cost - guessed.unknown_cost)
    rows = (
        ("counted by the vendor, or not billed", counted, sure),
        ("may have been billed, estimated", guessed.calls - guessed.unknown_cost, usd_words(guessed.cost_microusd)),
        ("cost unknown, in no sum", told.unknown_cost, None),
        ("begun and not ended yet, in no sum", report.open_calls, None),
    )
    shown = rows if told.calls or report.open_calls else ()
    title = "How sure the spend is"
    return Section(key="billing", title=title, columns=("CALLS THAT", "CALLS", "COST_USD"), rows=_rows(shown))


def _jobs(report: "MonthlyReport") -> Section:
    counted: dict[str, dict[str | None, int]] = {}
    for line in report.jobs:
        counted.setdefault(class_words(line.task_class), {})[line.state] = line.jobs
    rows = (
        (name, *(states.get(state, 0) for state in _STATES), sum(states.values())) for name, states in _all(counted)
    )
    return Section(
        key="jobs",
        title="Jobs by how they ended",
        columns=("CLASS", *(state.upper() for state in _STATES), "ALL"),
        rows=_rows(rows),
        note=f"{report.accepted:,} jobs were taken in; {report.open_jobs:,} of them have no end yet.",
    )


def _all(counted: Mapping[str, Mapping[str | None, int]]) -> Iterable[tuple[str, Mapping[str | None, int]]]:
    yield from counted.items()
    if len(counted) > 1:
        total: dict[str | None, int] = {}
        for states in counted.values():
            for state, jobs in states.items():
                total[state] = total.get(state, 0) + jobs
        yield "all classes", total


def _endings(report: "MonthlyReport") -> Section:
    """How calls ended, in few columns; the object has every outcome by its name."""
    counted: dict[tuple[str, str], dict[str, int]] = {}
    for line in report.endings:
        ends = counted.setdefault((known(line.tier), class_words(line.task_class)), dict.fromkeys(_ENDS, 0))
        ends[next((name for name, kinds in _ENDS.items() if line.outcome in kinds), _OTHER)] += line.calls
    rows = ((*place, sum(ends.values()), *ends.values()) for place, ends in counted.items())
    told = (f"{name}: {', '.join(kinds)}" for name, kinds in _ENDS.items() if len(kinds) > 1 or name == _WAIT)
    return Section(
        key="endings",
        title="How calls ended",
        columns=("TIER", "CLASS", "CALLS", *_ENDS),
        rows=_rows(rows),
        names=2,
        note=f"{'; '.join(told)}.",
    )


def _more_errors(report: "MonthlyReport") -> str | None:
    rest = report.errors[_TOP_ERRORS:]
    return f"{len(rest):,} rarer codes, of {sum(one.jobs for one in rest):,} jobs, are left out." if rest else None


def _latency(key: str, title: str, column: str, altogether: "Latency", parts: "Sequence[Latency]") -> Section:
    words = class_words if column == "CLASS" else known
    lines = [(words(one.name), one) for one in parts]
    if len(lines) > 1:
        lines.append(("all", altogether))
    return Section(
        key=key,
        title=title,
        columns=(column, "MEASURED", "UNKNOWN", "P50", "P95"),
        rows=_rows(
            (name, one.measured, one.unmeasured, second_words(one.p50_us), second_words(one.p95_us))
            for name, one in lines
        ),
        note="P50 and P95 are durations that were measured: half, and 95 in a hundred, took at most so long.",
    )


def _rows(rows: Iterable[tuple[object, ...]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(_cell(cell) for cell in row) for row in rows)


def _cell(cell: Any) -> str:
    if cell is None:
        return "-"
    return f"{cell:,}" if isinstance(cell, int) else printable(cell)
