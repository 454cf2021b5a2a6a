"""The route table: every provider, tier and class of `pointsman.toml`, checked and ready to be asked."""

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import PurePath
from typing import Any, TypeVar

from pydantic import Field, ValidationError
from pydantic_core import ErrorDetails

from .check import check_classes, check_providers
from .errors import ConfigError, Problem
from .job import ClassName
from .provider import Name, Provider
from .task_class import TaskClass
from .tier import Tier
from .wire import Wire

_Section = TypeVar("_Section", bound=Wire)
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_REMEDIES = {
    "missing": "add it",
    "extra_forbidden": "remove it, or correct its spelling",
}


class RouteTable(Wire):
    """Providers with their tiers, and task classes with their routes."""

    providers: dict[Name, Provider] = Field(min_length=1)
    classes: dict[ClassName, TaskClass] = Field(min_length=1)

    @cached_property
    def tiers(self) -> Mapping[str, Tier]:
        """Every tier by its full name, in the order of the file."""
        return {tier.name: tier for provider in self.providers.values() for tier in provider.tiers.values()}

    @cached_property
    def policy(self) -> str:
        """The canonical configuration: compact JSON, keys sorted, every default written out.

        Secrets are not part of it: the file only names where they are.
        """
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @cached_property
    def policy_digest(self) -> str:
        """SHA-256 of `policy`, as 64 hexadecimal digits."""
        return hashlib.sha256(self.policy.encode()).hexdigest()

    def provider_of(self, tier: str) -> Provider:
        """The account a tier belongs to.

        Raises:
            KeyError: no such tier.
        """
        return self.providers[self.tiers[tier].provider]

    def classes_through(self, tier: str) -> tuple[TaskClass, ...]:
        """The classes whose route has this tier."""
        return tuple(entry for entry in self.classes.values() if tier in entry.route)

    def downgraded(self, task_class: TaskClass, tier: str) -> bool:
        """Whether an answer of this tier is below the class's floor. An unmeasured tier is below any floor."""
        quality = self.tiers[tier].quality
        return task_class.quality_floor > 0 and (quality is None or quality < task_class.quality_floor)


def read_route_table(text: str, source: PurePath) -> RouteTable:
    """Read `pointsman.toml`.

    Args:
        text: the file's content.
        source: its path, for messages.

    Raises:
        ConfigError: with every mistake found, each with its key's path and the remedy.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([Problem(str(source), f"not valid TOML: {error}", "correct the syntax")]) from None
    return build_route_table(raw)


def build_route_table(raw: Mapping[str, Any]) -> RouteTable:
    """Build a route table from the parsed file; see `read_route_table`."""
    problems = [
        Problem(key, "unknown key", "remove it; the top level has `providers` and `classes`")
        for key in raw
        if key not in ("providers", "classes")
    ]
    providers = _sections(raw, "providers", Provider, problems)
    problems += check_providers(providers, problems)
    classes = _sections(raw, "classes", TaskClass, problems)
    problems += check_classes(providers, classes, known=frozenset(_tier_names(raw)))
    if problems:
        raise ConfigError(problems)
    return RouteTable(providers=providers, classes=classes)


def _sections(raw: Mapping[str, Any], key: str, kind: type[_Section], problems: list[Problem]) -> dict[str, _Section]:
    """Validate the sections under a key one by one, so that a mistake in one hides none in another."""
    tables = raw.get(key)
    if not isinstance(tables, dict) or not tables:
        problems.append(Problem(key, "no section of this kind", f"add at least one [{key}.NAME]"))
        return {}
    good = {}
    for name, table in tables.items():
        path = f"{key}.{name}"
        if not _NAME.fullmatch(name):
            problems.append(Problem(path, "not a usable name", "use lower-case letters, digits, '-', '_' and '.'"))
        if not isinstance(table, dict):
            problems.append(Problem(path, "not a table", f"write [{path}]"))
            continue
        problems += [Problem(f"{place}.name", "unknown key", "remove it") for place in _named(path, table)]
        section, mistakes = _section(path, kind, {**table, "name": name})
        problems += mistakes
        if section is not None:
            good[name] = section
    return good


def _section(path: str, kind: type[_Section], table: dict[str, Any]) -> tuple[_Section | None, list[Problem]]:
    """Validate one section.

    Returns:
        The section and its mistakes. With mistakes it is what its other keys say, so that these are checked against
        the other sections in the same run; None if they do not make one.
    """
    try:
        return kind.model_validate(table), []
    except ValidationError as error:
        mistakes = error.errors()
    wrong = {details["loc"][0] for details in mistakes if details["loc"]}
    problems = [_problem(path, details) for details in mistakes]
    try:
        return kind.model_validate({key: value for key, value in table.items() if key not in wrong}), problems
    except ValidationError:
        return None, problems


def _named(path: str, table: Mapping[str, Any]) -> Iterable[str]:
    """Tables that set `name` themselves; a name is where the table stands."""
    if "name" in table:
        yield path
    tiers = table.get("tiers")
    for name, tier in tiers.items() if isinstance(tiers, dict) else ():
        if isinstance(tier, dict) and "name" in tier:
            yield f"{path}.tiers.{name}"


def _problem(path: str, details: ErrorDetails) -> Problem:
    place = path + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in details["loc"])
    message, _, remedy = details["msg"].removeprefix("Value error, ").partition("; ")
    message = message if message[:2].isupper() else message[:1].lower() + message[1:]
    return Problem(place.removesuffix(".[key]"), message, remedy or _REMEDIES.get(details["type"], "correct the value"))


def _tier_names(raw: Mapping[str, Any]) -> Iterable[str]:
    """Full names of all tiers in the file, the mistaken ones too."""
    providers = raw.get("providers")
    for name, table in providers.items() if isinstance(providers, dict) else ():
        tiers = table.get("tiers") if isinstance(table, dict) else None
        yield from (f"{name}/{tier}" for tier in tiers) if isinstance(tiers, dict) else ()
