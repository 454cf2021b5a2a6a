"""The source of a job file: its bytes, read as often as needed, a block at a time."""

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Self

from .errors import FileChanged, FileUnreadable

BLOCK_BYTES = 1024 * 1024
STANDARD_INPUT = "-"


class Source:
    """A file opened once and read from its start as often as asked.

    Opened once, so replacing the file under its name changes nothing; writing into it is noticed by its size and
    time of change, which are looked at with every block.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        """Take an open, regular file.

        Args:
            file: unbuffered or not; it is read by position, and left where it is.
            name: for messages.
        """
        self.name = name
        self._descriptor = file.fileno()
        self._stamp = self._look()

    @classmethod
    @contextmanager
    def open(cls, path: Path | str) -> Iterator[Self]:
        """Open a file; `-` is standard input. What can be read only once goes to a temporary file first.

        Raises:
            FileUnreadable: it cannot be opened.
        """
        if str(path) == STANDARD_INPUT:
            with _spooled(sys.stdin.buffer) as spool:
                yield cls(spool, "standard input")
            return
        with ExitStack() as stack:
            try:
                file: IO[bytes] = stack.enter_context(Path(path).open("rb"))
            except OSError as error:
                reason = error.strerror or type(error).__name__
                raise FileUnreadable(f"{path} cannot be read: {reason}; check its path and permissions") from None
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                file = stack.enter_context(_spooled(file))
            yield cls(file, str(path))

    @property
    def size(self) -> int:
        """Bytes."""
        return self._stamp[0]

    def blocks(self) -> Iterator[bytes]:
        """The content from its start.

        Raises:
            FileChanged: it was written to since it was opened.
            FileUnreadable: reading failed.
        """
        position = 0
        while True:
            try:
                block = os.pread(self._descriptor, BLOCK_BYTES, position)
            except OSError as error:
                raise FileUnreadable(f"{self.name} cannot be read: {error.strerror}") from None
            if self._look() != self._stamp:
                raise FileChanged(f"{self.name} was written to while it was read; submit it once it is complete")
            if not block:
                return
            position += len(block)
            yield block

    def _look(self) -> tuple[int, int]:
        status = os.fstat(self._descriptor)
        return status.st_size, status.st_mtime_ns


@contextmanager
def _spooled(stream: IO[bytes]) -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as file:
        shutil.copyfileobj(stream, file, BLOCK_BYTES)
        file.flush()
        yield file


def lines(blocks: Iterator[bytes], longest: int) -> Iterator[bytes | None]:
    """Cut blocks into lines, without their ends; None stands for a line of more than `longest` bytes.

    However long a line is, no more than `longest` and a block of it is held.
    """
    head = b""
    overlong = False
    for block in blocks:
        pieces = (head + block).split(b"\n")
        head = pieces.pop()
        for piece in pieces:
            yield None if overlong or len(piece) > longest else piece
            overlong = False
        if len(head) > longest:
            head = b""
            overlong = True
    if head or overlong:
        yield None if overlong else head
