"""Charts: where their bars are, and that these are as long as their figures."""

from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from pointsman_console.bar_chart import WIDTH, Chart, draw_lying, draw_stacked, lying_bars, scale, stacked_bars

CHART = Chart(key="k", title="t", description="d", words=str)


def said(node: ET.Element) -> str:
    """All text in an element."""
    return "".join(node.itertext())


def test_columns_are_as_high_as_their_figures() -> None:
    """Parts of a column stand on each other in the order of the series, each as high as its figure; days are apart."""
    columns = [("01", [10, 30, 0]), ("02", [0, 0, 0]), ("03", [0, 5, 15])]
    bars = stacked_bars(columns, ["a", "b", "c"], str)
    assert [(bar.series, bar.title) for bar in bars] == [
        (0, "01, a: 10"),
        (1, "01, b: 30"),
        (1, "03, b: 5"),
        (2, "03, c: 15"),
    ]
    unit = bars[0].height / 10
    assert [bar.height / unit for bar in bars] == pytest.approx([10, 30, 5, 15])
    assert bars[1].y + bars[1].height == pytest.approx(bars[0].y)
    assert bars[3].y + bars[3].height == pytest.approx(bars[2].y)
    assert bars[0].y + bars[0].height == pytest.approx(bars[2].y + bars[2].height), "one ground"
    assert bars[0].x == bars[1].x
    assert bars[0].x + bars[0].width < bars[2].x
    assert bars[1].y >= 12, "the highest is below the top"


def test_lines_across_fit_the_columns() -> None:
    """A line of the scale is as high as a column of its figure."""
    image = ET.fromstring(str(draw_stacked(CHART, [("01", [40]), ("02", [20])], ["a"])))
    lines = {
        said(label): float(line.get("y1") or "")
        for line, label in zip(image.iter("line"), image.iter("text"), strict=False)
    }
    tops = [float(rect.get("y") or "") for rect in image.iter("rect")]
    assert tops == pytest.approx([lines["40"], lines["20"]], abs=0.11)


def test_lying_bars_are_as_long_as_their_figures() -> None:
    """Rows lie one below the other, the longest over all the room; behind each is its figure."""
    bars = lying_bars([("a", 100), ("b", 25), ("c", 0)], str)
    assert [bar.width / bars[0].width for bar in bars] == pytest.approx([1, 0.25, 0])
    assert all(above.y + above.height < below.y for above, below in pairwise(bars))
    image = ET.fromstring(str(draw_lying(CHART, [("n" * 40, 7), ("b", 3)])))
    assert [said(node) for node in image.iter("text")] == ["n" * 29 + "\N{HORIZONTAL ELLIPSIS}", "7", "b", "3"]
    assert said(next(image.iter("rect"))) == "n" * 40 + ": 7", "the whole name is there for who points at it"
    assert image.get("viewBox") == f"0 0 {WIDTH} 52"


@pytest.mark.parametrize(
    ("highest", "lines"),
    [
        (0, [0, 1]),
        (1, [0, 1]),
        (4, [0, 1, 2, 3, 4]),
        (5, [0, 2, 4, 6]),
        (37_397_379, [0, 10_000_000, 20_000_000, 30_000_000, 40_000_000]),
        (10**12, [0, 5 * 10**11, 10**12]),
    ],
)
def test_scale(highest: int, lines: list[int]) -> None:
    """The scale has few even steps of 1, 2 or 5 times a power of ten, and reaches the highest figure."""
    assert scale(highest) == lines
