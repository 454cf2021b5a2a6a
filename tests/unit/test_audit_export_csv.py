"""A CSV gives every text back, and no spreadsheet finds a formula in it."""

import csv
import io
import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pointsman_audit import ListedKind
from pointsman_audit.export_csv import guarded, header, line, text_of
from pointsman_audit.semantic_names import Column, Form, columns

STARTS = "=+-@\uff1d\uff0b\uff0d\uff20"
TEXTS = st.text() | st.text(alphabet="=+-@\uff1d;,\t\r\n '\"`\0a1\u00a0\ufeff\x0b")
COLUMNS = (Column("a", Form.TEXT, "a"), Column("b", Form.TEXT, "b"), Column("n", Form.INTEGER, "n"))


def read(lines: str) -> list[list[str]]:
    """The cells of a CSV, as Python reads it."""
    return list(csv.reader(io.StringIO(lines, newline=""), strict=True))


@given(first=TEXTS, second=TEXTS | st.none(), number=st.integers(-(2**63), 2**63 - 1) | st.none())
@settings(max_examples=500)
@example(first="=cmd|' /C calc'!A0", second="@SUM(1+9)*cmd", number=-5)
@example(first='","=1+1', second="\r\n=1", number=0)
def test_round_trip(first: str, second: str | None, number: int | None) -> None:
    """Every text comes back out of the file as it was; numbers are bare, what is not there is empty."""
    text = header(COLUMNS) + line(COLUMNS, {"a": first, "b": second, "n": number})
    assert text.endswith("\r\n")
    names, cells = read(text)
    assert names == ["a", "b", "n"]
    assert text_of(cells[0]) == first
    assert text_of(cells[1]) == (second or "")
    assert cells[2] == ("" if number is None else str(number))


@given(text=TEXTS)
@settings(max_examples=500)
@example(text="\t=1")
@example(text="\0=1")
@example(text="' =1")
@example(text="a;=1")
@example(text="\n")
def test_no_cell_begins_like_a_formula(text: str) -> None:
    """No cell begins with what a spreadsheet runs; not behind blanks or quotes; not where it splits by semicolons."""
    cell = read(line(COLUMNS, {"a": text}))[0][0]
    assert not cell.startswith((*STARTS, "\t", "\r", "\n"))
    for part in re.split(r"[;\t\r\n]", cell):
        assert not part.strip(' \0\x0b\u00a0\ufeff"`').startswith(tuple(STARTS))


@given(text=TEXTS)
@settings(max_examples=500)
def test_harmless_texts_stay_as_they_are(text: str) -> None:
    """Only apostrophes are added, only in front of what would be run."""
    cell = guarded(text)
    assert len(cell) - len(text) == cell.count("'") - text.count("'")
    if not any(start in text for start in (*STARTS, "\ufe66", "\ufe62", "\ufe63", "\ufe6b", "\t", "\r", "\n")):
        assert cell == text


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@x", "'@x"),
        ("\uff1d1", "'\uff1d1"),
        ("\ufe661", "'\ufe661"),
        ("  =1", "'  =1"),
        ('"=1', "'\"=1"),
        ("'=1", "''=1"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("\nx", "'\nx"),
        ("\0=1", "'\0=1"),
        ("a;-1", "a;'-1"),
        ("a\n=1", "a\n'=1"),
        ("gpt-5-mini", "gpt-5-mini"),
        ("a=b", "a=b"),
        ("'tis", "'tis"),
        ("", ""),
        ('[{"reason":"-"}]', '[{"reason":"-"}]'),
    ],
)
def test_apostrophes(text: str, cell: str) -> None:
    """These texts get these apostrophes, and lose them again."""
    assert guarded(text) == cell
    assert text_of(cell) == text


@pytest.mark.parametrize("unit", ["\x0b", ";", "' ", "\t'", '"', "=", "\x1c\x85"])
def test_no_text_takes_long(unit: str) -> None:
    """A long text of whatever is skipped over is read once, not once for each way to skip it."""
    text = unit * 50_000 + "x"
    assert text_of(guarded(text)) == text


@pytest.mark.parametrize(
    ("form", "value", "cell"),
    [
        (Form.TEXT, 'say "no"', '"say ""no"""'),
        (Form.TEXT, "", '""'),
        (Form.TEXT, None, ""),
        (Form.INTEGER, -13, "-13"),
        (Form.NUMBER, 1.5, "1.5"),
        (Form.FLAG, True, "true"),
        (Form.FLAG, False, "false"),
        (Form.MOMENT, 1_767_268_800_000_001, "2026-01-01T12:00:00.000001Z"),
        (Form.MOMENT, 0, "1970-01-01T00:00:00.000000Z"),
        (Form.TEXTS, ["stop"], '"[""stop""]"'),
        (Form.STEPS, [{"tier": "a/b", "reason": "ok"}], '"[{""tier"":""a/b"",""reason"":""ok""}]"'),
        (Form.OBJECT, {"x": "\u00e9"}, '"{""x"":""\u00e9""}"'),
    ],
)
def test_cells(form: Form, value: Any, cell: str) -> None:
    """Each form is written so; an empty text is not nothing."""
    assert line((Column("c", form, "c"),), {"c": value}) == f"{cell}\r\n"


@pytest.mark.parametrize("kind", list(ListedKind))
def test_headers_need_no_quotes(kind: ListedKind) -> None:
    """Names of columns are plain words with dots."""
    names = header(columns(kind)).removesuffix("\r\n").split(",")
    assert names == [column.name for column in columns(kind)]
    assert all(re.fullmatch(r"[a-z][a-z0-9_.]*", name) for name in names)
