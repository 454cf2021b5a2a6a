"""A file of jobs, one JSON object a line: checked in a first pass, submitted in a second."""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from pointsman_routes import Job, JobInvalid

from .errors import FileChanged
from .line_parser import LineParser
from .line_problem import LineProblem, quote
from .source import Source, lines

LONGEST_LINE = 8 * 1024 * 1024
PROBLEMS_KEPT = 1_000
"""A file of the wrong kind has a problem on every line."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """What a first pass through a job file found."""

    batch_id: str
    """Follows from the content and the class override: the same file is the same batch."""
    jobs: int
    """Lines that hold an acceptable job."""
    classes: Mapping[str, int]
    """Jobs by class, in the order of their names."""
    characters: int
    """Characters vendors will read, in all jobs."""
    problem_count: int
    """Lines that are refused."""
    problems: tuple[LineProblem, ...]
    """The first of them, a thousand at most."""


@dataclass(slots=True)
class _Tally:
    """Counts of a pass under way."""

    classes: Counter[str] = field(default_factory=Counter)
    characters: int = 0
    problem_count: int = 0
    problems: list[LineProblem] = field(default_factory=list)

    def add(self, entry: Job | LineProblem) -> None:
        if isinstance(entry, Job):
            self.classes[entry.task_class] += 1
            self.characters += entry.characters
            return
        self.problem_count += 1
        if len(self.problems) < PROBLEMS_KEPT:
            self.problems.append(entry)


class BatchFile:
    """Reads a job file as a stream: a line at a time, as often as asked.

        with BatchFile.open("jobs.jsonl", table.classes) as file:
            report = file.check()
            if not report.problem_count:
                receipts = await producer.submit(file.jobs(report), batch_id=report.batch_id)

    Blank lines are skipped, a byte order mark is tolerated. Memory: a block and the longest line, and about 100 bytes
    for each job to tell when a `custom_id` comes twice.
    """

    def __init__(
        self,
        source: Source,
        classes: Collection[str],
        *,
        class_override: str | None = None,
        longest_line: int = LONGEST_LINE,
        misfit: Callable[[Job], str | None] | None = None,
    ) -> None:
        """Read from a source; see `open` for the arguments."""
        if class_override is not None and class_override not in classes:
            raise JobInvalid(
                f"unknown class {quote(class_override)}; the configuration has: {', '.join(sorted(classes))}"
            )
        self._source = source
        self._parser = LineParser(classes, class_override)
        self._class_override = class_override
        self._longest_line = longest_line
        self._misfit = misfit

    @classmethod
    @contextmanager
    def open(
        cls,
        path: Path | str,
        classes: Collection[str],
        *,
        class_override: str | None = None,
        longest_line: int = LONGEST_LINE,
        misfit: Callable[[Job], str | None] | None = None,
    ) -> Iterator[Self]:
        """Open a job file.

        Args:
            path: the file; `-` is standard input, which is kept in a temporary file meanwhile.
            classes: names of the configured classes.
            class_override: the class of every job, whatever its line says.
            longest_line: bytes; a longer line is a problem and is never held as a whole.
            misfit: why no tier can ever take a job, or None; from `JobEncoder.misfit`.

        Raises:
            FileUnreadable: it cannot be opened.
            JobInvalid: the `class_override` is not configured.
        """
        with Source.open(path) as source:
            yield cls(source, classes, class_override=class_override, longest_line=longest_line, misfit=misfit)

    @property
    def size(self) -> int:
        """Bytes."""
        return self._source.size

    def entries(self) -> Iterator[Job | LineProblem]:
        """Every line's job, or what is wrong with it.

        Raises:
            FileChanged: the file was written to since it was opened.
        """
        return _refuse_repeated(self._numbered(self._source.blocks()))

    def check(self, *, on_progress: Callable[[int], object] | None = None) -> FileReport:
        """Read the whole file and say what is in it.

        Args:
            on_progress: called with the bytes read so far, about once a megabyte.

        Raises:
            FileChanged: the file was written to since it was opened.
        """
        content = hashlib.sha256()
        tally = _Tally()
        for entry in _refuse_repeated(self._numbered(_watched(self._source.blocks(), content, on_progress))):
            tally.add(entry)
        return FileReport(
            batch_id=self._batch_id(content.digest()),
            jobs=tally.classes.total(),
            classes=dict(sorted(tally.classes.items())),
            characters=tally.characters,
            problem_count=tally.problem_count,
            problems=tuple(tally.problems),
        )

    def jobs(self, report: FileReport) -> Iterator[Job]:
        """Every job of a file that was checked, to be submitted under `report.batch_id`.

        Raises:
            JobInvalid: the report has problems; `entries` reads such a file.
            FileChanged: the content is not the one that was checked.
        """
        if report.problem_count:
            raise JobInvalid(f"{self._source.name}, {report.problems[0]} ({report.problem_count:,} lines are refused)")
        return self._checked_jobs(report)

    def _checked_jobs(self, report: FileReport) -> Iterator[Job]:
        content = hashlib.sha256()
        for number, entry in self._numbered(_watched(self._source.blocks(), content, None)):
            if isinstance(entry, LineProblem):
                raise FileChanged(f"line {number} of {self._source.name} has changed since it was checked")
            yield entry
        if self._batch_id(content.digest()) != report.batch_id:
            raise FileChanged(f"{self._source.name} has changed since it was checked; submit it again")

    def _numbered(self, blocks: Iterator[bytes]) -> Iterator[tuple[int, Job | LineProblem]]:
        parse = self._parser.parse
        for number, line in enumerate(lines(blocks, self._longest_line), start=1):
            if line is None:
                limit = f"{self._longest_line:,} bytes"
                yield number, LineProblem(number, None, f"longer than {limit}; a job is at most that long")
                continue
            text = line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
            if text and not text.isspace():
                yield number, self._fitting(number, parse(number, text))

    def _fitting(self, number: int, entry: Job | LineProblem) -> Job | LineProblem:
        if self._misfit is None or not isinstance(entry, Job):
            return entry
        problem = self._misfit(entry)
        return entry if problem is None else LineProblem(number, entry.custom_id, problem)

    def _batch_id(self, content_digest: bytes) -> str:
        override = (self._class_override or "").encode()
        return f"b-{hashlib.sha256(content_digest + override).hexdigest()[:24]}"


def _refuse_repeated(numbered: Iterator[tuple[int, Job | LineProblem]]) -> Iterator[Job | LineProblem]:
    seen: set[bytes] = set()
    for number, entry in numbered:
        if isinstance(entry, Job):
            name = hashlib.blake2b(entry.custom_id.encode(), digest_size=16).digest()
            if name in seen:
                reason = f"the custom_id {quote(entry.custom_id)} is on an earlier line too; give each job its own"
                yield LineProblem(number, entry.custom_id, reason)
                continue
            seen.add(name)
        yield entry


def _watched(
    blocks: Iterator[bytes], content: "hashlib._Hash", on_progress: Callable[[int], object] | None
) -> Iterator[bytes]:
    """Pass blocks on, digesting them and telling how far it is."""
    position = 0
    for block in blocks:
        content.update(block)
        position += len(block)
        if on_progress is not None:
            on_progress(position)
        yield block
