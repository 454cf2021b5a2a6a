"""A route explained: why each tier may serve, how it is now, and what follows if it fails."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pointsman_queue import Gate, TierLoad
from pointsman_routes import RouteTable, Standing, TaskClass, allowed_tiers, rules

from .foresight import Foreseen, foresee, troubles
from .gate_words import limits_of, state_of

_NOW = ("open", "state", "breaker", "throttled_for_s", "queued", "delayed", "in_flight", "held", "workers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How the tiers of a route are at a moment."""

    gates: Mapping[str, Gate]
    """Of the tiers and of their providers."""
    loads: Mapping[str, TierLoad]
    workers: Mapping[str, int]
    """Living ones, by tier."""

    def is_open(self, tier: str) -> bool:
        """Whether jobs may be queued for it."""
        return self.gates[tier].open and self.gates[tier.partition("/")[0]].open


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A class, explained."""

    table: RouteTable
    task_class: TaskClass
    health: Health | None
    """None is unknown."""
    all_open: bool
    """Whether what follows is to be found as if every tier were open."""

    @property
    def as_if_all_open(self) -> bool:
        """Whether it is found so: asked for, or for want of knowledge."""
        return self.all_open or self.health is None

    def chain(self) -> list[dict[str, Any]]:
        """A row for each tier of the route, in its order. What is unknown is None, or the word."""
        follows = self.follows()
        return [
            {
                "hop": hop,
                **tier_facts(self.table, tier),
                "downgraded": self.table.downgraded(self.task_class, tier),
                "rules": [
                    {"rule": rule.name.value, "holds": rule.holds, "because": rule.because}
                    for rule in rules(self.table, self.task_class, tier)
                ],
                **self._limits(tier),
                **self._now(tier),
                "if_it_fails": {name: cells[hop].facts for name, cells in follows.items()},
            }
            for hop, tier in enumerate(self.task_class.route)
        ]

    def follows(self) -> dict[str, list[Foreseen]]:
        """By trouble what follows it at each tier of the route, and last what follows if every tier has it.

        Each is found for a job with nothing counted against it yet.
        """
        route = self.task_class.route
        return {
            name: [
                *(foresee(self._standing(tier), trouble) for tier in route),
                foresee(self._standing(route[0]), trouble, everywhere=True),
            ]
            for name, trouble in troubles(self.task_class).items()
        }

    def _standing(self, tier: str) -> Standing:
        route = self.task_class.route
        health = None if self.as_if_all_open else self.health
        return Standing(
            task_class=self.task_class,
            tier=tier,
            open_tiers=frozenset(name for name in route if health is None or health.is_open(name)),
            served=frozenset(name for name in route if health is None or health.gates[name].served),
            barred=frozenset(route) - frozenset(allowed_tiers(self.table, self.task_class)),
            seconds_left=self.task_class.deadline.total_seconds(),
        )

    def _limits(self, tier: str) -> dict[str, Any]:
        provider = self.table.provider_of(tier)
        gates = self.health.gates if self.health is not None else {}
        account = limits_of(provider.limits, gates.get(provider.name))
        own = limits_of(self.table.tiers[tier].limits, gates.get(tier))
        return {**own, "account": {"provider": provider.name, **account}}

    def _now(self, tier: str) -> dict[str, Any]:
        if self.health is None:
            return {**dict.fromkeys(_NOW), "open": "unknown"}
        gate, account = self.health.gates[tier], self.health.gates[self.table.tiers[tier].provider]
        load = self.health.loads[tier]
        return {
            "open": "yes" if self.health.is_open(tier) else "no",
            "state": state_of(gate, account),
            "breaker": gate.breaker.value,
            "throttled_for_s": round(max(gate.throttled_for_s, account.throttled_for_s), 3),
            "queued": load.queued,
            "delayed": load.delayed,
            "in_flight": load.leased,
            "held": load.held,
            "workers": self.health.workers[tier],
        }


def tier_facts(table: RouteTable, name: str) -> dict[str, Any]:
    """What is fixed about a tier."""
    from pointsman_worker import rate_for  # here, so that checking a route table starts no HTTP library

    tier, provider = table.tiers[name], table.provider_of(name)
    rate = rate_for(provider, tier)
    return {
        "tier": name,
        "model": tier.model,
        "region": provider.region,
        "retention_days": provider.retention_days,
        "quality": tier.quality,
        "usd_per_mtok_in": str(rate.price.input) if rate else None,
        "usd_per_mtok_out": str(rate.price.output) if rate else None,
        "price_source": rate.source if rate else None,
        "owner": provider.owner,
    }
