"""A route explained: what follows a failure is what the decisions say, and what is unknown is said to be."""

from typing import Any

import pytest
from route_cases import ANSWER, ROUTE, make_class, make_standing, make_table

from pointsman_console.foresight import foresee, step_words, troubles
from pointsman_console.route_explanation import Explanation, Health
from pointsman_queue import Gate, LearnedLimit, TierLoad
from pointsman_routes import (
    Decision,
    Fail,
    Hold,
    Move,
    Ok,
    Outcome,
    Reason,
    RouteTable,
    Standing,
    Succeed,
    Wait,
    decide,
)

ALPHA, BETA, GAMMA = ROUTE


def _gate(scope: str, **changes: Any) -> Gate:
    return Gate(scope=scope, **{"levels": {}, "learned": {}, **changes})


def _health(table: RouteTable, **gates: Gate) -> Health:
    scopes = [*table.tiers, *table.providers]
    return Health(
        gates={scope: gates.get(scope.replace("/", "_"), _gate(scope)) for scope in scopes},
        loads={tier: TierLoad(tier=tier, queued=7, delayed=1, leased=2, held=0) for tier in table.tiers},
        workers=dict.fromkeys(table.tiers, 3),
    )


def _explained(table: RouteTable, health: Health | None, *, all_open: bool = False) -> Explanation:
    return Explanation(table=table, task_class=table.classes["triage"], health=health, all_open=all_open)


def _words(explanation: Explanation, trouble: str) -> list[str]:
    return [cell.words for cell in explanation.follows()[trouble]]


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ("overloaded", f"2nd time\n-> {BETA}"),
        ("transient", f"2nd time\n-> {BETA}"),
        ("throttled", "retry here"),
        ("throttled for long", f"-> {BETA}"),
        ("exhausted", f"-> {BETA}"),
        ("unauthorized", f"-> {BETA}"),
        ("misrouted", f"-> {BETA}"),
        ("unsupported", f"-> {BETA}"),
        ("empty", f"2nd time\n-> {BETA}"),
        ("truncated", "deliver, flagged"),
        ("refused", "fail: refused"),
        ("invalid", "fail: invalid"),
        ("worker lost", "3rd time\nfail: poison"),
        ("disabled", f"-> {BETA}"),
        ("breaker open", f"-> {BETA}"),
    ],
)
def test_each_trouble_at_the_primary(trouble: str, words: str) -> None:
    """With every tier open, each trouble at the primary leads where the table of outcomes says."""
    assert foresee(make_standing(), troubles(make_class())[trouble]).words == words


@pytest.mark.parametrize(
    ("trouble", "changes", "words"),
    [
        ("overloaded", {}, "6th time\nfail: overloaded"),
        ("throttled", {}, "retry here"),
        ("throttled for long", {}, "goes round"),
        ("exhausted", {}, "3rd time\nhold"),
        ("exhausted", {"on_exhausted": "fail"}, "3rd time\nfail: no_tier_left"),
        ("disabled", {}, "3rd time\nhold"),
        ("misrouted", {}, "3rd time\nfail: misrouted"),
        ("unsupported", {}, "3rd time\nfail: unsupported"),
        ("refused", {"on_refused": "move"}, "3rd time\nfail: refused"),
        ("truncated", {"on_truncated": "move"}, "3rd time\nfail: truncated"),
        ("empty", {"max_attempts": 2}, "2nd time\nfail: empty"),
    ],
)
def test_the_same_trouble_everywhere(trouble: str, changes: dict[str, Any], words: str) -> None:
    """When every tier has the same trouble a job ends or is held as its class says, after as many times as it takes."""
    task_class = make_class(**changes)
    foreseen = foresee(make_standing(task_class), troubles(task_class)[trouble], everywhere=True)
    assert foreseen.words == words


def test_every_step_is_a_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is shown comes out of `decide`: another decision there shows another step here."""
    monkeypatch.setattr("pointsman_console.foresight.decide", _all_succeed)
    foreseen = foresee(make_standing(), troubles(make_class())["exhausted"])
    assert foreseen.words == "deliver"


def _all_succeed(standing: Standing, _: Outcome) -> Decision:
    return decide(standing, Ok(answer=ANSWER))


def test_gates_as_they_are_now() -> None:
    """A tier that is shut is not moved to; with nothing left the job is held, and with --all-open it moves."""
    table = make_table()
    health = _health(table, beta=_gate("beta", disabled="incident 7", disabled_by="the one on call"))
    assert _words(_explained(table, health), "exhausted")[0] == "hold"
    assert _words(_explained(table, health), "disabled")[0] == "hold"
    assert _words(_explained(table, health, all_open=True), "exhausted")[0] == "-> beta/main"
    assert _words(_explained(table, None), "exhausted")[0] == "-> beta/main"


def test_transient_with_every_other_tier_shut() -> None:
    """A call that broke is tried again at its own tier while no other is open, until the attempts are spent."""
    table = make_table()
    health = _health(table, beta_main=_gate("beta/main", closed="unauthorized"))
    assert _words(_explained(table, health), "transient")[0] == "6th time\nfail: transient"


def test_facts_of_the_chain() -> None:
    """A row has the rules with their reasons, the limits as configured and learned, and the tier as it is now."""
    table = make_table(tier={"limits": {"tpm": 200_000}}, provider={"limits": {"rpm": 5000}})
    gate = _gate(
        "alpha/main",
        learned={"tpm": LearnedLimit(limit=150_000, told=True)},
        levels={"tpm": 1234.5678},
        throttled_for_s=3.21987,
    )
    first, second = _explained(table, _health(table, alpha_main=gate)).chain()
    assert (first["hop"], first["tier"], first["open"], first["workers"], first["queued"]) == (
        0, "alpha/main", "yes", 3, 7,
    )  # fmt: skip
    assert first["limits"] == {"tpm": 200_000}
    assert first["learned"]["tpm"] == {"limit": 150_000, "from": "vendor", "refills": None}
    assert (first["levels"], first["throttled_for_s"]) == ({"tpm": 1234.568}, 3.22)
    assert first["account"]["limits"] == {"rpm": 5000}
    assert {rule["rule"]: rule["holds"] for rule in first["rules"]} == dict.fromkeys(
        ("route", "region", "retention", "quality"), True
    )
    assert first["if_it_fails"]["transient"] == {
        "first": {"step": "retry", "after_s": 0.75, "reason": "transient"},
        "times": 2,
        "then": {"step": "move", "to": "beta/main", "reason": "transient"},
    }
    assert first["if_it_fails"]["throttled"] == {
        "first": {"step": "retry", "after_s": 1, "reason": "throttled"}, "times": None, "then": None,
    }  # fmt: skip
    assert (second["usd_per_mtok_in"], second["price_source"]) == (None, None)


def test_health_unknown() -> None:
    """Without Redis the chain is told all the same; of the tiers' health nothing is claimed."""
    first, _ = _explained(make_table(), None).chain()
    assert first["open"] == "unknown"
    assert [first[name] for name in ("state", "queued", "workers", "throttled_for_s", "breaker")] == [None] * 5
    assert first["learned"] == {}


def test_words_of_steps() -> None:
    """Every kind of step has words of its own."""
    steps = (
        Succeed(answer=ANSWER),
        Fail(code="refused", detail=""),
        Move(tier=BETA, reason=Reason.EMPTY),
        Wait(seconds=1, reason=Reason.EMPTY),
        Hold(tiers=(GAMMA,), reason=Reason.EMPTY),
    )
    assert [step_words(step) for step in steps] == ["deliver", "fail: refused", f"-> {BETA}", "retry here", "hold"]
