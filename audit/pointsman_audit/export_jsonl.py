"""Rows as JSON lines."""

import json
from collections.abc import Sequence
from typing import Any

from .exported_row import Row
from .moment import to_iso
from .semantic_names import Column, Form

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def line(columns: Sequence[Column], row: Row) -> str:
    """A row as an object with these columns, in order; what the record has not is null."""
    named = {column.name: _value(column.form, row.get(column.name)) for column in columns}
    return _encode(named) + "\n"


def _value(form: Form, value: Any) -> Any:
    return to_iso(value) if form is Form.MOMENT and value is not None else value
