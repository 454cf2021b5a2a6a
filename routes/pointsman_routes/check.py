"""What must hold between sections: routes, floors, regions, retention, prices, keys."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from .allowed import RuleName, demands
from .errors import Problem
from .provider import Provider
from .provider_kind import Auth
from .residency import residency_problems
from .task_class import TaskClass
from .tier import Tier

Providers = Mapping[str, Provider]

_REMEDIES: Final[Mapping[RuleName, str]] = {
    RuleName.REGION: "remove it from the route, or set `region` of provider {provider!r}",
    RuleName.RETENTION: "remove it from the route, or set `retention_days` of provider {provider!r}",
    RuleName.QUALITY: "remove it from the route, or name it in `allow_below_floor`",
}


def check_providers(providers: Providers, found: Sequence[Problem]) -> list[Problem]:
    """Check that each vendor can keep what is declared of it.

    Args:
        providers: the providers that are well formed.
        found: the mistakes in them. A provider that has one is left out: without its mistaken key it may not be what
            its author meant.
    """
    problems: list[Problem] = []
    for name, provider in providers.items():
        if not any(f"{problem.path}.".startswith(f"providers.{name}.") for problem in found):
            problems += residency_problems(provider)
    return problems


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
                problems += [
                    Problem(where, rule.because, _REMEDIES[rule.name].format(provider=provider.name))
                    for rule in demands(entry, provider, tier)
                    if not rule.holds
                ]
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
        key_problem: why the provider's key or credentials cannot be had, or None; the remedy may follow after `; `.
    """
    problems: list[Problem] = []
    for provider in providers.values():
        path = f"providers.{provider.name}"
        reason = key_problem(provider)
        if reason is not None:
            problems.append(_credentials(path, provider, reason))
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


def _credentials(path: str, provider: Provider, reason: str) -> Problem:
    if provider.authenticates is Auth.SIGV4:
        message, _, remedy = reason.partition("; ")
        return Problem(f"{path}.auth", message, remedy or "correct AWS's own configuration")
    return Problem(f"{path}.api_key", reason, "set it, or point `api_key` elsewhere")


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


def _check_window(where: str, entry: TaskClass, tier: Tier) -> Iterable[Problem]:
    if tier.context_window is not None and entry.max_tokens >= tier.context_window:
        yield Problem(
            where,
            f"{entry.max_tokens} leaves no room in the context window of {tier.name!r} ({tier.context_window})",
            "lower it, or remove the tier from the route",
        )
