"""Every Lua script says what it takes and what it gives."""

import re
from pathlib import Path

import pytest
from project_tree import package_of, relative

_SCRIPTS = sorted((package_of("queue") / "scripts").glob("*.lua"))
_CHAPTERS = sorted((package_of("queue") / "scripts" / "chapters").glob("*.lua"))
_VERBS = {"claim", "enqueue", "renew", "settle", "switch"}


def _header(path: Path) -> list[str]:
    lines = path.read_text().splitlines()
    end = next((number for number, line in enumerate(lines) if not line.startswith("--")), len(lines))
    return lines[:end]


@pytest.mark.parametrize("path", _SCRIPTS, ids=relative)
def test_header_is_complete(path: Path) -> None:
    """A script opens with a sentence of what it does, its KEYS, every ARGV it reads and what it returns."""
    header = _header(path)
    assert re.fullmatch(r"-- [A-Z].*[.,:]?", header[0])
    text = "\n".join(header)
    assert re.search(r"^-- KEYS", text, re.MULTILINE)
    assert re.search(r"^-- Returns ", text, re.MULTILINE)
    body = path.read_text().removeprefix(text)
    read = {int(number) for number in re.findall(r"ARGV\[(\d+)\]", body)}
    told = {int(number) for number in re.findall(r"^-- ARGV\[(\d+)\]", text, re.MULTILINE)}
    assert read <= told
    assert told == set(range(1, len(told) + 1))


@pytest.mark.parametrize("path", _SCRIPTS, ids=relative)
def test_name_starts_with_a_verb(path: Path) -> None:
    """A script's file name starts with what it does."""
    assert re.split(r"[_.]", path.name)[0] in _VERBS


@pytest.mark.parametrize("path", _SCRIPTS, ids=relative)
def test_no_scan_of_all_keys(path: Path) -> None:
    """No script lists the whole key space, and none asks a clock other than the server's."""
    text = path.read_text()
    assert not re.search(r"call\(\s*['\"](KEYS|SCAN|FLUSHALL|FLUSHDB)['\"]", text, re.IGNORECASE)
    assert "os.time" not in text
    assert "os.clock" not in text


@pytest.mark.parametrize("path", _CHAPTERS, ids=relative)
def test_chapters_say_whose_they_are(path: Path) -> None:
    """A chapter opens with the scripts that read it, and takes nothing but what they hand to its functions."""
    header = _header(path)
    assert re.fullmatch(r"-- Chapter of (claim|settle|claim and settle): .*", header[0])
    body = path.read_text()
    assert "ARGV" not in body
    assert "KEYS" not in body
    assert "os.time" not in body


def test_the_five_scripts() -> None:
    """There are five scripts, one for each step of a job's life."""
    assert {re.split(r"[_.]", path.name)[0] for path in _SCRIPTS} == _VERBS
