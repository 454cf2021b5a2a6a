"""What is printed: names stay names, whoever wrote them."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pointsman_console import screen
from pointsman_console.printable import json_printable
from pointsman_routes import UsageProblem

NASTY = "a\x1b[31m\x9b2J\u202e\u2028\r\n\t:smile: [bold] \ud800 \U000e0001 Grüße 漢字"


def _shapeless(text: str) -> list[str]:
    return [character for character in text if not character.isprintable() and character != "\n"]


def test_json_steers_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """An object is one line in which no character steers a terminal, and a program reads the very names out of it."""
    screen.line({"name": NASTY, NASTY: None})
    written = capsys.readouterr().out
    assert written.splitlines() == [written.removesuffix("\n")]
    assert _shapeless(written) == []
    assert json.loads(written) == {"name": NASTY, NASTY: None}
    assert "Grüße 漢字" in written


def test_printable_json_is_left_alone() -> None:
    """JSON that has nothing dangerous in it is as it was, its escapes too."""
    text = json.dumps({"name": '\x1b \\ " Grüße'}, ensure_ascii=False)
    assert json_printable(text) == text


def test_json_to_read(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON in several lines steers nothing either, and is the same JSON."""
    screen.tell_json({"names": [NASTY]})
    written = capsys.readouterr().out
    assert _shapeless(written) == []
    assert json.loads(written) == {"names": [NASTY]}
    assert len(written.splitlines()) == 5


def test_text_steers_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """What is told or said has its line feeds; nothing else in it steers a terminal, is a picture or markup."""
    screen.tell(f"{NASTY}\nsecond")
    screen.say(f"{NASTY}\nsecond")
    for written in capsys.readouterr():
        assert _shapeless(written) == []
        assert ":smile: [bold]" in written
        assert written.endswith("\nsecond\n")


def test_tables_steer_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Cells, headings and titles of a table steer no terminal, and in a pipe a row is a line."""
    screen.table((NASTY, "b"), [(NASTY, 1)], title=NASTY)
    written = capsys.readouterr().out
    assert _shapeless(written) == []
    assert len(written.splitlines()) == 3
    assert written.count(":smile: [bold]") == 3


def test_full_disk() -> None:
    """Standard output that cannot be written is told in a line with a remedy."""

    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    full = Full()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(screen, "give_up", lambda: None)
        patch.setattr(sys, "stdout", full)
        with pytest.raises(UsageProblem, match=r"^standard output cannot be written: No space left on device; send"):
            screen.line({})


def _run(tmp_path: Path, script: str) -> subprocess.CompletedProcess[str]:
    """A shell with `pointsman` as a function."""
    command = f'pointsman() {{ "{sys.executable}" -m pointsman_console "$@"; }}\n'
    return subprocess.run(
        ["bash", "-c", command + script],
        cwd=tmp_path,
        env={**os.environ, "POINTSMAN_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        ("pointsman routes schema > /dev/full", 2, "pointsman: standard output cannot be written"),
        ("pointsman routes schema | head -c 1 > /dev/null; exit ${PIPESTATUS[0]}", 0, ""),
        ("pointsman routes schema | true; exit ${PIPESTATUS[0]}", 0, ""),
        ("pointsman routes schema >&-", 0, ""),
        ("pointsman audit list 2>&-", 3, ""),
        ("pointsman audit list --outcome okk", 2, "See `pointsman audit list --help`."),
        ("pointsman audit lsit", 2, "See `pointsman audit --help`."),
    ],
)
def test_streams_that_end(script: str, code: int, said: str, tmp_path: Path) -> None:
    """A reader that has had enough, a full disk, a closed stream and a mistyped word never come to a traceback."""
    done = _run(tmp_path, script)
    assert (done.returncode, len(done.stderr.splitlines())) == (code, 1 if said else 0)
    assert said in done.stderr


@pytest.mark.parametrize(
    ("call", "shown"),
    [("line({'name': 'Grüße'})", r'{"name":"Gr\u00fc\u00dfe"}'), ("tell('Grüße')", r"Gr\xfc\xdfe")],
)
def test_narrow_locale(call: str, shown: str, tmp_path: Path) -> None:
    """Where standard output has no such character it is escaped, in JSON as JSON does."""
    done = subprocess.run(
        [sys.executable, "-c", f"from pointsman_console import screen; screen.{call}"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == (shown + "\n", "")
