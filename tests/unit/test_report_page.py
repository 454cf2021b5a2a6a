"""The page of a monthly report: one well-formed file that loads nothing, escapes everything, and tells what tables do.

That it looks right was seen by eye; here its geometry, its contrast and its figures are held.
"""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from report_samples import EVIL, call, job, reports, sample

from pointsman_audit import MonthlyReport
from pointsman_console.markup import Markup, element, joined, text
from pointsman_console.page_style import DAY, NIGHT, SERIES, STYLE
from pointsman_console.report_charts import OTHERS, charts, day_table, dollars, top
from pointsman_console.report_page import report_page
from pointsman_console.report_sections import sections


def parsed(report: MonthlyReport) -> ET.Element:
    """The page, parsed strictly."""
    page = report_page(report)
    assert page.startswith("<!DOCTYPE html>\n<html")
    return ET.fromstring(page.removeprefix("<!DOCTYPE html>\n"))


def said(node: ET.Element) -> str:
    """All text in an element."""
    return "".join(node.itertext())


class Tags(HTMLParser):
    """What a parser of HTML sees: elements with their attributes, and whether every one is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        self.seen.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element without an end."""
        assert tag in {"meta", "br"}
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """An element ends."""
        assert self.open.pop() == tag


@settings(max_examples=60)
@given(reports)
def test_well_formed(report: MonthlyReport) -> None:
    """Whatever is in the names, the page is well-formed as XML and as HTML, and no name has become an element."""
    root, tags = parsed(report), Tags(report_page(report))
    assert tags.open == []
    expected = {
        "html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "dl", "dt", "dd", "div", "section",
        "table", "caption", "thead", "tbody", "tr", "th", "td", "figure", "svg", "desc", "rect", "text", "line", "ul",
        "li", "span",
    }  # fmt: skip
    assert {tag for tag, _ in tags.seen} <= expected
    assert {node.tag for node in root.iter()} <= expected


@settings(max_examples=30)
@given(reports)
def test_loads_nothing(report: MonthlyReport) -> None:
    """Nothing is run or fetched: no attribute holds an address or a script, nor does the style; the head forbids it."""
    tags = Tags(report_page(report))
    allowed = {
        "class", "id", "lang", "charset", "name", "content", "http-equiv", "scope", "viewbox", "role",
        "aria-labelledby", "x", "y", "x1", "x2", "y1", "y2", "width", "height", "fill", "stroke", "font-size",
        "text-anchor",
    }  # fmt: skip
    assert {name for _, attributes in tags.seen for name in attributes} <= allowed
    assert not re.search(r"url|import|expression|@font|<|&", STYLE)
    policy = next(at["content"] for tag, at in tags.seen if at.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.split("; ")[:2] == ["default-src 'none'", "style-src 'unsafe-inline'"]


def test_a_name_stays_text() -> None:
    """A script in a name is shown as it was written, its control characters spelt out, in cells and in charts."""
    report = sample(call(1, 10**9, task_class=EVIL, tier=EVIL, owner=EVIL), job(1, task_class=EVIL, reason=EVIL))
    page = report_page(report)
    assert "<script" not in page
    assert "alert(&#x27;x&#x27;)" in page
    cells = [said(cell) for cell in parsed(report).iter("th")]
    shown = "<script>alert('x')</script> & \"q\" \\x1b[31m\\u202e\\x00 ]]>"
    assert cells.count(shown) >= 4
    assert any(shown in said(title) for title in parsed(report).iter("title"))


def test_every_section_is_there() -> None:
    """Every section has its heading, and its table the same cells as on a terminal, in the same order."""
    report = sample()
    root = parsed(report)
    found = root.findall("body/main/section")
    shown = sections(report)
    assert [said(one.findall("h2")[0]) for one in found] == [section.title for section in shown]
    for one, section in zip(found, shown, strict=True):
        table = one.findall("div/table")[0]
        assert table.get("aria-labelledby") == one.findall("h2")[0].get("id") == section.key
        assert [said(head) for head in table.findall("thead/tr/th")] == list(section.columns)
        rows = [tuple(said(cell) for cell in row) for row in table.findall("tbody/tr")]
        assert rows == list(section.rows)
        for row in table.findall("tbody/tr"):
            scopes = [cell.get("scope") for cell in row if cell.tag == "th"]
            assert scopes == ["row"] * section.names


def test_the_page_can_be_tied_to_the_chain() -> None:
    """The page says which ledger, up to which record with which hash, when it was made and by which version."""
    told = said(parsed(sample()))
    for fact in ("55cba81af2ea402e", "300,000", "e9" * 32, "2026-12-03T08:00:00.000000Z", "Pointsman 0.1.0"):
        assert fact in told


def test_empty_months() -> None:
    """A month without records has a page with words, without figures, tables and charts."""
    root = parsed(sample(cells=()))
    assert "The ledger has no record of 2026-11." in said(root)
    assert not list(root.iter("svg"))
    assert not list(root.iter("table"))
    assert [one.get("class") for one in root.iter("dl")] == [None]
    early = said(parsed(sample(cells=(), first_record_at="2026-12-01T00:00:00.000000Z")))
    assert "The ledger begins after this month: its first record is of 2026-12-01T00:00:00.000000Z." in early
    future = said(parsed(sample(cells=(), made_at="2026-10-31T23:59:59.999999Z")))
    assert "2026-11 has not begun." in future
    running = said(parsed(sample(made_at="2026-11-30T23:59:59.999999Z")))
    assert "2026-11 is not over: these are its figures up to 2026-11-30T23:59:59.999999Z." in running
    none = said(parsed(sample(cells=(), first_record_at=None)))
    assert "The ledger has no record yet." in none
    assert "is not over" not in said(parsed(sample(made_at="2026-12-01T00:00:00.000000Z")))


def test_charts_can_be_heard() -> None:
    """Every chart is an image with a title and a description of its own, named by ids that are there once."""
    root = parsed(sample())
    images = list(root.iter("svg"))
    assert len(images) == 5
    ids = [node.get("id") for node in root.iter() if node.get("id")]
    assert len(ids) == len(set(ids))
    for image in images:
        assert image.get("role") == "img"
        named = [next(node for node in image if node.get("id") == name) for name in labels(image)]
        assert [node.tag for node in named] == ["title", "desc"]
        assert all(said(node) for node in named)
        assert all(said(rect) for rect in image.iter("rect")), "each bar says what it is"


def labels(image: ET.Element) -> list[str]:
    """The ids an image is named by."""
    return (image.get("aria-labelledby") or "").split()


@settings(max_examples=60)
@given(reports)
def test_bars_are_inside(report: MonthlyReport) -> None:
    """No bar and no text begins outside its chart, whatever the figures."""
    for drawn in charts(report).values():
        figure = ET.fromstring(str(drawn))
        image = next(figure.iter("svg"))
        _, _, width, height = (float(part) for part in (image.get("viewBox") or "").split())
        for rect in image.iter("rect"):
            x, y, wide, high = (float(rect.get(name) or "") for name in ("x", "y", "width", "height"))
            assert min(x, y) >= 0
            assert x + wide <= width + 0.1
            assert y + high <= height + 0.1
        for written in image.iter("text"):
            assert 0 <= float(written.get("x") or "") <= width
            assert 0 <= float(written.get("y") or "") <= height


@pytest.mark.parametrize(
    ("microusd", "words"),
    [
        (0, "$0"),
        (13, "$0.000013"),
        (250_000, "$0.25"),
        (1_000_000, "$1.00"),
        (12_345_678, "$12.35"),
        (1_234_567_890, "$1,235"),
    ],
)
def test_dollars(microusd: int, words: str) -> None:
    """Amounts in charts are exact below a dollar and rounded above it."""
    assert dollars(microusd) == words


def test_many_are_put_together() -> None:
    """The largest are shown, and all others as one; nothing is lost, and there are colours enough."""
    rows = [(f"c{number}", number) for number in range(20)]
    shown = top(rows, SERIES)
    assert shown[:2] == [("c19", 19), ("c18", 18)]
    assert shown[-1] == (OTHERS, sum(range(13)))
    assert (len(shown), sum(figure for _, figure in shown)) == (SERIES, sum(range(20)))
    assert top(rows[:SERIES], SERIES)[-1] == ("c0", 0)
    report = sample(*(call(day, 10**6 + day, task_class=f"class-{day}") for day in range(20)))
    table = day_table(report)
    assert table is not None
    assert len(table.columns) == 1 + SERIES
    drawn = ET.fromstring(str(charts(report)["by_day"]))
    assert len(list(drawn.iter("li"))) == SERIES
    assert {rect.get("class") for rect in drawn.iter("rect")} <= {f"bar s{number}" for number in range(SERIES)}


def test_day_and_class_in_figures() -> None:
    """The chart of days has a table of its own with the same figures exactly; unknown is no zero, nothing a dash."""
    table = day_table(sample())
    assert table is not None
    assert table.columns == ("DAY", "triage", "synthesis", "trials (routes test)")
    assert table.rows == (
        ("2026-11-01", "1.234567", "0.400000", "-"),
        ("2026-11-05", "3 calls unknown", "-", "0.000013"),
        ("2026-11-07", "0.000097", "-", "-"),
    )
    assert day_table(sample(cells=(call(0, 5),))) is None, "one class: the table of days says the same"


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast as WCAG 2 defines it."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colours", [DAY, NIGHT], ids=["day", "night"])
def test_contrast(colours: dict[str, str]) -> None:
    """By day and by night texts have a contrast of 4.5 and bars of 3 at least (WCAG 2, 1.4.3 and 1.4.11)."""
    assert min(contrast(colours[name], colours["page"]) for name in ("ink", "quiet")) >= 4.5
    assert min(contrast(colours[f"s{number}"], colours["page"]) for number in range(SERIES)) >= 3
    assert len({colours[f"s{number}"] for number in range(SERIES)}) == SERIES


def test_markup() -> None:
    """Values become text, markup stays; attributes are quoted; what is none is left out."""
    assert element("td", "<b>", Markup("<i></i>"), None, 7) == "<td>&lt;b&gt;<i></i>7</td>"
    assert element("a", title='"x"', class_="c", aria_label=None, text_anchor="end") == (
        '<a title="&quot;x&quot;" class="c" text-anchor="end"></a>'
    )
    assert element("meta", charset="utf-8") == '<meta charset="utf-8"/>'
    assert joined("&", element("p")) == "&amp;<p></p>"
    assert text(Markup("&amp;")) == "&amp;"
    assert text("\x00\u202e<") == "\\x00\\u202e&lt;", "XML has no such characters, and a page none that turn it around"
