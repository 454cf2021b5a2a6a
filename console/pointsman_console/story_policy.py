"""The policy a job was dealt with under, in words: what the class asks, and why each tier may serve it. Pure."""

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pointsman_routes import RouteTable, TaskClass, format_duration, rules

from .printable import printable
from .story_times import in_utc, read_time

if TYPE_CHECKING:
    from pointsman_audit import KnownPolicy

SHORT = 12
"""Digits of a digest that tell policies apart."""


def table_of(policy: "KnownPolicy | None") -> RouteTable | None:
    """The route table of a policy; None where it is not kept or this version cannot read it."""
    if policy is None or policy.policy is None:
        return None
    try:
        return RouteTable.model_validate_json(policy.policy)
    except ValidationError:
        return None


def policy_lines(
    digest: str, policy: "KnownPolicy | None", class_name: str | None, tiers: Iterable[str]
) -> Iterator[str]:
    """Tell a policy.

    Args:
        digest: its SHA-256.
        policy: what the ledger knows of it; None if nothing.
        class_name: the job's class; None for a trial, which has none.
        tiers: where the job was: told of although they are not on the route.
    """
    yield f"policy {printable(digest[:SHORT])}, {_in_force(policy)}"
    if policy is None or policy.policy is None:
        yield "  its text is not in the ledger: why a tier was allowed cannot be told"
        return
    yield f"  whole: pointsman audit policy {printable(digest[:SHORT])}"
    if class_name is None:
        return
    table = table_of(policy)
    if table is None:
        yield from _of_another_version(policy.policy, class_name)
    elif class_name not in table.classes:
        yield f"  it has no class {printable(class_name)}"
    else:
        yield from _of_class(table, table.classes[class_name], tiers)


def _in_force(policy: "KnownPolicy | None") -> str:
    if policy is None:
        return "since when is unknown: no record tells of it"
    return f"first in force {in_utc(read_time(policy.first_at))} (record {policy.first_seq})"


def _of_class(table: RouteTable, entry: TaskClass, tiers: Iterable[str]) -> Iterator[str]:
    kept = "any time" if entry.max_retention_days is None else f"{entry.max_retention_days} days"
    floor = f"quality floor {entry.quality_floor:g}" if entry.quality_floor else "no quality floor"
    regions = "any region" if entry.regions is None else f"regions {', '.join(entry.regions)}"
    yield f"  class {entry.name}: {floor}; {regions}; vendors may keep it for {kept}"
    yield f"  deadline {format_duration(entry.deadline)}; at most {entry.max_attempts} failures"
    yield f"  route: {' > '.join(entry.route)}"
    for tier in dict.fromkeys((*entry.route, *tiers)):
        because = rules(table, entry, tier)
        verdict = "allowed" if all(rule.holds for rule in because) else "not allowed"
        yield f"    {printable(tier)} is {verdict}: {'; '.join(printable(rule.because) for rule in because)}"


def _of_another_version(text: str, class_name: str) -> Iterator[str]:
    """What can be told of a configuration that this version cannot read: the class's own keys, as they are."""
    yield "  another version of Pointsman wrote it: its rules cannot be applied here"
    entry = _keys(_keys(text).get("classes")).get(class_name)
    for name in ("route", "quality_floor", "allow_below_floor", "regions", "deadline"):
        value = _keys(entry).get(name)
        if value is not None:
            yield f"  {name}: {printable(json.dumps(value, ensure_ascii=False))}"


def _keys(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}
