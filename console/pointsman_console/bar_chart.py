"""Bar charts in SVG: where each bar is, and the drawing. Pure; figures are whole numbers, never below zero.

A bar is as long as its figure says, to the tenth of a pixel, beginning at zero; nothing is cut or rounded up, so what
is very small may not be seen: the tables beside the charts have it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from .markup import Markup, element
from .page_style import DAY

WIDTH: Final = 720
_HEIGHT: Final = 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 8, 12, 28
_GAP: Final = 0.25
"""The share of a column's room that is left free."""
_ROW, _NAMES, _FIGURES = 26, 230, 100
_LONGEST: Final = 30
"""Characters of a name beside a bar."""
_MANY: Final = 12
"""With more columns only every fifth is named."""
_STEPS: Final = 4
"""So many lines across at most."""

Words = Callable[[int], str]


class Bar(NamedTuple):
    """A rectangle of a chart."""

    x: float
    y: float
    width: float
    height: float
    series: int
    """Which colour."""
    title: str
    """What it stands for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """What a chart is called, for those who hear it and those who point at it."""

    key: str
    """Distinguishes it from the others of a page."""
    title: str
    description: str
    words: Words
    """A figure in words."""


def stacked_bars(columns: Sequence[tuple[str, Sequence[int]]], series: Sequence[str], words: Words) -> list[Bar]:
    """Where the parts of columns stand, one on the other from below.

    Args:
        columns: each with its name and a figure for every series.
        series: their names.
        words: a figure in words.
    """
    highest = scale(max((sum(figures) for _, figures in columns), default=0))[-1]
    room = (WIDTH - _LEFT - _RIGHT) / max(len(columns), 1)
    bars = []
    for number, (name, figures) in enumerate(columns):
        base = 0
        for place, figure in enumerate(figures):
            if figure <= 0:
                continue
            height, top = _length(figure, highest), _length(base + figure, highest)
            title = f"{name}, {series[place]}: {words(figure)}"
            x = _LEFT + room * (number + _GAP / 2)
            bars.append(Bar(x, _HEIGHT - _BOTTOM - top, room * (1 - _GAP), height, place, title))
            base += figure
    return bars


def lying_bars(rows: Sequence[tuple[str, int]], words: Words) -> list[Bar]:
    """Where the bars of rows lie, one below the other; the longest takes all the room there is."""
    longest = max((figure for _, figure in rows), default=0) or 1
    room = WIDTH - _NAMES - _FIGURES
    return [
        Bar(_NAMES, _ROW * number + 4, room * max(figure, 0) / longest, _ROW - 8, 0, f"{name}: {words(figure)}")
        for number, (name, figure) in enumerate(rows)
    ]


def scale(highest: int) -> list[int]:
    """Where lines go across: from zero in even steps of 1, 2 or 5 times a power of ten, up to the highest or above."""
    if highest <= 0:
        return [0, 1]
    power = 1
    while 5 * power * _STEPS < highest:
        power *= 10
    step = next(factor * power for factor in (1, 2, 5) if factor * power * _STEPS >= highest)
    return [step * number for number in range(-(-highest // step) + 1)]


def draw_stacked(chart: Chart, columns: Sequence[tuple[str, Sequence[int]]], series: Sequence[str]) -> Markup:
    """A chart of stacked columns with lines across; the legend is `legend`."""
    lines = scale(max((sum(figures) for _, figures in columns), default=0))
    bars = stacked_bars(columns, series, chart.words)
    return _svg(chart, _HEIGHT, *_across(lines, chart.words), *map(_drawn, bars), *_below(columns))


def draw_lying(chart: Chart, rows: Sequence[tuple[str, int]]) -> Markup:
    """A chart of lying bars, each with its name at the left and its figure behind it."""
    bars = lying_bars(rows, chart.words)
    written = (
        (
            element("text", _shortened(name), x=_NAMES - 8, y=_px(bar.y + 13), text_anchor="end"),
            _drawn(bar),
            element("text", chart.words(figure), x=_px(bar.x + bar.width + 6), y=_px(bar.y + 13)),
        )
        for bar, (name, figure) in zip(bars, rows, strict=True)
    )
    return _svg(chart, _ROW * len(rows), *(part for parts in written for part in parts))


def legend(series: Sequence[str]) -> Markup:
    """Which colour is which series."""
    entries = (
        element("li", element("span", class_=f"swatch s{number}"), " ", name) for number, name in enumerate(series)
    )
    return element("ul", *entries, class_="legend")


def _svg(chart: Chart, height: int, *parts: Markup) -> Markup:
    title, description = f"{chart.key}-title", f"{chart.key}-description"
    return element(
        "svg",
        element("title", chart.title, id=title),
        element("desc", chart.description, id=description),
        *parts,
        viewBox=f"0 0 {WIDTH} {height}",
        role="img",
        font_size=12,
        aria_labelledby=f"{title} {description}",
    )


def _across(lines: Sequence[int], words: Words) -> Iterator[Markup]:
    for line in lines:
        y = _px(_HEIGHT - _BOTTOM - _length(line, lines[-1]))
        yield element("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y, stroke=DAY["line"], class_="grid")
        yield element("text", words(line), x=_LEFT - 6, y=_px(float(y) + 4), text_anchor="end")


def _below(columns: Sequence[tuple[str, object]]) -> Iterator[Markup]:
    room = (WIDTH - _LEFT - _RIGHT) / max(len(columns), 1)
    every = 5 if len(columns) > _MANY else 1
    for number, (name, _) in enumerate(columns):
        if (number + 1) % every == 0 or number == 0:
            middle = _px(_LEFT + room * (number + 0.5))
            yield element("text", name, x=middle, y=_HEIGHT - 9, text_anchor="middle")


def _drawn(bar: Bar) -> Markup:
    return element(
        "rect",
        element("title", bar.title),
        x=_px(bar.x),
        y=_px(bar.y),
        width=_px(bar.width),
        height=_px(bar.height),
        # Where there is no style sheet; by night and on paper the page's own colours go before it.
        fill=DAY[f"s{bar.series}"],
        class_=f"bar s{bar.series}",
    )


def _length(figure: int, highest: int) -> float:
    return (_HEIGHT - _TOP - _BOTTOM) * figure / highest


def _px(value: float) -> str:
    return f"{value:.1f}"


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"
