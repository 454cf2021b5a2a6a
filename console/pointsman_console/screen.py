"""Standard output holds what was asked for; everything said about it goes to standard error."""

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

# A pipe has no width: tables written to one are not folded.
_WIDE = 1_000
"""Columns of a table that goes to a file or a pipe, where folding would only break words."""

out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 1000)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def line(value: Mapping[str, Any]) -> None:
    """One object on one line of standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str) + "\n")


def say(text: str) -> None:
    """A remark for the person at the terminal."""
    err.print(text, markup=False)


def table(columns: Iterable[str], rows: Iterable[Iterable[object]], *, title: str | None = None) -> None:
    """A table on standard output."""
    drawn = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*("-" if cell is None else _plain(cell) for cell in row))
    out.print(drawn, width=None if out.is_terminal else _WIDE)


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
    )


def _plain(cell: object) -> str:
    # Square brackets in data are not markup.
    return str(cell).replace("[", r"\[")
