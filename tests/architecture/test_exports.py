"""Each package hands on exactly what it says."""

import ast
import importlib

import pytest
from project_tree import ROOMS, package_of


def _initial(room: str) -> ast.Module:
    return ast.parse((package_of(room) / "__init__.py").read_text())


def _written(room: str) -> ast.Module:
    tree = _initial(room)
    if "Placeholder" in (ast.get_docstring(tree) or ""):
        pytest.skip("not written yet")
    return tree


def _exported(tree: ast.Module) -> list[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]:
            names = ast.literal_eval(node.value)
            assert isinstance(names, list)
            return names
    raise AssertionError("no __all__")


def _bound(tree: ast.Module) -> set[str]:
    """Public names an `__init__` brings in or defines."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return {name for name in names if not name.startswith("_")}


@pytest.mark.parametrize("room", ROOMS)
def test_all_is_complete(room: str) -> None:
    """Every public name of a package's `__init__` is in `__all__`, and nothing else is."""
    tree = _written(room)
    assert set(_exported(tree)) == _bound(tree)


@pytest.mark.parametrize("room", ROOMS)
def test_all_is_sorted(room: str) -> None:
    """`__all__` has no name twice and is in the order of its linter: constants, classes, functions."""

    def group(name: str) -> tuple[int, str]:
        return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)

    names = _exported(_written(room))
    assert names == sorted(set(names), key=group)


@pytest.mark.parametrize("room", ROOMS)
def test_every_export_is_there(room: str) -> None:
    """Every name in `__all__` can be imported."""
    names = _exported(_written(room))
    package = importlib.import_module(f"pointsman_{room}")
    assert [name for name in names if not hasattr(package, name)] == []


@pytest.mark.parametrize("room", ROOMS)
def test_package_is_typed(room: str) -> None:
    """Each package carries the marker that lets type checkers use its annotations."""
    assert (package_of(room) / "py.typed").is_file()
