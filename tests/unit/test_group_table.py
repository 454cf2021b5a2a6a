"""Groups as a person and a program read them."""

import pytest

from pointsman_audit import GroupKey, RecordGroup
from pointsman_console import screen
from pointsman_console.group_table import group_object, group_table

GROUP = RecordGroup(
    keys=("triage", None),
    records=2_000,
    input_tokens=12_345,
    output_tokens=None,
    unknown_tokens=7,
    cost_microusd=1_500_013,
    unknown_cost=1_234,
    p50_us=1_234_567,
    p95_us=None,
    unknown_duration=3,
    fallback=1,
    downgraded=0,
)
KEYS = (GroupKey.CLASS, GroupKey.TIER)


def test_object() -> None:
    """A program gets every figure, money as whole micro-USD and as text, unknown as null, shares of all records."""
    assert group_object(KEYS, GROUP) == {
        "class": "triage",
        "tier": None,
        "records": 2_000,
        "input_tokens": 12_345,
        "output_tokens": None,
        "unknown_tokens": 7,
        "cost_microusd": 1_500_013,
        "cost_usd": "1.500013",
        "unknown_cost": 1_234,
        "p50_us": 1_234_567,
        "p95_us": None,
        "unknown_duration": 3,
        "fallback": 1,
        "fallback_share": 0.0005,
        "downgraded": 0,
        "downgraded_share": 0.0,
    }
    assert group_object(KEYS, GROUP._replace(cost_microusd=None))["cost_usd"] is None


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    """A person sees what is unknown beside the sum it is missing from; where nothing is known there is a dash."""
    screen.out.width = 200
    group_table(KEYS, [GROUP])
    row = capsys.readouterr().out.splitlines()[1]
    assert " ".join(row.split()) == ("triage - 2,000 12,345 + 7 unknown - 1.500013 + 1,234 unknown 1.235s - 0.1% -")


@pytest.mark.parametrize(
    ("part", "shown"), [(0, "-"), (1, "0.1%"), (1_000, "50.0%"), (1_999, "99.9%"), (2_000, "100%")]
)
def test_a_little_is_not_nothing(part: int, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A share is never rounded to nothing, nor nearly all to all."""
    group_table(KEYS, [GROUP._replace(fallback=0, downgraded=part)])
    assert capsys.readouterr().out.splitlines()[1].split()[-1] == shown
