"""What a vendor said is left, as the queue learns it: whose limit each figure is."""

from collections.abc import Iterable

from pointsman_queue import Heard
from pointsman_routes import Allowance, Provider, RouteTable, Tier


def heard_of(table: RouteTable, tier_name: str, allowances: Iterable[Allowance]) -> tuple[Heard, ...]:
    """Attribute a vendor's figures to the tier or to its account.

    Headers do not say whose limit they speak of. It is the account's where the configuration limits the account and
    not the tier; where it limits both, it is the one whose configured limit is nearer; otherwise it is the tier's.

    Weakness: two tiers that share an account's limit without the configuration saying so learn it each for itself, and
    are corrected by the other's calls only with the next answer.
    """
    tier, provider = table.tiers[tier_name], table.provider_of(tier_name)
    return tuple(
        Heard(
            scope=_scope(tier, provider, allowance),
            name=allowance.name,
            limit=allowance.limit,
            left=allowance.remaining,
            reset_ms=None if allowance.reset_s is None else round(allowance.reset_s * 1000),
        )
        for allowance in allowances
    )


def _scope(tier: Tier, provider: Provider, allowance: Allowance) -> str:
    own, shared = getattr(tier.limits, allowance.name), getattr(provider.limits, allowance.name)
    if not shared:
        return tier.name
    if not own:
        return provider.name
    nearer = allowance.limit is not None and abs(allowance.limit - shared) < abs(allowance.limit - own)
    return provider.name if nearer else tier.name
