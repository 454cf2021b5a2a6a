"""Tables: readable where there is room, and no word broken where there is not."""

import pytest
from rich.console import Console

from pointsman_console import screen, status_command
from pointsman_console.gate_words import left_lines, limit_lines, limits_of, short
from pointsman_queue import Gate, LearnedLimit
from pointsman_routes import Limits

_REASON = "disabled by the one on call: wrong answers since 14:00 [sic]"


def _terminal(monkeypatch: pytest.MonkeyPatch, width: int, *, terminal: bool = True) -> Console:
    console = Console(width=width, force_terminal=terminal, color_system=None, soft_wrap=True, highlight=False)
    monkeypatch.setattr(screen, "out", console)
    return console


def _row(tier: str, state: str) -> status_command.Row:
    gate = Gate(
        scope=tier,
        levels={"rpm": 480.4, "tpm": 12_345.6},
        learned={"tpm": LearnedLimit(limit=150_000, told=False), "rpd": LearnedLimit(limit=10_000, told=True)},
    )
    return {
        "tier": tier,
        "state": state,
        "queued": 120_000,
        "delayed": 12,
        "in_flight": 64,
        "held": 3,
        "throttles": 17,
        **limits_of(Limits(rpm=500, tpm=200_000, concurrency=64), gate),
        "next_free_s": 1.5,
        "drain_s": 4000.0,
        "workers": 2,
    }


def test_status_in_a_hundred_columns(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """In 100 columns the table of `status` fits, one limit a line, and every word is whole."""
    console = _terminal(monkeypatch, 100)
    with console.capture() as shown:
        status_command._show_table([_row("anthropic/fast", _REASON), _row("openai/fast", "open")], [])
    lines = shown.get().splitlines()
    assert max(map(len, lines)) <= 100
    words = {word for text in lines for word in text.split()}
    assert {"anthropic/fast", "openai/fast", "disabled", "answers", "14:00", "[sic]"} <= words
    assert {"concurrency", "200k->~150k", "->10k", "12.3k", "120000", "1h6m"} <= words
    first = next(text for text in lines if "anthropic/fast" in text)
    assert "rpm 500" in first
    assert "480" in first
    assert capsys.readouterr().out == ""


def test_narrower_than_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal narrower than its longest words a table is wider than the terminal; no word is broken."""
    console = _terminal(monkeypatch, 30)
    with console.capture() as shown:
        status_command._show_table([_row("anthropic/a-rather-long-name", _REASON)], [])
    assert "anthropic/a-rather-long-name" in shown.get().split()
    assert "answers" in shown.get().split()


@pytest.mark.parametrize(
    ("room", "widths"), [(100, [7, 4, 9]), (20, [7, 4, 9]), (18, [7, 4, 7]), (14, [5, 4, 5]), (3, [3, 4, 5])]
)
def test_widths(room: int, widths: list[int]) -> None:
    """The widest column gives way first, and none below its longest word or, if it is kept whole, its longest line."""
    rows = [["a b", "kept", "c"], ["one two", "a b", "three 4.0"]]
    found, folds = screen.column_widths(rows, [False, True, False], room)
    assert (found, folds) == (widths, room < 20)


def test_a_row_is_a_line_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes to a pipe has one line for each row, however many lines its cells have."""
    console = _terminal(monkeypatch, 80, terminal=False)
    with console.capture() as shown:
        screen.table(("NAME", "IN\nFLIGHT"), [("a\nb", None), ("c " * 100, "")])
    assert [text.rstrip() for text in shown.get().splitlines()] == [
        "NAME" + " " * 198 + "IN FLIGHT",
        "a, b" + " " * 198 + "-",
        ("c " * 100).rstrip(),
    ]


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (999.6, "1k"), (1_000, "1k"), (200_000, "200k"), (1_500_000, "1.5M"), (-2_500, "-2.5k")],
)
def test_short_figures(number: float, text: str) -> None:
    """A figure is shown in a few digits, with a letter for its size."""
    assert short(number) == text


def test_what_is_left_stands_beside_its_limit() -> None:
    """The lines of what is left are those of the limits: as many, in their order; unknown is a dash, never a number."""
    row = _row("openai/fast", "open")
    assert limit_lines(row).split("\n") == ["rpm 500", "tpm 200k->~150k", "concurrency 64", "rpd ->10k"]
    assert left_lines(row).split("\n") == ["480", "12.3k", "-", "-"]
    assert limit_lines(limits_of(Limits(), None)) == "none"
