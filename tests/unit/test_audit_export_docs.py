"""docs/exporting.md says what the code does."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from exporting_page import table
from project_tree import ROOT

from pointsman_audit import ExportForm, canonical
from pointsman_audit.export_parquet import ROW_GROUP
from pointsman_audit.semantic_names import NAMES

PAGE = (ROOT / "docs" / "exporting.md").read_text()


def test_names_are_the_codes() -> None:
    """The table of names is what the code exports: `python tests/exporting_page.py` prints it."""
    assert table() in PAGE
    assert PAGE.count("\n| `pointsman.") == table().count("\n| `pointsman.")


def test_words() -> None:
    """The page names the forms, the version of the conventions and the size of a group as the code does."""
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE, re.M)) - {"timestamp"} == {form.value for form in ExportForm}
    assert NAMES.split()[3] in PAGE
    assert f"{ROW_GROUP:,} rows" in PAGE


def chain(count: int) -> list[str]:
    """The lines of a raw export of so many records."""
    lines, last = [], "0" * 64
    for seq in range(1, count + 1):
        lines.append(canonical({"seq": seq, "prev_hash": last, "by": "\u2028 \x85 \r", "kind": "export"}))
        last = hashlib.sha256(lines[-1].encode()).hexdigest()
    return lines


def run_check(folder: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the check as the page prints it."""
    (folder / "chain.jsonl").write_bytes("".join(f"{line}\n" for line in lines).encode())
    monkeypatch.chdir(folder)
    code = re.search(r"```python\n(.*?)```", PAGE, re.S)
    assert code is not None
    exec(compile(code[1].replace('open("chain.jsonl"', 'OPEN("chain.jsonl"'), "page", "exec"), {"OPEN": opened})


def opened(name: str, encoding: str, newline: str) -> list[str]:
    """The lines of a file, which is closed again."""
    with Path(name).open(encoding=encoding, newline=newline) as file:
        return list(file)


def test_the_printed_check_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The check on the page accepts a chain and tells its end, and refuses one that was changed."""
    lines = chain(5)
    run_check(tmp_path, lines, monkeypatch)
    assert capsys.readouterr().out.split() == ["5", hashlib.sha256(lines[-1].encode()).hexdigest()]
    changed = {**json.loads(lines[2]), "by": "somebody else"}
    for broken in ([*lines[:2], canonical(changed), *lines[3:]], lines[1:], [*lines[:2], *lines[3:]]):
        with pytest.raises(AssertionError, match="record"):
            run_check(tmp_path, broken, monkeypatch)
