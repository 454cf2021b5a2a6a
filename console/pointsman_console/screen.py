"""Standard output holds what was asked for; everything said about it goes to standard error."""

import json
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

_WIDE = 1_000_000
"""Columns of a file or a pipe: it has no width, and folding there would only break rows."""

out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 1000)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def line(value: Mapping[str, Any]) -> None:
    """One object on one line of standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str) + "\n")


def say(text: str) -> None:
    """A remark for the person at the terminal."""
    err.print(text, markup=False)


def table(
    columns: Iterable[str],
    rows: Iterable[Iterable[object]],
    *,
    title: str | None = None,
    whole: Collection[str] = (),
    right: Collection[str] = (),
) -> None:
    """A table on standard output.

    A cell or heading may have several lines; in a pipe they are one, so that a row stays a line. On a terminal too
    narrow for all of it, columns are folded between words, the widest first. No word is ever broken: what still does
    not fit is left to the terminal to wrap.

    Args:
        columns: headings.
        rows: cells; None is shown as a dash.
        title: above the table.
        whole: columns that are not folded between words either, by their headings: names.
        right: columns that are aligned at the right: figures.
    """
    headings = list(columns)
    lines = [[*headings], *(["-" if cell is None else str(cell) for cell in row] for row in rows)]
    if not out.is_terminal:
        lines = [[(", " if number else " ").join(cell.split("\n")) for cell in row] for number, row in enumerate(lines)]
    room = out.width if out.is_terminal else _WIDE
    # Two columns apart where there is room for it.
    for gap in ("  ", " "):
        left = room - len(gap) * (len(headings) - 1)
        widths, folds = column_widths(lines, [name in whole for name in headings], left)
        if not folds:
            break
    if title is not None:
        out.print(Text(title, style="italic"))
    for number, row in enumerate(lines):
        folded = [_folded(cell, width) for cell, width in zip(row, widths, strict=True)]
        for parts in zip_longest(*folded, fillvalue=""):
            cells = zip(parts, widths, (name in right for name in headings), strict=True)
            shown = gap.join(_aligned(part, width, at_right=at_right) for part, width, at_right in cells)
            # Text, not a string: square brackets in data are not markup.
            out.print(Text(shown.rstrip(), style="" if number else "bold"))


def column_widths(rows: Sequence[Sequence[str]], whole: Sequence[bool], room: int) -> tuple[list[int], bool]:
    """Widths of a table's columns.

    Args:
        rows: the heading's and all others' cells.
        whole: of each column whether its lines stay in one piece.
        room: columns there are for all of them together.

    Returns:
        As wide as the longest line where there is room; otherwise narrower, but never than the longest word. And
        whether any is narrower.
    """
    columns = list(zip(*rows, strict=True))
    widths = [max(cell_len(text) for cell in cells for text in cell.split("\n")) for cells in columns]
    least = [
        width if kept else max(cell_len(word) for cell in cells for word in (*cell.split(), ""))
        for cells, width, kept in zip(columns, widths, whole, strict=True)
    ]
    excess = sum(widths) - room
    folds = excess > 0
    while excess > 0:
        widest = max(range(len(widths)), key=lambda index: (widths[index] > least[index], widths[index]))
        if widths[widest] <= least[widest]:
            break
        widths[widest] -= 1
        excess -= 1
    return widths, folds


def progress_bar() -> Progress:
    """A bar on standard error; where that is no terminal, nothing is drawn."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
        disable=not err.is_terminal,
        transient=True,
        # Otherwise what was asked for, on its way into a file, would come out above the bar.
        redirect_stdout=out.is_terminal,
    )


def _folded(cell: str, width: int) -> list[str]:
    """A cell's lines, folded between words."""
    lines = []
    for text in cell.split("\n"):
        if cell_len(text) <= width:
            lines.append(text)
            continue
        line = ""
        for word in text.split():
            longer = f"{line} {word}" if line else word
            if line and cell_len(longer) > width:
                lines.append(line)
                longer = word
            line = longer
        lines.append(line)
    return lines


def _aligned(text: str, width: int, *, at_right: bool) -> str:
    blank = " " * (width - cell_len(text))
    return blank + text if at_right else text + blank
