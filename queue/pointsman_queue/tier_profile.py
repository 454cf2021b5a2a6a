"""What a claim needs to know of a tier."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from pointsman_routes import Breaker, Limits, Provider, Rate, RouteTable, TaskClass, forbidden

_compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


@dataclass(frozen=True, slots=True, kw_only=True)
class TierProfile:
    """What a claim needs to know of a tier; fixed for the life of a worker."""

    tier: str
    provider: str
    limits: dict[str, Any]
    """Of the tier, with what is configured about keeping to them."""
    account: dict[str, Any]
    """Likewise of its provider."""
    account_tiers: tuple[str, ...]
    price_in: float
    price_out: float
    hops: dict[str, int]
    """By class its position on the route; only of classes that it may serve, so that no other is leased for a call."""
    others: dict[str, tuple[str, ...]]
    """By class the tiers its jobs may go to from here: those after this one on the route, then those before it."""
    least_spill_ms: int | None
    """The shortest `spill_after` of the classes whose jobs may go elsewhere."""
    names: str
    """JSON members that every record of the tier carries: `tier`, `policy_digest`."""
    call_names: str
    """Those that records of a call carry besides: `provider`, `owner`, `model`, `region`."""
    timezone: str = "UTC"
    """Its midnight begins the vendor's day."""
    removed: bool = False
    """The configuration does not have it; jobs that were queued for it are handed over, if no worker serves it."""

    @classmethod
    def of(cls, table: RouteTable, tier_name: str, rate: Rate) -> "TierProfile":
        """Take a tier's profile from the route table."""
        tier, provider = table.tiers[tier_name], table.provider_of(tier_name)
        call_names = {
            "provider": provider.name,
            "owner": provider.owner,
            "model": tier.model,
            "region": provider.region,
        }
        classes = [entry for entry in table.classes.values() if forbidden(table, entry, tier_name) is None]
        others = {entry.name: tiers for entry in classes if (tiers := _elsewhere(table, entry, tier_name))}
        waits = [entry.spill_after.total_seconds() for entry in classes if entry.name in others]
        siblings = tuple(entry.name for entry in provider.tiers.values())
        shared_burst = min(entry.burst.total_seconds() for entry in provider.tiers.values())
        return cls(
            tier=tier_name,
            provider=provider.name,
            limits={**_conf(provider, tier.limits, tier.burst.total_seconds()), "breaker": _breaker(tier.breaker)},
            account={**_conf(provider, provider.limits, shared_burst), "tiers": siblings},
            account_tiers=siblings,
            price_in=float(rate.price.input),
            price_out=float(rate.price.output),
            hops={entry.name: entry.hop(tier_name) for entry in classes},
            others=others,
            least_spill_ms=round(min(waits) * 1000) if waits else None,
            names=_names(table, tier_name),
            call_names=_members(call_names),
            timezone=provider.midnight_zone,
        )

    @classmethod
    def of_removed(cls, table: RouteTable, tier_name: str, dearest: Rate) -> "TierProfile":
        """The profile of a tier that is no longer in the route table.

        Args:
            table: the route table.
            tier_name: the tier.
            dearest: what a call cut off there is charged by; its own price is not known any more.
        """
        provider = tier_name.partition("/")[0]
        call_names = {"provider": provider, "owner": None, "model": "unknown", "region": None}
        return cls(
            tier=tier_name,
            provider=provider,
            limits={},
            account={},
            account_tiers=(tier_name,),
            price_in=float(dearest.price.input),
            price_out=float(dearest.price.output),
            hops={},
            others={},
            least_spill_ms=None,
            names=_names(table, tier_name),
            call_names=_members(call_names),
            removed=True,
        )

    def zone_s(self, now: datetime) -> int:
        """Seconds that the clock of the vendor's midnight is ahead of UTC.

        It changes in the small hours, not at midnight, so a caller's clock may be minutes off and the day is right.
        """
        offset = now.astimezone(ZoneInfo(self.timezone)).utcoffset()
        return round(offset.total_seconds()) if offset is not None else 0

    def confs(self, zone_s: int) -> tuple[str, str]:
        """The limits of the tier and of its account as gates keep them: JSON."""
        return _compact({**self.limits, "zone_s": zone_s}), _compact({**self.account, "zone_s": zone_s})


def _names(table: RouteTable, tier_name: str) -> str:
    return _members({"tier": tier_name, "policy_digest": table.policy_digest})


def _members(values: dict[str, str | None]) -> str:
    """A JSON object's inside."""
    return _compact(values)[1:-1]


def _elsewhere(table: RouteTable, task_class: TaskClass, tier_name: str) -> tuple[str, ...]:
    """Where jobs may go from the tier, in order."""
    return tuple(name for name in task_class.after(tier_name) if forbidden(table, task_class, name) is None)


def _breaker(breaker: Breaker) -> dict[str, float]:
    return {
        "window_ms": round(breaker.window.total_seconds() * 1000),
        "least": breaker.least_calls,
        "rate": breaker.failure_rate,
        "open_ms": round(breaker.open_for.total_seconds() * 1000),
    }


def _conf(provider: Provider, limits: Limits, burst_s: float) -> dict[str, Any]:
    known = limits.model_dump(exclude_defaults=True)
    return {**known, "burst_s": burst_s, "learn": provider.learn_limits.value, "counts": provider.counts.value}
