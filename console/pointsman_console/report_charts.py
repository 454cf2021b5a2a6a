"""The charts of a monthly report, by the section that they stand in. Pure."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from .bar_chart import Chart, draw_lying, draw_stacked, legend
from .markup import Markup, element
from .page_style import SERIES
from .printable import known
from .report_sections import Section
from .report_words import amount_words, class_words, owner_words

if TYPE_CHECKING:
    from pointsman_audit import MonthlyReport, Spend, SpendLine

_MOST_ROWS: Final = 12
"""Bars of a chart; the rest is in one."""
_SEVERAL: Final = 2
OTHERS: Final = "all others"


def charts(report: "MonthlyReport") -> Mapping[str, Markup]:
    """Each chart under its section's key; none where there is nothing to draw."""
    found = {
        "by_day": _days(report),
        "by_class": _spent("by-class", "class", _rows(report.by_class, class_words)),
        "by_tier": _spent("by-tier", "tier", _rows(report.by_tier, known)),
        "by_owner": _spent("by-owner", "owner of the key", _rows(report.by_owner, owner_words)),
        "fallbacks": _fallbacks(report),
    }
    return {key: drawn for key, drawn in found.items() if drawn is not None}


def dollars(microusd: int) -> str:
    """An amount for a chart: rounded where it is large; the tables have it exactly."""
    usd = microusd / 1_000_000
    if usd >= 1_000:
        return f"${usd:,.0f}"
    if usd >= 1:
        return f"${usd:,.2f}"
    return f"${usd:.6f}".rstrip("0").rstrip(".")


def top(rows: Sequence[tuple[str, int]], most: int) -> list[tuple[str, int]]:
    """The largest rows, and last the sum of the others if there are more."""
    ordered = sorted(rows, key=lambda row: -row[1])
    if len(ordered) <= most:
        return ordered
    return [*ordered[: most - 1], (OTHERS, sum(figure for _, figure in ordered[most - 1 :]))]


def day_table(report: "MonthlyReport") -> Section | None:
    """The figures of the chart of days, exactly; none where its classes are one, whose days have a table anyway."""
    series, spent = _by_day(report)
    if len(series) < _SEVERAL:
        return None
    rows = (
        (line.name or "", *(_exactly(spent.get((line.name, name), [])) for name in series)) for line in report.by_day
    )
    title = "Spend by day and class, in USD"
    return Section(key="by_day_and_class", title=title, columns=("DAY", *series), rows=tuple(rows))


def _by_day(report: "MonthlyReport") -> tuple[list[str], dict[tuple[str | None, str], "list[Spend]"]]:
    """The dearest classes, and what was spent for each on each day."""
    series = [name for name, _ in top(_rows(report.by_class, class_words), SERIES)]
    spent: dict[tuple[str | None, str], list[Spend]] = {}
    for line in report.by_day_and_class:
        name = class_words(line.task_class)
        spent.setdefault((line.day, name if name in series else OTHERS), []).append(line.spend)
    return series, spent


def _exactly(spends: "Sequence[Spend]") -> str:
    """What classes spent together; a dash where they made no call."""
    if not spends:
        return "-"
    told = [spend.cost_microusd for spend in spends if spend.cost_microusd is not None]
    unknown = sum(spend.unknown_cost for spend in spends)
    return amount_words(sum(told) if told else None, unknown)


def _days(report: "MonthlyReport") -> Markup | None:
    """What was spent on each day of the month, the classes one on the other."""
    series, spent = _by_day(report)
    days = _all_days(report)
    columns = [(day[8:], [_roughly(spent.get((day, name), [])) for name in series]) for day in days]
    if not any(sum(figures) for _, figures in columns):
        return None
    chart = Chart(
        key="by-day",
        title=f"Spend by day and class in {report.frame.month}, in USD",
        description=f"A column for each of {len(days)} days, made of {len(series)} classes: {', '.join(series)}. "
        "The tables below have the figures of each day.",
        words=dollars,
    )
    return element("figure", draw_stacked(chart, columns, series), legend(series))


def _roughly(spends: "Sequence[Spend]") -> int:
    """What can be drawn of it: what is known."""
    return max(0, sum(spend.cost_microusd or 0 for spend in spends))


def _all_days(report: "MonthlyReport") -> list[str]:
    first, end = (date.fromisoformat(text[:10]) for text in (report.frame.since, report.frame.until))
    return [(first + timedelta(days=number)).isoformat() for number in range((end - first).days)]


def _rows(lines: "Sequence[SpendLine]", words: Callable[[str | None], str]) -> list[tuple[str, int]]:
    return [(words(line.name), line.spend.cost_microusd or 0) for line in lines]


def _spent(key: str, of: str, rows: Sequence[tuple[str, int]]) -> Markup | None:
    shown = [row for row in top(rows, _MOST_ROWS) if row[1] > 0]
    if not shown:
        return None
    chart = Chart(
        key=key,
        title=f"Spend by {of}, in USD",
        description="A bar for each, the largest first. The table below has the figures.",
        words=dollars,
    )
    return element("figure", draw_lying(chart, shown))


def _fallbacks(report: "MonthlyReport") -> Markup | None:
    reasons: dict[str, int] = {}
    for line in report.fallbacks:
        reasons[known(line.reason)] = reasons.get(known(line.reason), 0) + line.jobs
    if not reasons:
        return None
    chart = Chart(
        key="fallbacks",
        title="Jobs by the reason their primary was left",
        description="A bar for each reason, the most frequent first. The table below has the figures by class.",
        words=lambda jobs: f"{jobs:,}",
    )
    return element("figure", draw_lying(chart, top(list(reasons.items()), _MOST_ROWS)))
