"""Whether a class may be served by a tier: one rule for the load check, the claim and the call.

It speaks of what is declared. Whether a vendor can keep what is declared of it is in `residency.py`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from .provider import Provider
from .task_class import TaskClass
from .tier import Tier

if TYPE_CHECKING:
    from .route_table import RouteTable


class RuleName(StrEnum):
    """What a class asks of every tier that serves it."""

    ROUTE = "route"
    """Its configuration names the tier."""
    REGION = "region"
    """The data is processed in one of its regions."""
    RETENTION = "retention"
    """The vendor keeps the data no longer than it allows."""
    QUALITY = "quality"
    """The tier is measured and good enough, or named as an exception."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule, and whether it holds between a class and a tier."""

    name: RuleName
    holds: bool
    because: str
    """Why it holds, or why not, in words a person can act on."""


def rules(table: "RouteTable", task_class: TaskClass, tier_name: str) -> tuple[Rule, ...]:
    """Every rule between a class and a tier, held or broken.

    Args:
        table: where the tier is looked up; it need not have passed any check.
        task_class: the class.
        tier_name: `provider/tier`, on the route or not, known or not.

    Returns:
        In the order of `RuleName`; of a tier that the table does not have, only the broken rule of the route.
    """
    tier = table.tiers.get(tier_name)
    provider = table.providers.get(tier.provider) if tier is not None else None
    if tier is None or provider is None:
        return (Rule(name=RuleName.ROUTE, holds=False, because=f"the configuration has no tier {tier_name!r}"),)
    return (_route(task_class, tier_name), *demands(task_class, provider, tier))


def forbidden(table: "RouteTable", task_class: TaskClass, tier_name: str) -> str | None:
    """Why the class may not be served by the tier, by the first rule that is broken; None if it may be."""
    return next((rule.because for rule in rules(table, task_class, tier_name) if not rule.holds), None)


def allowed_tiers(table: "RouteTable", task_class: TaskClass) -> tuple[str, ...]:
    """The tiers that may serve the class, in the order of its route: all of it, in a table that was checked."""
    return tuple(tier for tier in task_class.route if forbidden(table, task_class, tier) is None)


def demands(task_class: TaskClass, provider: Provider, tier: Tier) -> tuple[Rule, Rule, Rule]:
    """What the class asks of any tier, wherever it stands: region, retention, quality."""
    return _region(task_class, provider, tier), _retention(task_class, provider, tier), _quality(task_class, tier)


def _route(entry: TaskClass, tier_name: str) -> Rule:
    if tier_name not in entry.route:
        return Rule(name=RuleName.ROUTE, holds=False, because=f"{tier_name!r} is not on the route")
    place = "the primary" if tier_name == entry.primary else f"backup {entry.hop(tier_name)}"
    return Rule(name=RuleName.ROUTE, holds=True, because=f"it is {place} of the route")


def _region(entry: TaskClass, provider: Provider, tier: Tier) -> Rule:
    if entry.regions is None:
        return Rule(name=RuleName.REGION, holds=True, because="the class may be processed anywhere")
    listed = ", ".join(entry.regions)
    if provider.region is not None and provider.region in entry.regions:
        return Rule(name=RuleName.REGION, holds=True, because=f"{provider.region!r} is among {listed}")
    place = f"in region {provider.region!r}" if provider.region else "in no known region"
    return Rule(name=RuleName.REGION, holds=False, because=f"{tier.name!r} is {place}, outside {listed}")


def _retention(entry: TaskClass, provider: Provider, tier: Tier) -> Rule:
    longest, days = entry.max_retention_days, provider.retention_days
    if longest is None:
        return Rule(name=RuleName.RETENTION, holds=True, because="the class may be kept for any time")
    if days is not None and days <= longest:
        because = f"{days} days are within max_retention_days = {longest}"
        return Rule(name=RuleName.RETENTION, holds=True, because=because)
    kept = "an unknown time" if days is None else f"{days} days"
    because = f"{tier.name!r} keeps data for {kept}, above max_retention_days = {longest}"
    return Rule(name=RuleName.RETENTION, holds=False, because=because)


def _quality(entry: TaskClass, tier: Tier) -> Rule:
    floor, measured = entry.quality_floor, "unmeasured" if tier.quality is None else str(tier.quality)
    if floor == 0:
        return Rule(name=RuleName.QUALITY, holds=True, because="the class has no floor")
    # Asked this way round, what is not a number is below every floor.
    if tier.quality is not None and tier.quality >= floor:
        return Rule(name=RuleName.QUALITY, holds=True, because=f"{measured} is at or above the floor {floor}")
    if tier.name in entry.allow_below_floor:
        because = f"{measured} is below the floor {floor}, named in `allow_below_floor`; answers are marked downgraded"
        return Rule(name=RuleName.QUALITY, holds=True, because=because)
    return Rule(
        name=RuleName.QUALITY, holds=False, because=f"quality of {tier.name!r} is {measured}, below the floor {floor}"
    )
