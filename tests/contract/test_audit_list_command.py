"""`pointsman audit list` and `rates` against a ledger: what stands on which stream, and what is said about it."""

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
from ledger_model import history, shown, write

from pointsman_audit import Ledger, ListedKind, RecordFilter
from pointsman_console import screen
from pointsman_console.main import app
from pointsman_routes import UsageProblem

HISTORY = history(3, jobs=120)


class Answer(NamedTuple):
    """What a command wrote."""

    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The lines of standard output, as JSON."""
        return [json.loads(line) for line in self.out.splitlines()]


Ask = Callable[..., Answer]


@pytest.fixture(scope="module")
def ledger_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a ledger with a history in it."""
    url = f"sqlite:///{tmp_path_factory.mktemp('listed') / 'ledger.db'}"

    async def filled() -> None:
        async with Ledger.open(url, make=True) as ledger:
            await write(ledger, HISTORY)

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


def numbers(wanted: RecordFilter) -> list[int]:
    """The numbers of records that the model shows."""
    return [known.seq for known in shown(HISTORY, wanted)]


def rows(answer: Answer) -> list[int]:
    """The numbers in a table's first column."""
    return [int(line.split()[0]) for line in answer.out.splitlines()[1:]]


@pytest.mark.parametrize(
    ("options", "narrowed"),
    [
        ("--class triage", {"task_class": "triage"}),
        ("--tier openai/fast", {"tier": "openai/fast"}),
        ("--provider anthropic", {"provider": "anthropic"}),
        ("--owner research@example.com", {"kind": ListedKind.ATTEMPT, "owner": "research@example.com"}),
        ("--model qwen3", {"model": "qwen3"}),
        ("--region us", {"region": "us"}),
        ("--state failed", {"state": "failed"}),
        ("--outcome misrouted", {"kind": ListedKind.ATTEMPT, "outcome": "misrouted"}),
        ("--kind moved --reason transient", {"kind": ListedKind.MOVED, "reason": "transient"}),
        ("--error deadline", {"error_code": "deadline"}),
        ("--usage estimate", {"kind": ListedKind.ATTEMPT, "usage_source": "estimate"}),
        ("--fallback", {"fallback": True}),
        ("--downgraded", {"downgraded": True}),
        ("--mismatch", {"mismatch": True}),
        ("--kind any --batch batch-1", {"kind": ListedKind.ANY, "batch_id": "batch-1"}),
        ("--kind any --job job-4", {"kind": ListedKind.ANY, "job_id": "job-4"}),
        ("--kind held --custom-id custom-0", {"kind": ListedKind.HELD, "custom_id": "custom-0"}),
        ("--limit 3", {"limit": 3}),
        ("--before 200", {"before_seq": 200}),
    ],
)
def test_options(ask: Ask, options: str, narrowed: dict[str, Any]) -> None:
    """Every option is the filter of its name; calls are listed where only calls have what is asked for."""
    expected = numbers(RecordFilter(**narrowed))
    assert expected
    assert [record["seq"] for record in ask("list", "--json", *options.split()).objects] == expected
    assert rows(ask("list", *options.split())) == expected[-100:]


def test_since_and_until(ask: Ask) -> None:
    """A moment without a zone is in UTC, and the second one is not in any more."""
    after = ask("list", "--json", "--kind", "any", "--since", "2026-01-01T12:00:20").objects
    before = ask("list", "--json", "--kind", "any", "--until", "2026-01-01T12:00:20Z").objects
    assert len(after) + len(before) == len(HISTORY)
    assert after
    assert before


def test_table_shows_the_newest_hundred(ask: Ask) -> None:
    """A table ends after a hundred records and says how to see the page before; that page goes on where it ended."""
    everything = numbers(RecordFilter(kind=ListedKind.ANY))
    answer = ask("list", "--kind", "any")
    assert rows(answer) == everything[-100:]
    assert "100 records" in answer.err
    found = re.search(r"--before (\d+)", answer.err)
    assert found
    assert found[1] == str(everything[-100])
    assert rows(ask("list", "--kind", "any", "--before", found[1])) == everything[-200:-100]
    every = ask("list", "--kind", "any", "--all")
    assert rows(every) == everything
    assert "--before" not in every.err


def test_scripts_are_never_cut_silently(ask: Ask) -> None:
    """As JSON all there is comes out; what --limit leaves out is told on standard error, and only if there is any."""
    everything = numbers(RecordFilter())
    answer = ask("list", "--json")
    assert [record["seq"] for record in answer.objects] == everything
    assert answer.err == ""
    assert f"--before {everything[-2]} " in ask("list", "--json", "--limit", "2").err
    assert ask("list", "--json", "--limit", str(len(everything))).err == ""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--class triag", "no final record names the class 'triag'; known: synthesis, triage"),
        ("--kind any --class triag", "no record names the class 'triag'; known: synthesis, triage"),
        ("--kind final --usage vendor", "final records name no usage; those of another --kind may"),
        ("--group-by tier --error none", "no final record names the error 'none'; known: deadline, overloaded"),
    ],
)
def test_unknown_word_is_told(ask: Ask, options: str, said: str) -> None:
    """An empty answer to a word that no record has names the words that some have, on standard error."""
    assert said in ask("list", *options.split()).err
    answer = ask("list", "--json", *options.split())
    assert (answer.out, answer.err.strip()) == ("", said)


def test_nothing_found_with_known_words(ask: Ask) -> None:
    """Where every word is known and still nothing is found, nothing is said of words."""
    answer = ask("list", "--class", "triage", "--job", "job-4000")
    assert answer.err.strip() == "0 records"


def test_every_kind_in_one_log(ask: Ask) -> None:
    """In a log of every kind each record has its moment, its own kind, and the tier and reason its kind knows."""
    lines = ask("list", "--kind", "any", "--all").out.splitlines()
    assert lines[0].split() == ["seq", "at", "kind", "job_id", "task_class", "tier", "state", "outcome", "reason"]
    assert {line.split()[2] for line in lines[1:]} == {known.record.kind.value for known in HISTORY}
    # The only one whose time is not there to be shown would be a dash.
    assert all(line.split()[1].startswith("2026-01-0") for line in lines[1:])


def test_groups(ask: Ask) -> None:
    """Groups have their keys first, count every record once, and are of calls where the key is a call's."""
    finals = ask("list", "--json", "--group-by", "class, tier").objects
    assert [list(group)[:3] for group in finals] == [["class", "tier", "records"]] * len(finals)
    assert sum(group["records"] for group in finals) == len(numbers(RecordFilter()))
    calls = ask("list", "--json", "--group-by", "outcome").objects
    assert sum(group["records"] for group in calls) == len(numbers(RecordFilter(kind=ListedKind.ATTEMPT)))
    table = ask("list", "--group-by", "outcome")
    assert table.out.splitlines()[0].split()[:2] == ["OUTCOME", "RECORDS"]
    assert len(table.out.splitlines()) == 1 + len(calls)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--group-by clas", "'clas' is no key; known: class, tier"),
        ("--limit 3 --all", "contradict each other"),
        ("--group-by class --limit 3", "leave out --limit and --before"),
        ("--group-by class --before 3", "leave out --limit and --before"),
        ("--limit 0", "write 1 or more"),
        ("--before 99999", "no record 99999"),
        ("--since yesterday", "--since: 'yesterday' is not a moment"),
    ],
)
def test_wrong_use(ask: Ask, options: str, said: str) -> None:
    """What cannot be meant is refused, and the message says what to write."""
    with pytest.raises(UsageProblem, match=re.escape(said)) as refused:
        ask("list", *options.split())
    assert refused.value.exit_code == 2


def test_bar_where_somebody_watches(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that go into a file while somebody watches the terminal are counted first, and all come out."""
    monkeypatch.setattr(type(screen.err), "is_terminal", property(lambda console: console is screen.err))
    answer = ask("list", "--json")
    assert [record["seq"] for record in answer.objects] == numbers(RecordFilter())


def test_rates(ask: Ask) -> None:
    """`rates` counts every call that has ended, by tier and class."""
    ended = [known for known in HISTORY if known.record.kind == "attempt_finished"]
    found = ask("rates", "--json", "--since", "2025-01-01").objects
    assert sum(entry["calls"] for entry in found) == len(ended)
    assert f"{len(ended)} calls" in ask("rates", "--since", "2025-01-01").err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("list", "--before", "9" * 20), "there is no record 9+ that others could come before"),
        (("list", "--since", "999999999d"), "--since: '999999999d' is longer than ten years"),
        (("list", "--until", "9999-12-31T23:59:59-05:00"), "--until: .* is not a moment"),
        (("list", "--since", "0001-01-01T00:00:00+05:00"), "--since: .* is not a moment"),
        (("list", "--since", "2026-02-01", "--until", "2026-01-01"), "--since 2026-02-01 is not before --until 2026"),
        (("list", "--since", "1h", "--until", "2h"), "--since 1h is not before --until 2h"),
        (("rates", "--until", "2026-01-01"), "--since 24h is not before --until 2026-01-01, so nothing is between"),
        (("show", "\udcff"), "the job id is not UTF-8"),
        (("show", "--custom-id", "x", "--batch", "\udcff"), "--batch is not UTF-8"),
        (("policy", ""), "the digest is empty"),
    ],
)
def test_what_cannot_be_meant(arguments: tuple[str, ...], message: str, ask: Ask) -> None:
    """A number, a moment or a word that cannot be meant is refused in one line that names the option."""
    with pytest.raises(UsageProblem, match=message):
        ask(*arguments)


def test_rates_know_words(ask: Ask) -> None:
    """`rates` tells, as `list` does, that no call is of such a class or tier, and which there are."""
    shown = ask("rates", "--since", "2025-01-01", "--class", "triag")
    assert shown.out == ""
    assert "no attempt record names the class 'triag'; known: " in shown.err


def test_nothing_of_a_kind(ask: Ask) -> None:
    """A kind that no record is of, and that has no columns of its own, is no table at all, not an empty line."""
    assert ask("list", "--kind", "erasure", "--since", "2100-01-01") == ("", "0 records\n")


def test_interrupted(ledger_file: str, tmp_path: Path) -> None:
    """Ctrl-C in a long listing ends it with one line and 130, and what was printed by then is whole lines."""
    asked = ("--ledger", ledger_file, "audit", "list", "--json", "--kind", "any")
    with subprocess.Popen(
        [sys.executable, "-m", "pointsman_console", *asked],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as listing:
        assert listing.stdout is not None
        assert listing.stderr is not None
        # More than a pipe holds: it waits for us in the middle.
        assert json.loads(listing.stdout.readline())
        listing.send_signal(signal.SIGINT)
        rest, err = listing.stdout.read(), listing.stderr.read()
    assert (listing.returncode, err) == (130, "pointsman: interrupted\n")
    assert all(json.loads(line) for line in rest.splitlines())
