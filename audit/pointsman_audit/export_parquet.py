"""Rows as a Parquet file: typed columns, in groups, with what the file is from in its metadata.

Needs pyarrow, which the extra `parquet` installs. A path is a list of structs and a list of reasons a list of texts;
whatever else is nested is JSON text.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from pointsman_routes import UsageProblem

from .exported_row import Row
from .semantic_names import Column, Form

ROW_GROUP: Final = 50_000
"""Rows of a group; so many are in memory, in columns, before they are written."""


class ParquetFile:
    """A Parquet file that is being written. It is none before `close`."""

    def __init__(self, path: Path, columns: Sequence[Column], metadata: Mapping[str, str]) -> None:
        """Begin one.

        Args:
            path: where; what is there is written over.
            columns: of the rows.
            metadata: what the file says of itself.

        Raises:
            UsageProblem: if pyarrow is not installed.
        """
        arrow, parquet = _libraries()
        self._arrow = arrow
        self._columns = columns
        self._schema = arrow.schema(
            [arrow.field(column.name, _type(arrow, column.form)) for column in columns], metadata=dict(metadata)
        )
        self._writer = parquet.ParquetWriter(path, self._schema, compression="zstd")
        self._waiting: list[Any] = []
        self._rows = 0

    def write(self, rows: Sequence[Row]) -> None:
        """Add some rows."""
        values = [
            self._arrow.array([_value(column.form, row.get(column.name)) for row in rows], type=field.type)
            for column, field in zip(self._columns, self._schema, strict=True)
        ]
        self._waiting.append(self._arrow.record_batch(values, schema=self._schema))
        self._rows += len(rows)
        if self._rows >= ROW_GROUP:
            self._flush()

    def close(self) -> None:
        """Write what is left, and the end that makes it a Parquet file."""
        if self._rows:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        table = self._arrow.Table.from_batches(self._waiting, schema=self._schema)
        self._writer.write_table(table, row_group_size=self._rows)
        self._waiting, self._rows = [], 0


def _libraries() -> tuple[ModuleType, ModuleType]:
    """The two parts of pyarrow that are needed.

    Raises:
        UsageProblem: if it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UsageProblem("Parquet needs pyarrow; install it: pip install 'pointsman[parquet]'") from None
    return pyarrow, pyarrow.parquet


def _type(arrow: ModuleType, form: Form) -> Any:
    match form:
        case Form.TEXT | Form.OBJECT:
            return arrow.string()
        case Form.INTEGER:
            return arrow.int64()
        case Form.NUMBER:
            return arrow.float64()
        case Form.FLAG:
            return arrow.bool_()
        case Form.MOMENT:
            return arrow.timestamp("us", tz="UTC")
        case Form.TEXTS:
            return arrow.list_(arrow.string())
        case Form.STEPS:
            return arrow.list_(arrow.struct({"tier": arrow.string(), "reason": arrow.string()}))


def _value(form: Form, value: Any) -> Any:
    if form is Form.OBJECT and value is not None:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return value
