"""The file the checkpoints are in: lines, only ever appended, outside the database."""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from .checkpoint import Checkpoint, NoCheckpoint
from .errors import CheckpointsUnusable

_BEGINNING = b'{"at":"'
"""How every line begins: canonical JSON sorts the names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoints:
    """What is in such a file."""

    found: tuple[Checkpoint, ...] = ()
    """In the order of their lines."""
    foreign: tuple[int, ...] = ()
    """Numbers of lines that are no checkpoints, from 1."""
    torn: int = 0
    """Lines that are the beginning of one: what a power cut or a full disk leaves behind. They vouch for nothing."""

    @property
    def newest(self) -> Checkpoint | None:
        """The one furthest on; None if there is none."""
        return max(self.found, key=lambda checkpoint: checkpoint.seq, default=None)


def read_checkpoints(path: Path) -> Checkpoints:
    """Read a file; one that is not there holds none.

    Raises:
        CheckpointsUnusable: if it cannot be read.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return Checkpoints()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CheckpointsUnusable(f"the checkpoints in {path} cannot be read: {reason}; name another file") from None
    found: list[Checkpoint] = []
    foreign: list[int] = []
    torn = 0
    for number, line in enumerate(lines, start=1):
        # After a power cut a file may be longer than what reached the disk.
        text = line.strip(b"\0\r ")
        if not text:
            continue
        try:
            found.append(Checkpoint.parse(text))
        except NoCheckpoint:
            if _is_torn(text):
                torn += 1
            else:
                foreign.append(number)
    return Checkpoints(found=tuple(found), foreign=tuple(foreign), torn=torn)


def append_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Add a line, and wait until it is on the disk. Any number of processes may do so at once.

    A half line at the end, of a writer that died or had no room, is left alone and a new line begun.

    Raises:
        OSError: if the file cannot be written to; it may have a half line then.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("ab+", buffering=0) as file:
        # Until the file is closed: nobody begins a line while another one is being written.
        fcntl.flock(file, fcntl.LOCK_EX)
        size = file.seek(0, os.SEEK_END)
        whole = size == 0 or os.pread(file.fileno(), 1, size - 1) == b"\n"
        rest = memoryview((b"" if whole else b"\n") + checkpoint.line.encode() + b"\n")
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(file.fileno())


def _is_torn(text: bytes) -> bool:
    return not text.endswith(b"}") and (text.startswith(_BEGINNING) or _BEGINNING.startswith(text))
