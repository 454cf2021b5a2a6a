"""Whose limit a vendor's figures are taken to be."""

import pytest
from queue_cases import MAIN, make_table

from pointsman_routes import Allowance
from pointsman_worker.hearing import heard_of


@pytest.mark.parametrize(
    ("tier", "account", "said", "scope"),
    [
        ({}, {}, 600, MAIN),
        ({"rpm": 600}, {}, 600, MAIN),
        ({}, {"rpm": 600}, 600, "alpha"),
        ({"rpm": 100}, {"rpm": 600}, 590, "alpha"),
        ({"rpm": 100}, {"rpm": 600}, 90, MAIN),
        ({"rpm": 100}, {"rpm": 600}, None, MAIN),
        ({}, {"tpm": 600}, 600, MAIN),
    ],
)
def test_scope(tier: dict[str, int], account: dict[str, int], said: int | None, scope: str) -> None:
    """Figures are the account's where only it is limited, or its limit is the nearer one; else the tier's."""
    table = make_table(main=tier, account=account)
    (heard,) = heard_of(table, MAIN, [Allowance(name="rpm", limit=said, remaining=5, reset_s=2)])
    assert heard == (scope, "rpm", said, 5, 2000)


def test_what_is_not_known() -> None:
    """A reset the vendor does not name is none, not zero."""
    (heard,) = heard_of(make_table(), MAIN, [Allowance(name="tpm", limit=None, remaining=5, reset_s=None)])
    assert heard.reset_ms is None
