"""In which form records are taken out, and the writing of each."""

from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from pathlib import Path

from pointsman_routes import RecordKind

from . import export_csv, export_jsonl
from .export import Export, rows, texts
from .export_parquet import ParquetFile
from .exported_row import Row
from .ledger import Ledger
from .record_filter import ListedKind
from .semantic_names import KIND, Column, columns, columns_of

Written = Callable[[int], object]
"""Is told of each page how many records were in it."""
Write = Callable[[bytes], object]
TextWriter = Callable[[Ledger, Export, Write, Written], Awaitable[None]]


class ExportForm(StrEnum):
    """A form that records are exported in."""

    CSV = "csv"
    """Comma-separated values, for spreadsheets."""
    JSONL = "jsonl"
    """A JSON object a line."""
    PARQUET = "parquet"
    """Typed columns, for DuckDB, pandas and their like."""


async def write_csv(ledger: Ledger, export: Export, write: Write, written: Written) -> None:
    """Write an export as comma-separated values in UTF-8, the columns' names first."""
    named = columns(export.wanted.kind)
    write(export_csv.header(named).encode())
    async for page in rows(ledger, export):
        write("".join(export_csv.line(named, row) for row in page).encode())
        written(len(page))


async def write_jsonl(ledger: Ledger, export: Export, write: Write, written: Written) -> None:
    """Write an export as JSON lines; of all kinds together, each with the columns of its own."""
    kind = export.wanted.kind
    async for page in rows(ledger, export):
        write("".join(export_jsonl.line(_columns(kind, row), row) for row in page).encode())
        written(len(page))


async def write_raw(ledger: Ledger, export: Export, write: Write, written: Written) -> None:
    """Write the texts of the records, which are what is hashed, one a line in the order of the chain."""
    async for page in texts(ledger, export):
        write("".join(f"{text}\n" for text in page).encode())
        written(len(page))


async def write_parquet(ledger: Ledger, export: Export, path: Path, written: Written) -> None:
    """Write an export into a Parquet file, over what is there.

    Raises:
        UsageProblem: if pyarrow is not installed.
    """
    file = ParquetFile(path, columns(export.wanted.kind), export.metadata)
    try:
        async for page in rows(ledger, export):
            file.write(page)
            written(len(page))
    finally:
        file.close()


def _columns(kind: ListedKind, row: Row) -> Sequence[Column]:
    return columns_of(RecordKind(row[KIND])) if kind is ListedKind.ANY else columns(kind)
