"""What holds for every file: its size, its name, what it must not mention."""

import ast
from pathlib import Path

import pytest
from project_tree import ROOT, project_files, relative

_LONGEST = 400
_NAMELESS = {"utils", "util", "common", "helpers", "misc", "models", "types"}
_UNSAFE = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve"}
_REGISTRIES = ("pypi.org", "pythonhosted.org", "pypi.python.org", "registry.npmjs.org", "index.crates.io")
_SOMEBODYS_FOLDERS = ("/work/", "/root/", "/home/", "/Users/")

_PYTHON = project_files(".py")


@pytest.mark.parametrize("path", _PYTHON, ids=relative)
def test_file_is_short(path: Path) -> None:
    """No Python file has more than 400 lines; one that wants more is two."""
    assert len(path.read_text().splitlines()) <= _LONGEST


def test_names_say_something() -> None:
    """No file or folder is called utils, common, helpers, misc, models or types."""
    nameless = [
        relative(path)
        for path in project_files()
        if _NAMELESS & {part.partition(".")[0] for part in path.relative_to(ROOT).parts}
    ]
    assert nameless == []


@pytest.mark.parametrize("path", _PYTHON, ids=relative)
def test_no_unsafe_serializer(path: Path) -> None:
    """No file imports pickle or its like: what is read from Redis is data, never code."""
    imported: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imported.add(node.module.partition(".")[0])
    assert not imported & _UNSAFE


@pytest.mark.parametrize("path", [path for path in project_files() if path != Path(__file__).resolve()], ids=relative)
def test_names_no_registry_and_no_machine(path: Path) -> None:
    """No file names a package registry's host or somebody's folder: the project installs and runs anywhere."""
    text = path.read_text(errors="replace")
    assert [word for word in (*_REGISTRIES, *_SOMEBODYS_FOLDERS) if word in text] == []


@pytest.mark.parametrize("name", ["build.txt", "dev.txt", "runtime.txt"])
def test_lock_is_hashed_and_placeless(name: str) -> None:
    """Every locked requirement is pinned, carries a hash, and no line says where it is from."""
    text = (ROOT / "requirements" / name).read_text()
    entries = [entry for entry in text.replace("\\\n", " ").splitlines() if entry.strip()]
    assert entries
    assert [entry.split()[0] for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []
    assert "://" not in text
    assert "#" not in text


def test_locks_agree() -> None:
    """What is tested is what is shipped: the runtime lock is a part of the development lock."""
    runtime = (ROOT / "requirements" / "runtime.txt").read_text().splitlines()
    dev = (ROOT / "requirements" / "dev.txt").read_text().splitlines()
    pinned = {line.partition(" ")[0] for line in runtime if "==" in line}
    assert pinned <= {line.partition(" ")[0] for line in dev}
