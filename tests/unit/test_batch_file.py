import errno
import io
import json
import os
import sys
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from producer_cases import make_routes
from project_tree import ROOT

from pointsman_producer import BatchFile, FileChanged, FileReport, FileUnreadable, LineProblem
from pointsman_producer.batch_file import LONGEST_LINE, PROBLEMS_KEPT
from pointsman_producer.source import BLOCK_BYTES, lines
from pointsman_routes import Job, JobInvalid, read_route_table

CLASSES = frozenset(make_routes().classes)
_MEGABYTE = 1024 * 1024


def _native(custom_id: str, text: str = "Which way?") -> str:
    return json.dumps(
        {"custom_id": custom_id, "class": "triage", "messages": [{"role": "user", "content": text}]}, ensure_ascii=False
    )


def _openai(custom_id: str, text: str = "Which way?") -> str:
    body = {"model": "reasoning", "messages": [{"role": "user", "content": text}]}
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body})


def _entries(path: Path) -> list[Job | LineProblem]:
    with BatchFile.open(path, CLASSES) as file:
        return list(file.entries())


def _check(path: Path, class_override: str | None = None) -> FileReport:
    with BatchFile.open(path, CLASSES, class_override=class_override) as file:
        return file.check()


def test_both_forms_in_any_mix(tmp_path: Path) -> None:
    """Both line forms may stand in one file, blank lines between them, with any line ends and a byte order mark."""
    path = tmp_path / "jobs.jsonl"
    path.write_bytes(f"\ufeff{_native('a')}\r\n\n  \t\n{_openai('b')}\n{_native('ü')}".encode())
    assert [(entry.custom_id, isinstance(entry, Job)) for entry in _entries(path)] == [
        ("a", True),
        ("b", True),
        ("ü", True),
    ]


def test_report(tmp_path: Path) -> None:
    """A check counts jobs by class, what vendors will read, and the lines that are refused."""
    path = tmp_path / "jobs.jsonl"
    path.write_text("\n".join([_native("a", "four"), "", "{", _openai("b", "ü!"), _native("a")]))
    report = _check(path)
    assert (report.jobs, report.classes, report.characters) == (2, {"reasoning": 1, "triage": 1}, 6)
    assert report.problem_count == 2
    assert [(problem.line_number, problem.custom_id) for problem in report.problems] == [(3, None), (5, "a")]
    assert str(report.problems[1]).startswith('line 5: the custom_id "a" is on an earlier line')


_LINE = st.one_of(
    st.tuples(st.just(True), st.builds(_native, st.just("@"), st.text(min_size=1).filter(str.strip))),
    st.tuples(st.just(True), st.builds(_openai, st.just("@"), st.text(min_size=1).filter(str.strip))),
    st.tuples(
        st.just(False),
        st.sampled_from(
            ["{", "[]", "7", '{"custom_id":"x"}', "\x00", '"text"', _native("x")[:-1], _native("y" * 257), _openai("")]
        ),
    ),
    st.tuples(st.none(), st.sampled_from(["", " ", "\r", "\t \r"])),
)


@given(st.lists(_LINE, max_size=30), st.booleans())
def test_every_line_is_accounted_for(drawn: list[tuple[bool | None, str]], ends: bool) -> None:
    """Of any mix of lines each good one gives its job and each bad one is named by its number."""
    text = "\n".join(line.replace("@", f"id-{number}", 1) for number, (_, line) in enumerate(drawn, start=1))
    with tempfile.NamedTemporaryFile() as stream:
        stream.write((text + "\n" * ends).encode())
        stream.flush()
        entries = _entries(Path(stream.name))
    found = [entry.custom_id if isinstance(entry, Job) else entry.line_number for entry in entries]
    numbered = enumerate(drawn, start=1)
    assert found == [f"id-{number}" if good else number for number, (good, _) in numbered if good is not None]


@given(st.lists(st.binary(max_size=12)), st.integers(1, 12), st.integers(1, 8))
def test_lines_do_not_depend_on_blocks(parts: list[bytes], longest: int, block: int) -> None:
    """However the content is cut into blocks, the lines are the same; those too long are named as such."""
    content = b"\n".join(parts)
    blocks = (content[start : start + block] for start in range(0, len(content), block))
    whole = content.split(b"\n")
    expected = whole if whole[-1] else whole[:-1]
    assert list(lines(blocks, longest)) == [line if len(line) <= longest else None for line in expected]


def test_overlong_line_is_never_held(tmp_path: Path) -> None:
    """A line of 50 MB is one problem, the lines around it are jobs, and memory stays at a line and a few blocks."""
    path = tmp_path / "jobs.jsonl"
    with path.open("wb") as stream:
        stream.write(_native("before").encode() + b"\n")
        for _ in range(50):
            stream.write(b"x" * _MEGABYTE)
        stream.write(b"\n" + _native("after").encode())
    tracemalloc.start()
    try:
        entries = _entries(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    before, problem, after = entries
    assert isinstance(before, Job)
    assert isinstance(after, Job)
    assert str(problem) == "line 2: longer than 8,388,608 bytes; a job is at most that long"
    assert peak < 3 * LONGEST_LINE


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Reading a file of many long jobs holds a few blocks of it at a time."""
    path = tmp_path / "jobs.jsonl"
    text = "x" * 100_000
    with path.open("w") as stream:
        for number in range(300):
            stream.write(_native(f"j-{number}", text) + "\n")
    tracemalloc.start()
    try:
        report = _check(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert report.jobs == 300
    assert path.stat().st_size > 28 * _MEGABYTE
    assert peak < 8 * BLOCK_BYTES


def test_file_of_the_wrong_kind(tmp_path: Path) -> None:
    """A file without any job is counted to its end, and only the first problems are kept."""
    path = tmp_path / "jobs.csv"
    path.write_text("a,b\n" * (PROBLEMS_KEPT + 5))
    report = _check(path)
    assert (report.jobs, report.problem_count, len(report.problems)) == (0, PROBLEMS_KEPT + 5, PROBLEMS_KEPT)


def test_same_file_is_the_same_batch(tmp_path: Path) -> None:
    """The batch id follows from the content and the class override, not from name or time."""
    first, second, third = (tmp_path / name for name in ("1", "2", "3"))
    first.write_text(_native("a"))
    second.write_text(_native("a"))
    third.write_text(_native("b"))
    batch_id = _check(first).batch_id
    assert batch_id == _check(second).batch_id
    others = {_check(third).batch_id, _check(first, "triage").batch_id, _check(first, "reasoning").batch_id}
    assert len({batch_id, *others}) == 4


def test_second_pass(tmp_path: Path) -> None:
    """A checked file gives its jobs."""
    path = tmp_path / "jobs.jsonl"
    path.write_text(f"{_native('a')}\n{_openai('b')}\n")
    with BatchFile.open(path, CLASSES) as file:
        assert [job.custom_id for job in file.jobs(file.check())] == ["a", "b"]


def test_second_pass_over_problems(tmp_path: Path) -> None:
    """A file with problems is not submitted in part."""
    path = tmp_path / "jobs.jsonl"
    path.write_text(f"{_native('a')}\n{{\n")
    with BatchFile.open(path, CLASSES) as file, pytest.raises(JobInvalid, match=r"jobs\.jsonl, line 2: .*1 line"):
        file.jobs(file.check())


def test_file_written_to_between_passes(tmp_path: Path) -> None:
    """A file that grew since it was checked gives not one job."""
    path = tmp_path / "jobs.jsonl"
    path.write_text(_native("a") + "\n")
    with BatchFile.open(path, CLASSES) as file:
        report = file.check()
        with path.open("a") as stream:
            stream.write(_native("b") + "\n")
        with pytest.raises(FileChanged, match="written to"):
            next(file.jobs(report))


@pytest.mark.parametrize(("text", "message"), [(_native("b"), "since it was checked"), ("{", "line 1")])
def test_content_swapped_without_a_trace(tmp_path: Path, text: str, message: str) -> None:
    """Other content of the same size and time is noticed too, at the latest at its end."""
    path = tmp_path / "jobs.jsonl"
    path.write_text(_native("a"))
    status = path.stat()
    with BatchFile.open(path, CLASSES) as file:
        report = file.check()
        path.write_text(text.ljust(status.st_size))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        with pytest.raises(FileChanged, match=message):
            list(file.jobs(report))


def test_file_replaced_between_passes(tmp_path: Path) -> None:
    """Another file put under the name changes nothing: the one that was checked is read."""
    path = tmp_path / "jobs.jsonl"
    path.write_text(_native("a"))
    with BatchFile.open(path, CLASSES) as file:
        report = file.check()
        (tmp_path / "other").write_text(_native("b"))
        (tmp_path / "other").replace(path)
        assert [job.custom_id for job in file.jobs(report)] == ["a"]


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard input is read twice like any file."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(_native("a").encode())))
    with BatchFile.open("-", CLASSES) as file:
        report = file.check()
        assert [job.custom_id for job in file.jobs(report)] == ["a"]
        assert file.size == len(_native("a"))


def test_pipe() -> None:
    """A pipe given by its path is read twice like any file."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as stream:
        stream.write(_native("a").encode())
    try:
        with BatchFile.open(f"/dev/fd/{reader}", CLASSES) as file:
            assert [job.custom_id for job in file.jobs(file.check())] == ["a"]
    finally:
        os.close(reader)


def test_progress(tmp_path: Path) -> None:
    """A check tells how many bytes it has read, up to the size of the file."""
    path = tmp_path / "jobs.jsonl"
    path.write_text("\n" * (2 * BLOCK_BYTES + 1))
    told: list[int] = []
    with BatchFile.open(path, CLASSES) as file:
        file.check(on_progress=told.append)
        assert told == [BLOCK_BYTES, 2 * BLOCK_BYTES, file.size]


@pytest.mark.parametrize("name", ["missing.jsonl", "."])
def test_unreadable(tmp_path: Path, name: str) -> None:
    """What cannot be opened is said in a line, with its path."""
    with pytest.raises(FileUnreadable, match="cannot be read: ") as caught, BatchFile.open(tmp_path / name, CLASSES):
        pass
    assert str(tmp_path) in str(caught.value)


def test_reading_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails in the middle is said in a line, with the file's path."""
    path = tmp_path / "jobs.jsonl"
    path.write_text(_native("a"))

    def fail(*_: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "pread", fail)
    with pytest.raises(FileUnreadable, match=r"jobs\.jsonl cannot be read: Input/output error"):
        _check(path)


def test_unknown_override(tmp_path: Path) -> None:
    """A class override that is not configured is refused before anything is read."""
    path = tmp_path / "jobs.jsonl"
    path.touch()
    with (
        pytest.raises(JobInvalid, match=r'"poetry"; the configuration has: reasoning, strict, triage'),
        BatchFile.open(path, CLASSES, class_override="poetry"),
    ):
        pass


def _real_files() -> list[Path]:
    prompts = ROOT.parent / "shared" / "data" / "prompts.jsonl"
    return [ROOT / "examples" / "jobs.jsonl", *([prompts] if prompts.exists() else [])]


@pytest.mark.parametrize("path", _real_files(), ids=lambda path: path.name)
def test_real_files(path: Path) -> None:
    """Every line of a real job file is a job."""
    configured = read_route_table((ROOT / "examples" / "pointsman.toml").read_text(), ROOT / "examples").classes
    with BatchFile.open(path, {*configured, "reasoning", "synthesis"}) as file:
        report = file.check()
    assert report.problems == ()
    assert report.jobs == len(path.read_bytes().splitlines())


def test_a_job_that_never_fits(tmp_path: Path) -> None:
    """What no tier can ever take is a problem of its line, found before anything is submitted."""
    path = tmp_path / "jobs.jsonl"
    line = '{"custom_id": "%s", "class": "triage", "messages": [{"role": "user", "content": "%s"}]}\n'
    path.write_text(line % ("a", "short") + line % ("b", "x" * 900))
    with BatchFile.open(path, ["triage"], misfit=lambda job: "is too long" if job.characters > 800 else None) as file:
        report = file.check()
    assert (report.jobs, [str(problem) for problem in report.problems]) == (1, ["line 2: is too long"])
