"""`pointsman audit export`: where the file goes, what is recorded, and what is left behind when it goes wrong."""

import asyncio
import getpass
import json
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import typer
from ledger_model import history, shown, write

import pointsman_audit
from pointsman_audit import Ledger, LedgerUnavailable, ListedKind, RecordFilter
from pointsman_console.main import app
from pointsman_console.new_file import new_file
from pointsman_routes import UsageProblem

HISTORY = history(4)
Run = Callable[..., int]


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The URL of a ledger with a history in it."""
    found = f"sqlite:///{tmp_path / 'ledger.db'}"

    async def filled() -> None:
        async with Ledger.open(found, make=True) as ledger:
            await write(ledger, HISTORY)

    asyncio.run(filled())
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder to work in; nothing is in it."""
    folder = tmp_path / "out"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def export(url: str, folder: Path) -> Run:
    """Runs `pointsman audit export` with arguments; says with which code it ended."""

    def run(*arguments: str) -> int:
        code = typer.main.get_command(app).main(
            args=["--ledger", url, "audit", "export", *arguments], prog_name="pointsman", standalone_mode=False
        )
        return int(code or 0)

    return run


def acts(url: str) -> list[dict[str, Any]]:
    """The records of exports that the history does not have."""

    async def listed() -> list[dict[str, Any]]:
        async with Ledger.open(url) as ledger:
            return [record async for record in ledger.list(RecordFilter(kind=ListedKind.EXPORT))]

    return [act for act in asyncio.run(listed()) if act["seq"] > len(HISTORY)]


def numbers(wanted: RecordFilter) -> list[int]:
    """The numbers of records that the model shows."""
    return [known.seq for known in shown(HISTORY, wanted)]


@pytest.mark.parametrize(
    ("arguments", "form"),
    [
        ("--output x.csv", "csv"),
        ("--output x.JSONL", "jsonl"),
        ("--output x.ndjson", "jsonl"),
        ("--output x.parquet", "parquet"),
        ("--output x.pq", "parquet"),
        ("--output x.txt --format csv", "csv"),
        ("--output x.csv --format jsonl", "jsonl"),
        ("--output x --raw", "jsonl"),
    ],
)
def test_form(export: Run, url: str, folder: Path, arguments: str, form: str) -> None:
    """The form is the one named, or else that of the file's ending; the file is of it."""
    assert not export(*arguments.split())
    (file,) = folder.iterdir()
    begins = {"csv": b"timestamp,", "jsonl": b"{", "parquet": b"PAR1"}[form]
    assert file.read_bytes().startswith(begins)
    assert [act["form"] for act in acts(url)] == [form]


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        ("", "--format csv or jsonl"),
        ("--output x.txt", "--format csv, jsonl or parquet"),
        ("--format parquet", "name it with --output"),
        ("--raw --format csv", "leave out --format csv"),
        ("--raw --output x.csv --format parquet", "leave out --format parquet"),
        ("--force --format csv", "--output"),
        ("--output . --format csv", "is a folder"),
        ("--output nowhere/x.csv", "make it"),
        ("--format csv --limit 0", "write 1 or more"),
        ("--format csv --since soon", "--since"),
        ("--format csv --before 99999", "99999"),
    ],
)
def test_wrong_use(export: Run, url: str, folder: Path, arguments: str, remedy: str) -> None:
    """What cannot be done is refused in one line with the remedy; nothing is written, nothing recorded."""
    with pytest.raises(UsageProblem, match=remedy) as refused:
        export(*arguments.split())
    assert "\n" not in str(refused.value)
    assert list(folder.iterdir()) == []
    assert acts(url) == []


CALLS = {"kind": ListedKind.ATTEMPT}
TOLD = {"task_class": "class", "error_code": "error", "usage_source": "usage", "batch_id": "batch", "job_id": "job"}
TOLD |= {"custom_id": "custom-id", "before_seq": "before"}


@pytest.mark.parametrize(
    ("options", "narrowed"),
    [
        ("", {}),
        ("--class triage --fallback", {"task_class": "triage", "fallback": True}),
        ("--owner research@example.com", {**CALLS, "owner": "research@example.com"}),
        ("--usage estimate", {**CALLS, "usage_source": "estimate"}),
        ("--outcome misrouted", {**CALLS, "outcome": "misrouted"}),
        ("--error deadline", {"error_code": "deadline"}),
        ("--kind any --batch batch-1", {"kind": ListedKind.ANY, "batch_id": "batch-1"}),
        ("--kind any --job job-4", {"kind": ListedKind.ANY, "job_id": "job-4"}),
        ("--custom-id custom-3", {"custom_id": "custom-3"}),
        ("--limit 3 --before 100", {"limit": 3, "before_seq": 100}),
        ("--state succeeded --downgraded", {"state": "succeeded", "downgraded": True}),
        ("--mismatch --tier openai/fast", {"mismatch": True, "tier": "openai/fast"}),
        ("--model qwen3 --provider ollama", {"model": "qwen3", "provider": "ollama"}),
        ("--region us --reason transient", {"region": "us", "reason": "transient"}),
    ],
)
def test_filters(export: Run, url: str, folder: Path, options: str, narrowed: dict[str, Any]) -> None:
    """An export has the records of the listing with the same options, and its record says which these were."""
    assert not export("--output", "x.jsonl", "--by", "auditor", *options.split())
    rows = [json.loads(line) for line in (folder / "x.jsonl").read_text().splitlines()]
    assert [row["pointsman.seq"] for row in rows] == numbers(RecordFilter(**narrowed))
    assert rows
    (act,) = acts(url)
    asked = {"kind": ListedKind.FINAL, **narrowed}
    assert act["filters"] == {
        TOLD.get(name, name): "true" if value is True else str(value) for name, value in asked.items()
    }
    assert (act["count"], act["by"]) == (len(rows), "auditor")


def test_moments_are_recorded_in_utc(export: Run, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The record has the moments that were meant, not the words for them; of a raw export that it was one."""
    assert not export("--raw", "--since", "2026-01-01T13:00:20+01:00", "--until", "2026-01-01T12:00:30")
    (act,) = acts(url)
    assert act["filters"] == {
        "kind": "any",
        "raw": "true",
        "since": "2026-01-01T12:00:20+00:00",
        "until": "2026-01-01T12:00:30+00:00",
    }
    assert act["count"] == len(capsys.readouterr().out.splitlines()) > 0


def test_who(export: Run, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record names the user and the machine; where the machine knows no name, one has to be said."""
    monkeypatch.setattr(getpass, "getuser", lambda: "ann")
    monkeypatch.setattr(socket, "gethostname", lambda: "desk")
    assert not export("--output", "x.csv")
    assert [act["by"] for act in acts(url)] == ["ann@desk"]

    def nobody() -> str:
        raise KeyError

    monkeypatch.setattr(getpass, "getuser", nobody)
    with pytest.raises(UsageProblem, match="--by"):
        export("--output", "y.csv")


def test_a_name_that_is_no_text(export: Run, url: str) -> None:
    """Bytes of the command line that are no UTF-8 are spelled out in the record, and refused as a filter."""
    assert not export("--output", "x.csv", "--by", "ann\udcff")
    assert [act["by"] for act in acts(url)] == ["ann\\udcff"]
    for option in ("--job", "--model", "--batch", "--custom-id"):
        with pytest.raises(UsageProblem, match="not UTF-8"):
            export("--output", "y.csv", option, "\udcff")


def test_standard_output_holds_the_export(export: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output has the records and nothing else; what is said about them is on standard error."""
    assert not export("--format", "jsonl")
    written = capsys.readouterr()
    assert [json.loads(line)["pointsman.seq"] for line in written.out.splitlines()] == numbers(RecordFilter())
    assert f"{len(numbers(RecordFilter())):,} records" in written.err
    assert not export("--format", "csv", "--class", "triag")
    written = capsys.readouterr()
    assert len(written.out.splitlines()) == 1
    assert "known: synthesis, triage" in written.err


def test_a_file_is_not_replaced_unasked(export: Run, url: str, folder: Path) -> None:
    """A file that is there stays as it is, unless --force is given."""
    (folder / "x.csv").write_text("mine")
    with pytest.raises(UsageProblem, match="--force"):
        export("--output", "x.csv")
    assert (folder / "x.csv").read_text() == "mine"
    assert acts(url) == []
    assert not export("--output", "x.csv", "--force")
    assert (folder / "x.csv").read_text().startswith("timestamp,")
    assert len(list(folder.iterdir())) == 1


def test_a_file_that_came_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    """A file that somebody else puts there while the export runs stays as well."""
    path = tmp_path / "x.csv"

    def written() -> None:
        with new_file("--output", path, force=False) as draft:
            draft.write_text("ours")
            path.write_text("theirs")

    with pytest.raises(UsageProblem, match="is there already"):
        written()
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("x.csv", "theirs")]


def test_nothing_under_the_name_before_the_end(
    export: Run, url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it is recorded the file has another name; the record is written once the file is whole."""
    seen: list[tuple[list[str], int]] = []
    record = pointsman_audit.record_export

    def look() -> None:
        files = list(folder.iterdir())
        seen.append(([file.suffix for file in files], len(files[0].read_bytes().splitlines())))

    async def recording(*arguments: Any) -> Any:
        look()
        return await record(*arguments)

    monkeypatch.setattr(pointsman_audit, "record_export", recording)
    assert not export("--output", "x.jsonl")
    assert seen == [([".partial"], len(numbers(RecordFilter())))]
    assert [file.name for file in folder.iterdir()] == ["x.jsonl"]


@contextmanager
def going_wrong(monkeypatch: pytest.MonkeyPatch, name: str, problem: BaseException) -> Iterator[None]:
    """A step of an export fails, after it has done its work if that is writing."""
    step = getattr(pointsman_audit, name)

    async def failing(*arguments: Any) -> None:
        if name.startswith("write"):
            await step(*arguments)
        raise problem

    with monkeypatch.context() as patched:
        patched.setattr(pointsman_audit, name, failing)
        yield


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize(
    ("step", "problem", "told"),
    [
        ("record", LedgerUnavailable("the ledger refuses this role"), LedgerUnavailable),
        ("write", OSError(28, "No space left on device"), UsageProblem),
        ("write", LedgerUnavailable("gone"), LedgerUnavailable),
    ],
)
def test_nothing_is_left_where_it_goes_wrong(
    export: Run, url: str, folder: Path, monkeypatch: pytest.MonkeyPatch,
    form: str, step: str, problem: BaseException, told: type[BaseException],
) -> None:  # fmt: skip
    """Disk full, ledger gone, record refused: no file, no half of one, no record; an old file stays."""
    (folder / f"x.{form}").write_text("old")
    name = "record_export" if step == "record" else f"write_{form}"
    with going_wrong(monkeypatch, name, problem), pytest.raises(told) as raised:
        export("--output", f"x.{form}", "--force")
    if told is UsageProblem:
        assert f"x.{form} cannot be written: No space left on device" in str(raised.value)
    assert [(file.name, file.read_text()) for file in folder.iterdir()] == [(f"x.{form}", "old")]
    assert acts(url) == []


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_nothing_is_left_of_an_interrupted_export(
    export: Run, url: str, folder: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """Ctrl-C leaves no file, no half of one, no record, and the exit code of an interruption."""
    with going_wrong(monkeypatch, f"write_{form}", KeyboardInterrupt()):
        assert export("--output", f"x.{form}") == 130
    assert list(folder.iterdir()) == []
    assert acts(url) == []


def test_no_line_goes_out_unrecorded(
    export: Run, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """To standard output nothing is written before the record is; one that was cut short is recorded too."""
    with going_wrong(monkeypatch, "record_export", LedgerUnavailable("no")), pytest.raises(LedgerUnavailable):
        export("--format", "csv")
    assert capsys.readouterr().out == ""
    assert acts(url) == []
    with going_wrong(monkeypatch, "write_csv", BrokenPipeError()), pytest.raises(BrokenPipeError):
        export("--format", "csv")
    full, told = OSError(28, "No space left on device"), "standard output cannot be written: No space left on device"
    with going_wrong(monkeypatch, "write_csv", full), pytest.raises(UsageProblem, match=told):
        export("--format", "csv")
    assert [act["count"] for act in acts(url)] == [len(numbers(RecordFilter()))] * 2


def test_without_pyarrow(export: Run, url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where pyarrow is not installed, Parquet is refused before anything is done, with the remedy; the rest works."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageProblem, match=r"pip install 'pointsman\[parquet\]'"):
        export("--output", "x.parquet")
    assert list(folder.iterdir()) == []
    assert acts(url) == []
    assert not export("--output", "x.csv")


def test_parquet(export: Run, folder: Path) -> None:
    """A Parquet file has every record."""
    assert not export("--output", "x.parquet", "--kind", "attempt")
    found = pq.read_table(folder / "x.parquet")["pointsman.seq"].to_pylist()
    assert found == numbers(RecordFilter(kind=ListedKind.ATTEMPT))


def test_help_says_what_is_never_exported(export: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """The help says that prompts and answers are never exported, and that each export is recorded."""
    assert not export("--help")
    words = " ".join(capsys.readouterr().out.split())
    assert "Prompts and answers are never exported" in words
    assert "A record in the ledger says who exported what" in words
