"""How the demo refuses to start."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from pointsman_console import demo_vendors, main


def _run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["pointsman", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_stand_in_not_installed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without llmock the demo says in one line how to install it, and exits with 2."""

    def find_nothing(name: str, *rest: Any) -> Any:
        return None if name == "llmock" else importlib.util.find_spec(name, *rest)

    monkeypatch.setattr(demo_vendors, "find_spec", find_nothing)
    assert _run(monkeypatch, "demo") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "pip install 'pointsman[demo]'" in said.err


def test_home_with_something_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The demo takes no folder that holds anything, and leaves it as it was."""
    (tmp_path / "ledger.db").write_text("mine")
    assert _run(monkeypatch, "--home", str(tmp_path), "demo") == 2
    assert "not empty" in capsys.readouterr().err
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("ledger.db", "mine")]


def test_home_that_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A home that is a file is refused in one line."""
    (tmp_path / "file").touch()
    assert _run(monkeypatch, "--home", str(tmp_path / "file"), "demo") == 2
    assert capsys.readouterr().err.count("\n") == 1
