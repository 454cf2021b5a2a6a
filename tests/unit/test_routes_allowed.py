"""Whether a class may be served by a tier: every rule in both directions, with its reason."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from route_cases import make_table, problems_of, raw_table

from pointsman_routes import RouteTable, Rule, RuleName, TaskClass, allowed_tiers, forbidden, rules

_MAIN = "alpha/main"


def _unchecked(
    *, provider: dict[str, Any] | None = None, tier: dict[str, Any] | None = None, **task_class: Any
) -> tuple[RouteTable, TaskClass]:
    """A table that passed no check, with changes to its first provider, tier and class, and the class."""
    table = make_table()
    alpha, triage = table.providers["alpha"], table.classes["triage"]
    changed = alpha.tiers["main"].model_copy(update=tier or {})
    alpha = alpha.model_copy(update={"tiers": {"main": changed}, **(provider or {})})
    triage = triage.model_copy(update=task_class)
    table = table.model_copy(
        update={"providers": {**table.providers, "alpha": alpha}, "classes": {"triage": triage}},
    )
    return table, triage


def _rule(name: RuleName, **changes: Any) -> Rule:
    table, triage = _unchecked(**changes)
    (rule,) = [rule for rule in rules(table, triage, _MAIN) if rule.name is name]
    return rule


_HOLDS: list[tuple[RuleName, dict[str, Any], str]] = [
    (RuleName.ROUTE, {}, "it is the primary of the route"),
    (RuleName.ROUTE, {"route": ("beta/main", _MAIN)}, "it is backup 1 of the route"),
    (RuleName.REGION, {}, "the class may be processed anywhere"),
    (RuleName.REGION, {"regions": ("eu", "local")}, "'eu' is among eu, local"),
    (RuleName.RETENTION, {}, "the class may be kept for any time"),
    (RuleName.RETENTION, {"max_retention_days": 30}, "30 days are within max_retention_days = 30"),
    (
        RuleName.RETENTION,
        {"max_retention_days": 0, "provider": {"retention_days": 0}},
        "0 days are within max_retention_days = 0",
    ),
    (RuleName.QUALITY, {}, "the class has no floor"),
    (RuleName.QUALITY, {"tier": {"quality": None}}, "the class has no floor"),
    (RuleName.QUALITY, {"quality_floor": 0.9}, "0.9 is at or above the floor 0.9"),
    (
        RuleName.QUALITY,
        {"quality_floor": 0.95, "allow_below_floor": (_MAIN,)},
        "0.9 is below the floor 0.95, named in `allow_below_floor`; answers are marked downgraded",
    ),
    (
        RuleName.QUALITY,
        {"quality_floor": 0.1, "allow_below_floor": (_MAIN,), "tier": {"quality": None}},
        "unmeasured is below the floor 0.1, named in `allow_below_floor`; answers are marked downgraded",
    ),
]
_BROKEN: list[tuple[RuleName, dict[str, Any], str]] = [
    (RuleName.ROUTE, {"route": ("beta/main",)}, "'alpha/main' is not on the route"),
    (RuleName.REGION, {"regions": ("us",)}, "'alpha/main' is in region 'eu', outside us"),
    (RuleName.REGION, {"regions": ("europe",)}, "'alpha/main' is in region 'eu', outside europe"),
    (
        RuleName.REGION,
        {"regions": ("eu",), "provider": {"region": None}},
        "'alpha/main' is in no known region, outside eu",
    ),
    (
        RuleName.RETENTION,
        {"max_retention_days": 29},
        "'alpha/main' keeps data for 30 days, above max_retention_days = 29",
    ),
    (
        RuleName.RETENTION,
        {"max_retention_days": 365, "provider": {"retention_days": None}},
        "'alpha/main' keeps data for an unknown time, above max_retention_days = 365",
    ),
    (RuleName.QUALITY, {"quality_floor": 0.91}, "quality of 'alpha/main' is 0.9, below the floor 0.91"),
    (
        RuleName.QUALITY,
        {"quality_floor": 0.01, "tier": {"quality": None}},
        "quality of 'alpha/main' is unmeasured, below the floor 0.01",
    ),
    (
        RuleName.QUALITY,
        {"quality_floor": 0.01, "tier": {"quality": float("nan")}},
        "quality of 'alpha/main' is nan, below the floor 0.01",
    ),
    (
        RuleName.QUALITY,
        {"quality_floor": 0.95, "allow_below_floor": ("beta/main",)},
        "quality of 'alpha/main' is 0.9, below the floor 0.95",
    ),
]


@pytest.mark.parametrize(("name", "changes", "because"), _HOLDS)
def test_rule_that_holds(name: RuleName, changes: dict[str, Any], because: str) -> None:
    """A rule that holds says by what it holds, and nothing is forbidden when all of them do."""
    assert _rule(name, **changes) == Rule(name=name, holds=True, because=because)
    assert forbidden(*_unchecked(**changes), _MAIN) is None


@pytest.mark.parametrize(("name", "changes", "because"), _BROKEN)
def test_rule_that_is_broken(name: RuleName, changes: dict[str, Any], because: str) -> None:
    """One broken rule forbids the tier, for that rule's reason."""
    assert _rule(name, **changes) == Rule(name=name, holds=False, because=because)
    assert forbidden(*_unchecked(**changes), _MAIN) == because


@pytest.mark.parametrize("tier", ["gamma/main", "alpha/gone", "", "alpha", "/"])
def test_a_tier_that_is_not_there(tier: str) -> None:
    """A tier the table does not have serves nothing, also if a route names it."""
    table, triage = _unchecked(route=(tier, _MAIN))
    (rule,) = rules(table, triage, tier)
    assert (rule.name, rule.holds) == (RuleName.ROUTE, False)
    assert forbidden(table, triage, tier) == f"the configuration has no tier {tier!r}"
    assert allowed_tiers(table, triage) == (_MAIN,)


def test_all_rules_are_told() -> None:
    """Every rule is told, in one order, broken or not; the reason to forbid is that of the first broken one."""
    table, triage = _unchecked(route=("beta/main",), regions=("us",), max_retention_days=1, quality_floor=1.0)
    found = rules(table, triage, _MAIN)
    assert [rule.name for rule in found] == list(RuleName)
    assert not any(rule.holds for rule in found)
    assert forbidden(table, triage, _MAIN) == found[0].because


def test_allowed_tiers_keep_their_order() -> None:
    """What is left of a route is in its order; of a table that was checked it is all of it."""
    table = make_table()
    assert allowed_tiers(table, table.classes["triage"]) == ("alpha/main", "beta/main")
    table, triage = _unchecked(route=("beta/main", _MAIN), regions=("eu", "local"))
    assert allowed_tiers(table, triage) == ("beta/main", _MAIN)
    table, triage = _unchecked(regions=("local",))
    assert allowed_tiers(table, triage) == ("beta/main",)


_place = st.sampled_from(["eu", "us", "local", None])


@given(
    region=_place,
    regions=st.none() | st.lists(_place.filter(bool), min_size=1, unique=True),
    days=st.none() | st.integers(0, 3),
    longest=st.none() | st.integers(0, 3),
    quality=st.none() | st.sampled_from([0.0, 0.5, 1.0]),
    floor=st.sampled_from([0.0, 0.5, 0.7, 1.0]),
    named=st.booleans(),
)
def test_the_load_check_and_the_rule_agree(
    *,
    region: str | None,
    regions: list[str] | None,
    days: int | None,
    longest: int | None,
    quality: float | None,
    floor: float,
    named: bool,
) -> None:
    """The check at load reports exactly the broken rules, each once, at the tier's place on the route."""
    told = {"region": region, "retention_days": days}
    demands = {
        "route": [_MAIN],
        "quality_floor": floor,
        "allow_below_floor": [_MAIN] if named else [],
        "regions": regions,
        "max_retention_days": longest,
    }
    raw = raw_table(provider=told, tier={"quality": quality}, task_class=demands)
    table, triage = _unchecked(
        provider=told,
        tier={"quality": quality},
        route=(_MAIN,),
        quality_floor=floor,
        allow_below_floor=(_MAIN,) if named else (),
        regions=tuple(regions) if regions else None,
        max_retention_days=longest,
    )
    broken = [rule.because for rule in rules(table, triage, _MAIN) if not rule.holds]
    assert [(problem.path, problem.message) for problem in problems_of(raw)] == [
        ("classes.triage.route[0]", because) for because in broken
    ]
