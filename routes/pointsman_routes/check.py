"""What must hold between sections: routes, floors, regions, retention, prices, keys."""

from collections.abc import Callable, Iterable, Mapping

from .errors import Problem
from .provider import Provider
from .task_class import TaskClass
from .tier import Tier

Providers = Mapping[str, Provider]


def check_classes(providers: Providers, classes: Mapping[str, TaskClass], known: frozenset[str]) -> list[Problem]:
    """Check every route: its tiers exist, and each is allowed to do the work of the class.

    Args:
        providers: the providers that are well formed.
        classes: the classes that are well formed.
        known: names of all tiers in the file, also of those with a mistake of their own.
    """
    problems: list[Problem] = []
    for name, entry in classes.items():
        path = f"classes.{name}"
        problems += _check_names(path, entry, known)
        for position, tier_name in enumerate(entry.route):
            provider = providers.get(tier_name.partition("/")[0])
            tier = provider.tiers.get(tier_name.partition("/")[2]) if provider else None
            if provider is not None and tier is not None:
                where = f"{path}.route[{position}]"
                problems += _check_residency(where, entry, provider, tier)
                problems += _check_floor(where, entry, tier)
                problems += _check_window(f"{path}.max_tokens", entry, tier)
    return problems


def check_surroundings(
    providers: Providers,
    *,
    priced: Callable[[Provider, Tier], bool],
    key_problem: Callable[[Provider], str | None],
) -> list[Problem]:
    """Check what the file alone cannot tell.

    Args:
        providers: the providers of a valid table.
        priced: whether a price is known for the tier.
        key_problem: why the provider's key cannot be read, or None.
    """
    problems: list[Problem] = []
    for provider in providers.values():
        path = f"providers.{provider.name}"
        reason = key_problem(provider)
        if reason is not None:
            problems.append(Problem(f"{path}.api_key", reason, "set it, or point `api_key` elsewhere"))
        problems += [
            Problem(
                f"providers.{tier.name.replace('/', '.tiers.')}.price",
                f"no price is known for the model {tier.model!r}",
                "write price = { input = ..., output = ... } in USD per million tokens",
            )
            for tier in provider.tiers.values()
            if not priced(provider, tier)
        ]
    return problems


def _check_names(path: str, entry: TaskClass, known: frozenset[str]) -> Iterable[Problem]:
    listed = ", ".join(sorted(known)) or "none is defined"
    for position, tier in enumerate(entry.route):
        where = f"{path}.route[{position}]"
        if tier not in known:
            yield Problem(where, f"unknown tier {tier!r}", f"name one of: {listed}")
        if tier in entry.route[:position]:
            yield Problem(where, f"{tier!r} stands on the route twice", "remove one of the two")
    for position, tier in enumerate(entry.allow_below_floor):
        if tier not in entry.route:
            where = f"{path}.allow_below_floor[{position}]"
            yield Problem(where, f"{tier!r} is not on the route", "remove it, or add the tier to the route")


def _check_residency(where: str, entry: TaskClass, provider: Provider, tier: Tier) -> Iterable[Problem]:
    if entry.regions is not None and provider.region not in entry.regions:
        region = f"in region {provider.region!r}" if provider.region else "in no known region"
        yield Problem(
            where,
            f"{tier.name!r} is {region}, outside {', '.join(entry.regions)}",
            f"remove it from the route, or set `region` of provider {provider.name!r}",
        )
    longest = entry.max_retention_days
    if longest is not None and (provider.retention_days is None or provider.retention_days > longest):
        kept = "an unknown time" if provider.retention_days is None else f"{provider.retention_days} days"
        yield Problem(
            where,
            f"{tier.name!r} keeps data for {kept}, above max_retention_days = {longest}",
            f"remove it from the route, or set `retention_days` of provider {provider.name!r}",
        )


def _check_floor(where: str, entry: TaskClass, tier: Tier) -> Iterable[Problem]:
    if entry.quality_floor == 0 or tier.name in entry.allow_below_floor:
        return
    if tier.quality is None or tier.quality < entry.quality_floor:
        measured = "unmeasured" if tier.quality is None else str(tier.quality)
        yield Problem(
            where,
            f"quality of {tier.name!r} is {measured}, below the floor {entry.quality_floor}",
            "remove it from the route, or name it in `allow_below_floor`",
        )


def _check_window(where: str, entry: TaskClass, tier: Tier) -> Iterable[Problem]:
    if tier.context_window is not None and entry.max_tokens >= tier.context_window:
        yield Problem(
            where,
            f"{entry.max_tokens} leaves no room in the context window of {tier.name!r} ({tier.context_window})",
            "lower it, or remove the tier from the route",
        )
