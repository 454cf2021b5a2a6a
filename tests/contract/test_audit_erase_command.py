"""`pointsman audit erase` and `audit prove`: what is printed, what is done, and with which code they end."""

import asyncio
import io
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from arq import ArqRedis
from erasure_world import accept, finish, found_in_files, found_in_tables, make_job, record, result_line
from structlog.testing import capture_logs

from pointsman_audit import Ledger
from pointsman_console.audit_prove_command import LONGEST
from pointsman_console.main import app
from pointsman_queue import connect, keys
from pointsman_routes import JobNotFound, ServiceUnavailable, UsageProblem, job_id_for

PROMPT, ANSWER, SUBJECT = "the canary of a patient", "take two canaries", "person-4711"
Run = Callable[..., int]
Do = Callable[[Callable[[ArqRedis, Ledger], Awaitable[object]]], None]
DONE, OPEN = job_id_for("batch", "done"), job_id_for("batch", "open")


@pytest.fixture
def ledger_path(tmp_path: Path) -> Path:
    """Where the ledger is."""
    return tmp_path / "ledger.db"


@pytest.fixture
def do(redis_url: str, ledger_path: Path) -> Do:
    """Lets the test do something with the Redis and the ledger that the commands will see."""

    def doing(step: Callable[[ArqRedis, Ledger], Awaitable[object]]) -> None:
        async def steps() -> None:
            redis = await connect(redis_url)
            async with Ledger.open(f"sqlite:///{ledger_path}", make=True) as ledger:
                await step(redis, ledger)
            await redis.aclose(close_connection_pool=True)

        with capture_logs():
            asyncio.run(steps())

    return doing


@pytest.fixture
def audit(redis_url: str, ledger_path: Path) -> Run:
    """Runs an `audit` command; says with which code it ended."""

    def run(*arguments: str, redis: str = redis_url) -> int:
        place = ["--ledger", f"sqlite:///{ledger_path}", "--redis", redis]
        code = typer.main.get_command(app).main(
            args=[*place, "audit", *arguments], prog_name="pointsman", standalone_mode=False
        )
        return int(code or 0)

    return run


@pytest.fixture
def lived(do: Do) -> Do:
    """Two jobs about somebody were recorded, one of which has not ended."""

    async def live(redis: ArqRedis, ledger: Ledger) -> None:
        jobs = [make_job("done", PROMPT, SUBJECT), make_job("open", f"{PROMPT} too", SUBJECT)]
        assert await accept(redis, *jobs) == [DONE, OPEN]
        await finish(redis, DONE, ANSWER)
        await record(redis, ledger)

    do(live)
    return do


def story(do: Do, job_id: str) -> list[dict[str, Any]]:
    """A job's erasures."""
    found: list[dict[str, Any]] = []

    async def read(_: ArqRedis, ledger: Ledger) -> None:
        found.extend(told for told in await ledger.story(job_id) if told["kind"] == "erasure")

    do(read)
    return found


def test_job(lived: Do, audit: Run, ledger_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A job is erased and the record named; the second time there is nothing left, and no record more."""
    assert audit("erase", DONE, "--reason", " letter 12 ", "--yes", "--by", "ann", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"job_id": DONE, "fate": "erased", "seq": 5}
    assert found_in_files(f"sqlite:///{ledger_path}", ANSWER) == set()
    (told,) = story(lived, DONE)
    assert (told["scope"], told["reason"], told["by"]) == ("job", "letter 12", "ann")
    assert audit("erase", DONE, "--reason", "again", "--yes", "--json") == 0
    read = capsys.readouterr()
    assert json.loads(read.out) == {"job_id": DONE, "fate": "nothing_left", "seq": None}
    assert "0 erased, 1 had nothing left" in read.err
    assert len(story(lived, DONE)) == 1
    assert audit("show", DONE) == 0
    assert "erasure: what it asked and was answered was deleted" in capsys.readouterr().out


def test_subject(lived: Do, audit: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """By a subject what has ended is erased; what has not is named with the remedy, and the code is 1."""
    assert audit("erase", "--subject", SUBJECT, "--reason", "asked for", "--yes") == 1
    read = capsys.readouterr()
    assert [line.split()[:2] for line in read.out.splitlines()[1:]] in (
        [[DONE, "erased"], [OPEN, "unfinished"]],
        [[OPEN, "unfinished"], [DONE, "erased"]],
    )
    assert f"pointsman jobs cancel {OPEN}" in read.err
    assert "1 erased" in read.err
    assert SUBJECT not in read.out + read.err
    assert [told["scope"] for told in story(lived, DONE)] == ["subject"]

    async def look(redis: ArqRedis, ledger: Ledger) -> None:
        assert await found_in_tables(ledger, SUBJECT) == {"content"}
        assert await redis.exists(keys.ENVELOPE + OPEN)

    lived(look)
    assert audit("erase", "--subject", "nobody", "--reason", "asked for", "--yes") == 1
    assert "nothing about that subject" in capsys.readouterr().err


def test_unknown_job(lived: Do, audit: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """A job that nobody knows is named in one line, beside one that is erased."""
    assert audit("erase", "nobody", DONE, "--reason", "asked for", "--yes", "--json") == 1
    read = capsys.readouterr()
    assert [json.loads(line)["fate"] for line in read.out.splitlines()] == ["unknown", "erased"]
    assert "no record of job nobody" in read.err


def test_taken_in_anew_behind_the_ledger(lived: Do, audit: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """A job that Redis has under way, though the ledger knows an end, is left alone."""

    async def take(redis: ArqRedis, _: Ledger) -> None:
        await redis.hset(keys.JOB + DONE, "state", "queued")  # type: ignore[misc]  # typed for both clients

    lived(take)
    assert audit("erase", DONE, "--reason", "asked for", "--yes", "--json") == 1
    assert json.loads(capsys.readouterr().out)["fate"] == "unfinished"
    assert story(lived, DONE) == []


def test_redis_is_away(lived: Do, audit: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without Redis nothing is erased, unless the ledger alone is meant: then the record says that Redis was not."""
    away = f"unix://{tmp_path / 'nowhere.sock'}"
    with pytest.raises(ServiceUnavailable, match="--ledger-only") as refused:
        audit("erase", DONE, "--reason", "asked for", "--yes", redis=away)
    assert "\n" not in str(refused.value)
    assert story(lived, DONE) == []
    assert audit("erase", DONE, "--reason", "asked for", "--yes", "--ledger-only", redis=away) == 0
    assert "Redis was not cleaned" in capsys.readouterr().err
    assert [told["reason"] for told in story(lived, DONE)] == ["asked for (Redis was not cleaned)"]

    async def look(redis: ArqRedis, _: Ledger) -> None:
        assert await redis.exists(keys.RESULT + DONE)

    lived(look)


@pytest.mark.parametrize(("said", "code"), [("y\n", 0), (" YES \n", 0), ("n\n", 1), ("\n", 1), ("", 1)])
def test_asks_at_a_terminal(
    lived: Do, audit: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], said: str, code: int
) -> None:
    """At a terminal it asks first, on standard error; no is no."""
    stdin = io.StringIO(said)
    monkeypatch.setattr(stdin, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", stdin)
    assert audit("erase", DONE, "--reason", "asked for", "--json") == code
    read = capsys.readouterr()
    assert "It does not come back" in read.err
    assert len(read.out.splitlines()) == len(story(lived, DONE)) == 1 - code


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (("j",), "--reason"),
        (("j", "--reason", " "), "--reason"),
        (("--reason", "r"), "--subject"),
        (("j", "--subject", "s", "--reason", "r"), "--subject"),
        (("--subject", "", "--reason", "r"), "--subject"),
        (("--subject", "Ann", "--reason", "ANN asked"), "names the subject"),
        (("j", "--reason", "r" * 501), "500 at most"),
        (("j\0", "--reason", "r"), "zero byte"),
        (("\udcff", "--reason", "r"), "UTF-8"),
    ],
)
def test_wrong_use(audit: Run, ledger_path: Path, arguments: tuple[str, ...], remedy: str) -> None:
    """What cannot be meant is refused in one line, before anything is opened."""
    with pytest.raises(UsageProblem, match=remedy) as refused:
        audit("erase", *arguments, "--yes")
    assert "\n" not in str(refused.value)
    assert not ledger_path.exists()


def test_nobody_to_ask(audit: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no terminal, --yes has to be said."""
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(UsageProblem, match="--yes"):
        audit("erase", "j", "--reason", "r")


def test_prove_then_erase(lived: Do, audit: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Line, result and answer are proven while there is a salt; after the erasure it cannot be told."""
    del lived
    line = make_job("another name", PROMPT).to_wire()
    texts = {"prompt": line, "result": result_line(DONE, ANSWER), "answer": ANSWER, "wrong": ANSWER + "!"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    for name, seqs in (("prompt", "2, 4"), ("result", "4"), ("answer", "4")):
        assert audit("prove", DONE, "--content", str(tmp_path / name)) == 0
        read = capsys.readouterr()
        assert read.out.startswith("proven: ")
        assert read.out.endswith(f"digest of record {seqs}\n")
        assert PROMPT not in read.out + read.err
    assert audit("prove", DONE, "--content", str(tmp_path / "wrong")) == 1
    assert capsys.readouterr().out.startswith("not the same: read as plain text ")
    assert audit("prove", DONE, "--content", str(tmp_path / "prompt"), "--part", "answer", "--json") == 1
    assert json.loads(capsys.readouterr().out)["agreement"] == "different"
    assert audit("erase", DONE, "--reason", "asked for", "--yes", "--json") == 0
    capsys.readouterr()
    assert audit("prove", DONE, "--content", str(tmp_path / "prompt")) == 1
    assert capsys.readouterr().out == (
        f"cannot be told of job {DONE}: its content was erased, and the salt of its digests with it\n"
    )


def test_prove_after_its_time(lived: Do, audit: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of content whose time is over it is said that it is not kept, also before it is deleted."""

    async def age(_: ArqRedis, ledger: Ledger) -> None:
        async with ledger.writing() as connection:
            await connection.exec_driver_sql("UPDATE content SET expires_at = 1")

    lived(age)
    (tmp_path / "text").write_text(ANSWER)
    assert audit("prove", DONE, "--content", str(tmp_path / "text")) == 1
    assert "not kept, or not any more" in capsys.readouterr().out


def test_prove_standard_input(lived: Do, audit: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text may come in on standard input, with a byte order mark too."""
    del lived

    class Stdin:
        buffer = io.BytesIO(b"\xef\xbb\xbf" + make_job("x", PROMPT).to_wire().encode())

    monkeypatch.setattr(sys, "stdin", Stdin)
    assert audit("prove", DONE, "--content", "-") == 0


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\xff", "not UTF-8 at byte 1"),
        (b"x" * (LONGEST + 1), "more than"),
        (None, "cannot be read"),
        ("dir", "cannot"),
    ],
)
def test_prove_what_cannot_be_read(audit: Run, tmp_path: Path, data: bytes | str | None, problem: str) -> None:
    """A file that is not there, a folder, too long or no UTF-8 is refused in one line that names it."""
    path = tmp_path / "text"
    if isinstance(data, bytes):
        path.write_bytes(data)
    elif data is not None:
        path.mkdir()
    with pytest.raises(UsageProblem, match=problem) as refused:
        audit("prove", DONE, "--content", str(path))
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_prove_unknown_job(lived: Do, audit: Run, tmp_path: Path) -> None:
    """A job that the ledger does not know is wrong use."""
    del lived
    (tmp_path / "text").write_text("x")
    with pytest.raises(JobNotFound, match="nobody"):
        audit("prove", "nobody", "--content", str(tmp_path / "text"))
