"""Imports point one way."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from project_tree import ROOMS, ROOT, package_of, relative

_MODULES = [path for room in ROOMS for path in sorted(package_of(room).rglob("*.py"))]


def test_contracts_hold() -> None:
    """The import contracts of pyproject.toml are kept: rooms depend downwards only, and routes does no I/O."""
    linter = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "0 broken" in run.stdout


@pytest.mark.parametrize("path", _MODULES, ids=relative)
def test_relative_inside_absolute_between(path: Path) -> None:
    """A folder's modules import each other relatively, and other rooms by their package name only."""
    own, *_ = parts = path.relative_to(ROOT).parts[1:-1]
    folder = ".".join(parts)
    offences = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            package, _, inner = node.module.partition(".")
            beside = f"{node.module}.".startswith(f"{folder}.")
            into = package.startswith("pointsman_") and package != own and inner
            offences += [f"line {node.lineno}: from {node.module}"] if beside or into else []
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.startswith("pointsman_")]
            offences += [f"line {node.lineno}: import {name}" for name in names]
    assert offences == []
