"""Rates as a person reads them."""

import pytest

from pointsman_console import outcome_table, screen


def _shown(capsys: pytest.CaptureFixture[str], counts: dict[str, int]) -> list[str]:
    screen.out.width = 120
    outcome_table.outcome_table([("a/fast", "triage", counts)], title="rates")
    return capsys.readouterr().out.splitlines()[-1].split()


def test_shares_of_all_calls(capsys: pytest.CaptureFixture[str]) -> None:
    """Each outcome is a share of the tier's calls for the class; broken are those nobody got an answer from."""
    counts = {"ok": 900, "empty": 20, "transient": 10, "overloaded": 5, "unknown": 5, "throttled": 40, "invalid": 20}
    row = _shown(capsys, counts)
    assert row == ["a/fast", "triage", "1,000", "90.0%", "2.0%", "-", "-", "-", "2.0%", "4.0%", "2.0%"]


def test_a_little_is_not_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """One misrouted answer in a hundred thousand shows, and the rest is not all."""
    row = _shown(capsys, {"ok": 99_999, "misrouted": 1})
    assert (row[3], row[7]) == ("99.9%", "<0.1%")
    assert _shown(capsys, {"ok": 7})[3] == "100%"
