"""Names that strangers wrote, such as a custom id or a vendor's model, shown by every command that shows some."""

import asyncio
import json
from pathlib import Path

import pytest
import typer
from audit_records import NOON, accepted, final, finished, moved, started
from ledger_model import Known, write

from pointsman_audit import Ledger
from pointsman_console.main import app

NAME = "a\n999  x\x1b[2J\x9b31m\u202e\u2028\t:smile:[bold] 漢字"
ESCAPED = r"a\n999  x\x1b[2J\x9b31m\u202e\u2028\t:smile:[bold] 漢字"
RECORDS = (
    accepted("job", custom_id=NAME, batch_id=NAME, task_class=NAME, requested_tier=NAME),
    started("job", model=NAME, worker=NAME, tier=NAME, task_class=NAME, batch_id=NAME),
    finished("job", response_model=NAME, tier=NAME, task_class=NAME, batch_id=NAME),
    moved("job", to_tier=NAME, batch_id=NAME),
    final("job", custom_id=NAME, served_model=NAME, batch_id=NAME, task_class=NAME, served_tier=NAME),
)


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a ledger in which every name is strange."""
    url = f"sqlite:///{tmp_path_factory.mktemp('strange') / 'ledger.db'}"
    known = [Known(seq=number, at=NOON + number, record=record) for number, record in enumerate(RECORDS, start=1)]

    async def filled() -> None:
        async with Ledger.open(url, make=True) as ledger:
            await write(ledger, known)

    asyncio.run(filled())
    return url


@pytest.mark.parametrize(
    "arguments",
    [
        ("list",),
        ("list", "--json"),
        ("list", "--kind", "attempt"),
        ("list", "--kind", "moved"),
        ("list", "--kind", "any"),
        ("list", "--kind", "any", "--json"),
        ("list", "--group-by", "class,tier,model"),
        ("list", "--group-by", "model", "--json"),
        ("list", "--class", "triag\x1b"),
        ("rates", "--since", "2025-01-01"),
        ("rates", "--since", "2025-01-01", "--json"),
        ("show", "job"),
        ("show", "--custom-id", NAME),
        ("show", "job", "--json"),
        ("report", "--month", "2026-01"),
        ("report", "--month", "2026-01", "--json"),
    ],
    ids=" ".join,
)
def test_strange_names(
    arguments: tuple[str, ...],
    strange: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name neither steers a terminal nor breaks a row, is no picture and no markup; as JSON it is the very name."""
    monkeypatch.chdir(tmp_path)
    command = typer.main.get_command(app)
    assert not command.main(args=["--ledger", strange, "audit", *arguments], prog_name="p", standalone_mode=False)
    shown = capsys.readouterr()
    for text in (shown.out, shown.err):
        assert [character for character in text if not character.isprintable() and character != "\n"] == []
    assert not any(line.lstrip().startswith("999") for line in shown.out.splitlines())
    if "--json" in arguments:
        assert NAME in json.dumps([json.loads(line) for line in shown.out.splitlines()], ensure_ascii=False).replace(
            json.dumps(NAME, ensure_ascii=False)[1:-1], NAME
        )
    else:
        assert ESCAPED in shown.out + shown.err
