"""Route tables, classes, standings and outcomes for tests; every call makes a new value."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from pointsman_routes import (
    Answer,
    ConfigError,
    Empty,
    Exhausted,
    Invalid,
    Misrouted,
    Ok,
    Outcome,
    Overloaded,
    Problem,
    Refused,
    RouteTable,
    Standing,
    TaskClass,
    Throttled,
    Transient,
    Truncated,
    Unauthorized,
    Unknown,
    Unsupported,
    build_route_table,
    read_route_table,
)

ROUTE = ("alpha/main", "beta/main", "gamma/main")
ANSWER = Answer(content="42", finish_reason="stop")

ONE_OF_EACH: tuple[Outcome, ...] = (
    Ok(answer=ANSWER),
    Empty(),
    Truncated(answer=ANSWER),
    Refused(detail="no"),
    Throttled(detail="slow down", retry_after_s=3.0),
    Overloaded(detail="busy"),
    Transient(detail="reset"),
    Exhausted(detail="no credit"),
    Unauthorized(detail="bad key"),
    Unsupported(detail="too long"),
    Invalid(detail="bad request"),
    Misrouted(detail="another model"),
    Unknown(detail="worker lost"),
)


def make_class(**changes: Any) -> TaskClass:
    """A class over the three tiers of `ROUTE`."""
    return TaskClass.model_validate({"name": "triage", "route": ROUTE, **changes})


def make_standing(task_class: TaskClass | None = None, **changes: Any) -> Standing:
    """A first attempt at the primary, with every tier open."""
    values = {"tier": ROUTE[0], "open_tiers": frozenset(ROUTE), **changes}
    return Standing(task_class=task_class or make_class(), **values)


def raw_table(
    *,
    provider: Mapping[str, Any] | None = None,
    tier: Mapping[str, Any] | None = None,
    task_class: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A valid configuration as TOML would read it: two providers, one class; changes go to the first of each."""
    return {
        "providers": {
            "alpha": {
                "kind": "openai",
                "owner": "team@example.com",
                "api_key": {"env": "ALPHA_KEY"},
                "base_url": "https://gateway.example.com/v1",
                "region": "eu",
                "retention_days": 30,
                "tiers": {"main": {"model": "a-large", "quality": 0.9, "context_window": 100_000, **(tier or {})}},
                **(provider or {}),
            },
            "beta": {
                "kind": "openai-compatible",
                "owner": "team@example.com",
                "base_url": "http://localhost:8000/v1",
                "region": "local",
                "retention_days": 0,
                "tiers": {"main": {"model": "b-small", "quality": 0.6}},
            },
        },
        "classes": {"triage": {"route": ["alpha/main", "beta/main"], **(task_class or {})}},
    }


def make_table(**changes: Mapping[str, Any]) -> RouteTable:
    """The table of `raw_table`."""
    return build_route_table(raw_table(**changes))


def problems_of(source: Mapping[str, Any] | str) -> tuple[Problem, ...]:
    """The mistakes found in a configuration, parsed or as text; none if it is right."""
    try:
        if isinstance(source, str):
            read_route_table(source, PurePath("pointsman.toml"))
        else:
            build_route_table(source)
    except ConfigError as error:
        return error.problems
    return ()
