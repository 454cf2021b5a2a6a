"""`pointsman audit show`, `policy` and `report` against a ledger: what stands on which stream, and what is refused."""

import asyncio
import hashlib
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
from audit_records import NOON, SECOND, accepted, final
from ledger_model import Known, history, write
from report_model import modelled
from story_histories import HISTORIES
from story_parts import POLICY, TABLE

from pointsman_audit import FilterInvalid, Ledger, Month
from pointsman_console.main import app
from pointsman_routes import JobNotFound, PolicyRecord, UsageProblem

OTHER = '{"classes":{},"providers":{}}'
OTHER_DIGEST = hashlib.sha256(OTHER.encode()).hexdigest()
TELLING = [
    PolicyRecord(role="producer", policy_digest=POLICY, by="p1", policy=TABLE.policy),
    PolicyRecord(role="worker", policy_digest=OTHER_DIGEST, previous_digest=POLICY, by="w1", policy=OTHER),
    PolicyRecord(role="worker", policy_digest="f" * 64, previous_digest=OTHER_DIGEST, by="w2"),
]
TWINS = [
    accepted("twin-1", custom_id="twin", batch_id="one"),
    accepted("twin-2", custom_id="twin", batch_id="two"),
    final("old", custom_id="of-old", batch_id="one"),
]
STORY = [(NOON + round(at.seconds * SECOND), at.record) for at in HISTORIES["moved"]]
TOLD: list[tuple[int, Any]] = [
    *[(NOON - 3600 * SECOND, record) for record in TELLING],
    *STORY,
    *[(NOON + 60 * SECOND, record) for record in TWINS],
    *[(known.at + 3600 * SECOND, known.record) for known in history(5, jobs=20)],
]
RECORDED = [Known(seq=seq, at=at, record=record) for seq, (at, record) in enumerate(TOLD, start=1)]
JOB = "5f0c2a9e8d7b4c61"


class Answer(NamedTuple):
    """What a command wrote."""

    out: str
    err: str


Ask = Callable[..., Answer]


@pytest.fixture(scope="module")
def ledger_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a ledger with a story, twins, policies and a history in it."""
    url = f"sqlite:///{tmp_path_factory.mktemp('told') / 'ledger.db'}"

    async def filled() -> None:
        async with Ledger.open(url, make=True) as ledger:
            await write(ledger, RECORDED)

    asyncio.run(filled())
    return url


@pytest.fixture
def ask(ledger_file: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Runs `pointsman audit` with arguments; it must do what was asked."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Answer:
        command = typer.main.get_command(app)
        code = command.main(
            args=["--ledger", ledger_file, "audit", *arguments], prog_name="pointsman", standalone_mode=False
        )
        assert not code
        return Answer(*capsys.readouterr())

    return run


def test_show(ask: Ask) -> None:
    """A job's story is on standard output, with the policy from the ledger; as JSON it is its records, one a line."""
    told = ask("show", JOB)
    assert told.err == ""
    assert told.out.startswith(f"job {JOB}: succeeded\n")
    assert "answered by  anthropic/fast, claude-haiku-4-5-20251001" in told.out
    assert f"policy {POLICY[:12]}, first in force 2026-01-01 11:00:00 UTC (record 1)" in told.out
    assert "openai/fast is allowed: it is the primary of the route" in told.out
    records = [json.loads(line) for line in ask("show", JOB, "--json").out.splitlines()]
    assert [record["seq"] for record in records] == list(range(4, 4 + len(STORY)))


def test_show_by_custom_id(ask: Ask) -> None:
    """A job is found by its custom id, with its batch where that is needed, and also where only its end is known."""
    assert ask("show", "--custom-id", "t-17") == ask("show", JOB)
    assert ask("show", "--custom-id", "twin", "--batch", "two").out.startswith("job twin-2: not ended")
    assert ask("show", "--custom-id", "of-old").out.startswith("job old: succeeded")


def test_show_of_several(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    """Several jobs of a custom id are listed on standard error with their ids; that is wrong use."""
    with pytest.raises(UsageProblem, match=r"^2 jobs have the custom id 'twin'; name one by its id$") as caught:
        ask("show", "--custom-id", "twin")
    assert caught.value.exit_code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split()[:3] for line in err.splitlines()] == [["twin-1", "batch", "one"], ["twin-2", "batch", "two"]]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("show",), UsageProblem, "name one job"),
        (("show", JOB, "--custom-id", "x"), UsageProblem, "name one job"),
        (("show", JOB, "--batch", "one"), UsageProblem, "--batch goes with --custom-id"),
        (("show", "nobody"), JobNotFound, "has no record of job 'nobody'"),
        (("show", "--custom-id", "x"), JobNotFound, "no job with the custom id 'x'; see"),
        (("show", "--custom-id", "twin", "--batch", "3"), JobNotFound, "custom id 'twin' in batch '3'"),
        (("policy", "0000"), UsageProblem, "knows no policy '0000'"),
        (("policy", "f" * 60), UsageProblem, "does not have its text"),
        (("report", "--month", "2026-13"), FilterInvalid, "'2026-13' is not a month; write it as 2026-11"),
        (("report", "--force"), UsageProblem, "--force goes with --html"),
        (("report", "--html", "."), UsageProblem, "is a folder"),
        (("report", "--html", "nowhere/page.html"), UsageProblem, "there is no folder"),
    ],
)
def test_wrong_use(ask: Ask, arguments: tuple[str, ...], error: type[UsageProblem], message: str) -> None:
    """What cannot be done is refused in one line, with exit code 2."""
    with pytest.raises(error) as caught:
        ask(*arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_policies(ask: Ask) -> None:
    """All policies are listed in the order they came into force, with who worked by them."""
    rows = [json.loads(line) for line in ask("policy", "--json").out.splitlines()]
    assert [(row["policy_digest"], row["first_seq"], row["roles"], row["kept"]) for row in rows[:3]] == [
        (POLICY, 1, ["producer"], True),
        (OTHER_DIGEST, 2, ["worker"], True),
        ("f" * 64, 3, ["worker"], False),
    ]
    table = ask("policy")
    assert [line.split()[0] for line in table.out.splitlines()[1:]] == [row["policy_digest"] for row in rows]
    assert table.err == f"{len(rows)} policies\n"


def test_policy(ask: Ask) -> None:
    """A policy is found by the beginning of its digest; as JSON it is the very text that was hashed."""
    exact = ask("policy", POLICY[:10], "--json")
    assert hashlib.sha256(exact.out.removesuffix("\n").encode()).hexdigest() == POLICY
    assert "first in force 2026-01-01T11:00:00.000000Z (record 1)" in exact.err
    assert json.loads(ask("policy", OTHER_DIGEST).out) == json.loads(OTHER)


def test_report_as_an_object(ask: Ask) -> None:
    """The object is the whole report: one line, and each figure that of the model."""
    answer = ask("report", "--month", "2026-01", "--json")
    assert answer.err == ""
    [line] = answer.out.splitlines()
    told = json.loads(line)
    expected = modelled(RECORDED, Month(2026, 1))
    assert set(told) == {"frame", *expected}
    for name, value in expected.items():
        if isinstance(value, list):
            assert sorted(map(str, told[name])) == sorted(map(str, value)), name
        else:
            assert told[name] == value, name
    assert told["frame"]["head_seq"] == len(RECORDED)


def test_report_as_tables(ask: Ask) -> None:
    """Tables are on standard output, with what ties them to the chain; nothing needs a remark."""
    answer = ask("report", "--month", "2026-01")
    assert answer.err == ""
    for text in ("Spend by class", "Spend by owner of the key", "How long jobs took", "hash of that record"):
        assert text in answer.out


def test_report_of_other_months(ask: Ask) -> None:
    """A month before the ledger, one without records, one to come: words and no figures. Without one, the present."""
    before, empty, later = (ask("report", "--month", month) for month in ("2025-12", "2026-02", "2999-01"))
    assert before.err == "The ledger begins after this month: its first record is of 2026-01-01T11:00:00.000000Z.\n"
    assert empty.err == "The ledger has no record of 2026-02.\n"
    assert later.err == "2999-01 has not begun.\n"
    assert all("Spend" not in answer.out for answer in (before, empty, later))
    assert "is not over: these are its figures up to" in ask("report").err


def test_page(ask: Ask, tmp_path: Path) -> None:
    """The page is written whole, beside nothing else; one that is there is left alone unless told otherwise."""
    page = tmp_path / "report.html"
    answer = ask("report", "--month", "2026-01", "--html", str(page))
    assert (answer.out, answer.err) == ("", f"2026-01 is in {page}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    first = page.read_text(encoding="utf-8")
    assert first.startswith("<!DOCTYPE html>")
    assert "LLM jobs in 2026-01" in first
    with pytest.raises(UsageProblem, match="is there already; name another file, or replace it with --force"):
        ask("report", "--month", "2026-02", "--html", str(page))
    assert page.read_text(encoding="utf-8") == first
    both = ask("report", "--month", "2026-02", "--html", str(page), "--force", "--json")
    assert json.loads(both.out)["frame"]["month"] == "2026-02"
    assert "LLM jobs in 2026-02" in page.read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_page_that_cannot_be_written(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk leaves the earlier page as it was, nothing half-written beside it, and says so in one line."""
    page = tmp_path / "report.html"
    page.write_text("before", encoding="utf-8")
    real = Path.write_text

    def full(path: Path, text: str, **options: Any) -> int:
        real(path, text[:10], **options)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(UsageProblem, match=r"report.html cannot be written: No space left on device; name another"):
        ask("report", "--month", "2026-01", "--html", str(page), "--force")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert page.read_text(encoding="utf-8") == "before"
    assert stat.S_ISREG(page.stat().st_mode)
