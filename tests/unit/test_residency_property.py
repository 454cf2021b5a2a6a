"""No configuration, outage or answer takes a job to a tier that may not serve it: many random ones, and shrunk ones.

`make residency` walks a million configurations.
"""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from residency_walk import Breach, Figures, unchecked, walk, walk_many
from residency_world import World, world_of
from route_cases import problems_of

from pointsman_routes import forbidden

_MANY = 4_000
"""Configurations of one seed."""


def _walked(seed: int, configurations: int) -> Figures:
    figures = walk_many(seed, configurations)
    assert figures.configurations == figures.accepted + figures.refused == configurations
    return figures


@pytest.mark.parametrize("seed", [1, 2])
def test_no_call_where_it_may_not_be(seed: int) -> None:
    """What the load check accepts never leads to a call outside the oracle's set; what it refuses has a mistake.

    Also with the check left out, or a claim that leases anything, no call is made where it may not be.
    """
    figures = _walked(seed, _MANY)
    # Were one of these rare, the walk would prove little.
    assert min(figures.accepted, figures.unchecked) > _MANY // 5
    assert min(figures.calls, figures.moves, figures.holds, figures.turned_away) > _MANY // 3


def test_no_call_where_it_may_not_be_by_chance() -> None:
    """The same for configurations that no run has seen before; a failure names its seed."""
    _walked(random.SystemRandom().randrange(2**32), _MANY)


class _NothingGoes(World):
    """A world that calls itself right, and whose classes may be served by no tier."""

    def is_right(self) -> bool:
        """It says so."""
        return True

    def may_serve(self, class_name: str) -> frozenset[str]:
        """Nothing."""
        return frozenset()


def test_a_breach_is_seen() -> None:
    """The walk is not blind: where the oracle has no tier, the first thing a job could do is a breach."""
    world = next(world for seed in range(100) if (world := world_of(random.Random(seed))).is_right())
    with pytest.raises(Breach, match="a claim would lease"):
        asyncio.run(walk(_NothingGoes(raw=world.raw, accounts=world.accounts), random.Random(1), Figures()))


_worlds = st.randoms(use_true_random=False).map(world_of)


@settings(max_examples=200, deadline=None)
@given(_worlds)
def test_the_check_and_the_oracle_agree(world: World) -> None:
    """A configuration is accepted exactly if the oracle finds nothing wrong with it."""
    assert (problems_of(world.raw) == ()) == world.is_right()


@settings(max_examples=200, deadline=None)
@given(_worlds)
def test_the_rule_and_the_oracle_agree(world: World) -> None:
    """Tier by tier and class by class, in tables nobody checked, the rule forbids what the oracle objects to."""
    table = unchecked(world)
    for name, entry in (table.classes if table else {}).items():
        assert table is not None
        allowed = {tier for tier in table.tiers if forbidden(table, entry, tier) is None}
        assert allowed == world.may_serve(name)


@settings(max_examples=100, deadline=None)
@given(_worlds, st.randoms(use_true_random=False))
def test_jobs_stay_where_they_may_be(world: World, rng: random.Random) -> None:
    """The walk of one configuration, small enough to read when it fails."""
    asyncio.run(walk(world, rng, Figures(), jobs=1))
