"""A file that is there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from pointsman_routes import UsageProblem

_LONGEST_NAME = 100
"""Characters of the file's own name in the draft's, which has to fit into a folder too."""


def see_to(option: str, path: Path, *, force: bool) -> None:
    """Find out before the work is done whether its result will have a place.

    Args:
        option: on the command line, for the message.
        path: where the file is to be.
        force: whether one that is there may be replaced.

    Raises:
        UsageProblem: if not.
    """
    if path.is_dir():
        raise UsageProblem(f"{option}: {path} is a folder; name a file in it")
    if path.exists() and not force:
        raise UsageProblem(f"{option}: {path} is there already; name another file, or replace it with --force")
    if not path.absolute().parent.is_dir():
        raise UsageProblem(f"{option}: there is no folder {path.absolute().parent}; make it, or name another file")


@contextmanager
def new_file(option: str, path: Path, *, force: bool) -> Iterator[Path]:
    """A draft beside the file, to be written inside; at the end it takes the file's name, on any error it is removed.

    Weakness: a process that is killed leaves its draft, `.NAME.xxxxxxxx.partial`.

    Raises:
        UsageProblem: if it cannot be written, or the file has come to be there meanwhile.
    """
    see_to(option, path, force=force)
    draft = path.with_name(f".{path.name[:_LONGEST_NAME]}.{uuid4().hex[:8]}.partial")
    try:
        with _told(option, path):
            yield draft
            see_to(option, path, force=force)
            draft.replace(path)
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file is on the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextmanager
def _told(option: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageProblem(f"{option}: {path} cannot be written: {error.strerror}; name another file") from None
