"""Rows as comma-separated values that no spreadsheet takes for a formula.

A spreadsheet runs a cell that begins with one of `= + - @`, or with a full-width one of them; with a tab or a line
break in front it does so too, and some overlook blanks and quotes. Such a text gets an apostrophe in front. The same
holds after every semicolon, tab and line break inside a text: a program that takes these for the separator begins a
cell there. Sources: OWASP, CSV Injection; its Application Security Verification Standard 5, 1.2.10; CWE-1236.

`text_of` takes exactly those apostrophes away. Numbers, moments and flags are ours and stay as they are.
"""

import json
import re
from collections.abc import Sequence
from typing import Any, Final

from .exported_row import Row
from .moment import to_iso
from .semantic_names import Column, Form

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
LINE_END: Final = "\r\n"
"""As RFC 4180 wants it."""

_STARTS: Final = "=+\\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b"
"""What formulas begin with; full-width and small forms too."""
_SEPARATORS: Final = ";\t\r\n"
_OVERLOOKED: Final = r"""(?:(?![\t\r\n])[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2060\ufeff'"`])*"""
"""Blanks, characters without a shape, and quotes."""
_RUN: Final = f"(?:(?<![^{_SEPARATORS}])(?={_OVERLOOKED}[{_STARTS}])|\\A(?={_OVERLOOKED}[\\t\\r\\n]))"
"""The beginning of what would be run: of the text, or of what follows a separator."""
_GUARD: Final = re.compile(_RUN)
_GUARDED: Final = re.compile(f"(?<![^{_SEPARATORS}])'(?={_OVERLOOKED}[{_STARTS}])|\\A'(?={_OVERLOOKED}[\\t\\r\\n])")


def header(columns: Sequence[Column]) -> str:
    """The first line: the names of the columns."""
    return ",".join(column.name for column in columns) + LINE_END


def line(columns: Sequence[Column], row: Row) -> str:
    """A row; a column that it has not stays empty. Texts are quoted, so an empty one is `""` and none is nothing."""
    return ",".join(_cell(column.form, row.get(column.name)) for column in columns) + LINE_END


def guarded(text: str) -> str:
    """A text in which no spreadsheet finds a formula."""
    return _GUARD.sub("'", text)


def text_of(cell: str) -> str:
    """The text a cell was made of: undoes `guarded`."""
    return _GUARDED.sub("", cell)


def _cell(form: Form, value: Any) -> str:
    if value is None:
        return ""
    match form:
        case Form.TEXT:
            text = value
        case Form.INTEGER | Form.NUMBER:
            return repr(value)
        case Form.FLAG:
            return "true" if value else "false"
        case Form.MOMENT:
            return to_iso(value)
        case Form.TEXTS | Form.STEPS | Form.OBJECT:
            text = _encode(value)
    return '"' + guarded(text).replace('"', '""') + '"'
