"""What the demo shows while it runs."""

import asyncio
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from pointsman_console import demo_screen
from pointsman_console.demo_screen import DemoScreen, TierView
from pointsman_queue import BreakerState, Gate

_OPEN = Gate(scope="openai/fast", levels={}, learned={})
_VIEW = TierView(tier="openai/fast", waiting=3, in_flight=1, refused=2, gate=_OPEN, workers=1)


def _screen(*, terminal: bool) -> tuple[DemoScreen, StringIO]:
    output = StringIO()
    return DemoScreen(console=Console(file=output, force_terminal=terminal, width=100, highlight=False)), output


@pytest.mark.parametrize(
    ("gate", "workers", "state"),
    [
        (_OPEN, 1, "open"),
        (_OPEN, 0, "no worker"),
        (replace(_OPEN, throttled_for_s=0.84), 1, "throttled 0.8 s"),
        (replace(_OPEN, breaker=BreakerState.OPEN, throttled_for_s=1), 1, "breaker open"),
        (replace(_OPEN, closed="exhausted"), 1, "closed: exhausted"),
        (replace(_OPEN, disabled="new weights", breaker=BreakerState.OPEN), 0, "disabled: new weights"),
    ],
)
def test_state_says_the_strongest_reason(gate: Gate, workers: int, state: str) -> None:
    """Of several reasons not to call, the one that lasts longest is shown."""
    assert replace(_VIEW, gate=gate, workers=workers).state == state


def test_line_tells_of_tiers_that_do_something() -> None:
    """A tier that is open and has nothing to do is left out of the line."""
    screen, _ = _screen(terminal=False)
    idle = replace(_VIEW, tier="local/house", waiting=0, in_flight=0)
    assert screen.as_line([_VIEW, idle]) == (
        "0/0 jobs | openai/fast: 0 answered, 1 in flight, 3 waiting, 2 refused, open"
    )


@pytest.mark.parametrize("terminal", [False, True])
async def test_watching_draws_or_writes(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal gets a table, anything else whole lines, and neither the same line twice."""
    monkeypatch.setattr(demo_screen, "_REDRAW_S", 0.0)
    monkeypatch.setattr(demo_screen, "_LINE_EVERY_S", 0.0)
    screen, output = _screen(terminal=terminal)
    looks = 0
    seen = asyncio.Event()

    async def look() -> list[TierView]:
        nonlocal looks
        looks += 1
        if looks == 3:
            seen.set()
        return [_VIEW]

    async with screen.watching(look):
        await seen.wait()
    shown = output.getvalue()
    assert "in flight" in shown
    assert ("\x1b" in shown) == terminal
    assert terminal or shown.count("\n") == 1


def test_log_lines_are_whole() -> None:
    """Where there is no terminal a remark is one line, however long, and its brackets are no markup."""
    screen, output = _screen(terminal=False)
    screen.say("[bold]" + "word " * 60)
    assert output.getvalue().count("\n") == 1
    assert "[bold]word" in output.getvalue()
