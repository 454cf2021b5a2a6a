"""The files of the project, for tests that read the project itself."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("routes", "queue", "producer", "worker", "audit", "console")
_LEFT_BEHIND = {"__pycache__", "dist", "htmlcov"}


def project_files(*suffixes: str) -> list[Path]:
    """Files that are, or would be, under version control; of these suffixes if any are given."""
    asked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    # An unpacked archive has no git: then everything that is not a tool's own folder.
    listed = [ROOT / name for name in asked.stdout.split("\0") if name] if not asked.returncode else list(_walk(ROOT))
    return sorted(path for path in listed if path.is_file() and (not suffixes or path.suffix in suffixes))


def package_of(room: str) -> Path:
    """The folder of a room's package."""
    return ROOT / room / f"pointsman_{room}"


def relative(path: Path) -> str:
    """A path as people write it; the name of a parametrised test."""
    return path.relative_to(ROOT).as_posix()


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_dir():
            if path.name not in _LEFT_BEHIND and (not path.name.startswith(".") or path.name == ".ci"):
                yield from _walk(path)
        elif path.suffix != ".pyc":
            yield path
