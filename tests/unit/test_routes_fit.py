"""Whether a job can ever pass the limits of its route."""

from typing import Any

import pytest
from queue_cases import make_table

from pointsman_routes import Fit

MAX = {"counted_tokens": "max_tokens"}


def _problem(characters: int, max_tokens: int, *, provider: dict[str, Any] | None = None, **main: int) -> str | None:
    table = make_table(main=main, provider=provider)
    return Fit(table, table.classes["solo"]).problem(characters, max_tokens)


@pytest.mark.parametrize(
    ("characters", "max_tokens", "provider", "limits", "fits"),
    [
        (8_000_000, 10**6, None, {}, True),
        (8000, 1, None, {"tpm": 1000}, True),
        (8008, 1, None, {"tpm": 1000}, False),
        (8008, 1, None, {"itpm": 1000}, False),
        (80, 5000, None, {"tpm": 1000, "otpm": 1000}, True),
        (80, 990, MAX, {"tpm": 1000}, True),
        (80, 991, MAX, {"tpm": 1000}, False),
        (80, 1001, MAX, {"otpm": 1000}, False),
        (80, 5000, MAX, {"rpm": 1}, True),
    ],
)
def test_bounds(characters: int, max_tokens: int, provider: dict[str, Any], limits: dict[str, int], fits: bool) -> None:
    """Prompts are counted low, answers where the vendor counts max_tokens; a job as large as a limit passes."""
    assert (_problem(characters, max_tokens, provider=provider, **limits) is None) is fits


def test_one_tier_is_enough() -> None:
    """A job that some tier of its route can take is taken."""
    table = make_table(main={"tpm": 10})
    assert Fit(table, table.classes["triage"]).problem(80_000, 1) is None


def test_message() -> None:
    """For each tier the message names the limit that is passed, whose it is, what is needed, and what to do."""
    assert _problem(80_000, 50, provider=MAX, tpm=900) == (
        "fits no tier of its route: the tpm limit a minute of alpha/main is 900, prompt and max_tokens come to at "
        "least 10,050. Shorten the prompt, lower max_tokens, or add a tier"
    )
    assert "the prompt has at least 10,000 tokens. " in str(_problem(80_000, 50, tpm=900))
    assert "the otpm limit a minute of alpha/main is 40, max_tokens is 50. " in str(
        _problem(8, 50, provider=MAX, otpm=40)
    )


def test_message_of_an_account_and_a_window() -> None:
    """A limit of the account and a context window are named as such."""
    table = make_table(account={"itpm": 5}, tier={"context_window": 2000})
    fit = Fit(table, table.classes["solo"])
    assert "the itpm limit a minute of alpha is 5, the prompt has at least 6 tokens" in str(fit.problem(48, 1))
    told = "the context window of alpha/main is 2,000, prompt and max_tokens come to at least 2,001"
    assert told in str(fit.problem(8, 2000))
