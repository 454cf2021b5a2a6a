"""Standard output holds what was asked for; everything said about it goes to standard error."""

import json
import os
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from itertools import zip_longest
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from pointsman_routes import UsageProblem

from .printable import json_printable, printable

_WIDE = 1_000_000
"""Columns of a file or a pipe: it has no width, and folding there would only break rows."""

# A stream that was closed before we began is none; what would be opened next, such as a ledger, would get its number.
if sys.stdout is None:
    sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 to be open as long as we run
if sys.stderr is None:
    sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 as above

if isinstance(sys.stdout, TextIOWrapper):
    # Where the locale has no such character, it is escaped. Standard error does so by itself.
    sys.stdout.reconfigure(errors="backslashreplace")

# Without emoji: `:smile:` in a name is no picture.
out = Console(highlight=False, emoji=False, soft_wrap=True, width=None if sys.stdout.isatty() else 1000)
err = Console(highlight=False, emoji=False, soft_wrap=True, stderr=True)


def line(value: Mapping[str, Any]) -> None:
    """One object on one line of standard output; in it nothing can steer a terminal or end the line."""
    narrow = (sys.stdout.encoding or "utf-8").lower() not in ("utf-8", "utf8")
    text = json.dumps(value, ensure_ascii=narrow, separators=(",", ":"), default=str)
    with _written():
        sys.stdout.write(json_printable(text) + "\n")


def tell(text: str) -> None:
    """Text on standard output: nothing in it is markup, and nothing but line feeds steers a terminal."""
    with _written():
        out.print(_harmless(text), markup=False)


def tell_json(value: Any) -> None:
    """JSON in as many lines as people like to read it in."""
    tell("\n".join(json_printable(part) for part in json.dumps(value, indent=2, ensure_ascii=False).split("\n")))


def verbatim(text: str) -> None:
    """Text on standard output to its last byte, whatever it does to a terminal: such as what a digest is of."""
    with _written():
        sys.stdout.write(text + "\n")


def say(text: str) -> None:
    """A remark for the person at the terminal."""
    err.print(_harmless(text), markup=False)


def flush() -> None:
    """Have what was printed arrive.

    Raises:
        BrokenPipeError: nobody reads it any more.
        UsageProblem: it cannot be written.
    """
    with _written():
        sys.stdout.flush()


def give_up() -> None:
    """Drop what could not be printed: Python would try it again, and complain, when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def table(
    columns: Iterable[str],
    rows: Iterable[Iterable[object]],
    *,
    title: str | None = None,
    whole: Collection[str] = (),
    right: Collection[str] = (),
) -> None:
    """A table on standard output.

    A cell or heading may have several lines; in a pipe they are one, so that a row stays a line. Other characters
    that would steer a terminal are escaped; a cell that strangers wrote is made `printable` before, so that it has one
    line. On a terminal too
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
    lines = [["-" if cell is None else _harmless(str(cell)) for cell in row] for row in (headings, *rows)]
    if not out.is_terminal:
        lines = [[(", " if number else " ").join(cell.split("\n")) for cell in row] for number, row in enumerate(lines)]
    room = out.width if out.is_terminal else _WIDE
    # Two columns apart where there is room for it.
    for gap in ("  ", " "):
        left = room - len(gap) * (len(headings) - 1)
        widths, folds = column_widths(lines, [name in whole for name in headings], left)
        if not folds:
            break
    with _written():
        if title is not None:
            out.print(Text(printable(title), style="italic"))
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


@contextmanager
def _written() -> Iterator[None]:
    """Raises: UsageProblem: standard output cannot be written."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        give_up()
        raise UsageProblem(f"standard output cannot be written: {error.strerror}; send it somewhere else") from None


def _harmless(text: str) -> str:
    return "\n".join(printable(part) for part in text.split("\n"))


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
