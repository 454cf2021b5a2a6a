"""docs/outcomes.md is what the code makes of vendors' signals, and each signal is mapped once."""

import re
from collections.abc import Iterable
from itertools import combinations

import pytest
from outcome_samples import codec_of
from outcomes_page import family_of, page
from project_tree import ROOT

from pointsman_routes import OutcomeKind, ProviderKind
from pointsman_worker.providers.signal_table import COMMON, Signal

EVERY = pytest.mark.parametrize("kind", list(ProviderKind))
_STATUSES = re.compile(r"\A\d{3}(?:, \d{3})*")
_OVERRIDDEN = {"invalid_prompt", "content_policy_violation"}
"""Codes that OpenRouter uses otherwise than chat completions do, or with other statuses."""


def _signals(kind: ProviderKind) -> tuple[Signal, ...]:
    """Everything a kind reads an error by, in the order in which it does."""
    codec = codec_of(kind)
    return (*codec.signals_any_status, *codec.signals, *COMMON)


def _takes_all_of(first: Signal, second: Signal) -> bool:
    """Whether whatever the second signal matches, the first one does."""
    words = first.words is None or (second.words is not None and first.words.pattern == second.words.pattern)
    return (
        (first.status is None or (second.status is not None and second.status <= first.status))
        and (not first.names or (bool(second.names) and second.names <= first.names))
        and words
        and first.when in (None, second.when)
    )


def test_page_is_what_the_code_says() -> None:
    """The page is the tables: `python tests/outcomes_page.py > docs/outcomes.md` makes it so again."""
    assert (ROOT / "docs" / "outcomes.md").read_text() == page()


@EVERY
def test_each_signal_is_mapped_once(kind: ProviderKind) -> None:
    """No signal of a kind has the condition of an earlier one, or one that the earlier takes everything of."""
    hidden = [(a.says, b.says) for a, b in combinations(_signals(kind), 2) if _takes_all_of(a, b)]
    assert hidden == []


@EVERY
def test_each_code_is_mapped_once(kind: ProviderKind) -> None:
    """A code stands in one row of a kind, unless a message or status tells two apart, or it is used otherwise there."""
    named = [signal for signal in _signals(kind) if signal.names and signal.words is None]
    twice = set().union(*(a.names & b.names for a, b in combinations(named, 2)), set())
    assert twice == (_OVERRIDDEN if kind is ProviderKind.OPENROUTER else set())


@EVERY
def test_nothing_is_left_over(kind: ProviderKind) -> None:
    """The last row takes whatever is left, so every error has an outcome, and no row stands behind it."""
    last = _signals(kind)[-1]
    assert last == Signal(says=last.says, outcome=OutcomeKind.TRANSIENT)


def _once(signals: Iterable[Signal]) -> list[Signal]:
    return list({id(signal): signal for signal in signals}.values())


@pytest.mark.parametrize(
    "signal", _once(signal for kind in ProviderKind for signal in _signals(kind)), ids=lambda signal: signal.says[:40]
)
def test_words_name_the_statuses(signal: Signal) -> None:
    """Where the words of a signal begin with statuses, those are the ones it is bound to, or its code has that one."""
    found = _STATUSES.match(signal.says)
    if found is not None:
        named = {int(status) for status in found[0].split(", ")}
        assert set(signal.status or ()) == named or (signal.status is None and signal.names)


def test_every_outcome_is_there() -> None:
    """Each of the thirteen outcomes stands on the page, with a signal or, for `unknown`, in words."""
    text = page()
    cells = {row.rsplit("| ", 1)[1].rstrip(" |") for row in text.splitlines() if row.startswith("| ")}
    shown = {word for cell in cells for word in re.findall(r"[a-z]+", cell)}
    assert {kind.value for kind in OutcomeKind} - shown == {"unknown"}
    assert "`unknown`" in text


@EVERY
def test_every_kind_has_its_section(kind: ProviderKind) -> None:
    """Each kind has one section; it refers to its family where it has one."""
    section = page().split(f"\n## {kind.value}\n")
    assert len(section) == 2
    family = family_of(kind)
    assert family is None or family.link in section[1].split("\n## ")[0]
