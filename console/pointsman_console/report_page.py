"""A monthly report as a page: one file of HTML that needs nothing else, with charts in SVG and no script. Pure.

It is well-formed XML too. The policy in its head forbids a browser to load or run anything, whatever is in a name.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from .markup import Markup, element, joined
from .page_style import STYLE
from .report_charts import charts, day_table
from .report_heading import provenance, remarks, summary
from .report_sections import Section, sections

if TYPE_CHECKING:
    from pointsman_audit import MonthlyReport

_FORBIDDEN: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_READ: Final = (
    "Money is that of calls, in USD, exact to the millionth; it counts on the day the call ended, in UTC. Calls of "
    "jobs that failed are in it, and trials. What is unknown is in no sum, and is counted beside it."
)


def report_page(report: "MonthlyReport") -> str:
    """The page as text, to be written as UTF-8."""
    title = f"LLM jobs in {report.frame.month}"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_FORBIDDEN),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{title} - Pointsman"),
        element("style", STYLE),
    )
    drawn, more = charts(report), {"by_day": day_table(report)}
    main = element(
        "main",
        element("h1", title),
        *(element("p", remark) for remark in remarks(report.frame, report.records)),
        _listed(summary(report), "figures") if report.records else None,
        element("p", _READ, class_="note") if report.records else None,
        *(_section(section, drawn.get(section.key), more.get(section.key)) for section in sections(report)),
        element("h2", "Where these figures are from"),
        _listed(provenance(report.frame)),
        element("p", "Whether the ledger was changed up to that record: pointsman audit verify.", class_="note"),
    )
    return f"<!DOCTYPE html>\n{element('html', head, element('body', main), lang='en')}\n"


def _section(section: Section, chart: Markup | None, more: Section | None) -> Markup:
    return element(
        "section",
        element("h2", section.title, id=section.key),
        chart,
        _table(section, aria_labelledby=section.key),
        element("p", section.note, class_="note") if section.note is not None else None,
        _table(more, caption=more.title) if more is not None else None,
    )


def _table(section: Section, *, caption: str | None = None, aria_labelledby: str | None = None) -> Markup:
    heads = (
        element("th", name, scope="col", class_="name" if number < section.names else None)
        for number, name in enumerate(section.columns)
    )
    table = element(
        "table",
        element("caption", caption) if caption is not None else None,
        element("thead", element("tr", *heads)),
        element("tbody", *(element("tr", *_cells(row, section.names)) for row in section.rows)),
        aria_labelledby=aria_labelledby,
    )
    return element("div", table, class_="wide")


def _cells(row: Iterable[str], names: int) -> Iterator[Markup]:
    for number, cell in enumerate(row):
        yield element("th", cell, scope="row", class_="name") if number < names else element("td", cell)


def _listed(entries: Iterable[tuple[str, str]], class_: str | None = None) -> Markup:
    """Names and values; in pairs where they stand beside each other."""
    pairs = (joined(element("dt", name), element("dd", value)) for name, value in entries)
    shown = (element("div", pair) for pair in pairs) if class_ is not None else pairs
    return element("dl", *shown, class_=class_)
