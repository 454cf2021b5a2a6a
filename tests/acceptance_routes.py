"""Configurations for the acceptance tests: every test has task classes and tiers of its own.

So tests can share one line of processes: what a test does to its tiers touches no other test.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

PRIMARY_KEY = "PRIMARY_TEST_KEY"
BACKUP_KEY = "BACKUP_TEST_KEY"
KEYS = {PRIMARY_KEY: "sk-test-primary-0123456789", BACKUP_KEY: "sk-test-backup-0123456789"}
"""The environment the configurations ask for."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """A task class over a tier at `alpha`, an OpenAI-compatible vendor, and one at `beta`, which is like Anthropic."""

    name: str
    """Of the class and of both tiers."""
    backup_too: bool = True
    reachable: bool = True
    """Otherwise nobody listens where the primary should be."""
    of_class: Mapping[str, Any] = field(default_factory=dict)
    of_tiers: Mapping[str, Any] = field(default_factory=dict)

    @property
    def primary(self) -> str:
        """The tier asked first."""
        return f"{'alpha' if self.reachable else 'void'}/{self.name}"

    @property
    def backup(self) -> str:
        """The tier asked next."""
        return f"beta/{self.name}"

    @property
    def tiers(self) -> tuple[str, ...]:
        """In their order."""
        return (self.primary, self.backup) if self.backup_too else (self.primary,)

    @property
    def primary_model(self) -> str:
        """What the vendor is asked for by the primary."""
        return f"{self.name}-of-{self.primary.partition('/')[0]}"

    @property
    def backup_model(self) -> str:
        """What the vendor is asked for by the backup."""
        return f"{self.name}-of-beta"

    def jobs(self, count: int, *, named: str | None = None) -> list[dict[str, Any]]:
        """Jobs of this class, every other one as an OpenAI Batch line; the vendor knows each by its custom_id."""
        return [self._job(f"{named or self.name}-{number:04}", number) for number in range(count)]

    def _job(self, custom_id: str, number: int) -> dict[str, Any]:
        asked: dict[str, Any] = {
            "messages": [{"role": "user", "content": f"What is known as [[{custom_id}]]?"}],
            "max_tokens": 32,
        }
        if number % 2 == 0:
            return {"custom_id": custom_id, "class": self.name, **asked}
        body = {"model": self.name, **asked}
        return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}


def configuration(routes: Iterable[Route], *, vendor: str, nobody: str = "http://127.0.0.1:9") -> str:
    """The text of a `pointsman.toml`.

    Args:
        routes: its classes.
        vendor: the stand-in's URL.
        nobody: a URL where nobody listens.
    """
    listed = tuple(routes)
    sections = []
    for provider, kind, url, key in (
        ("alpha", "openai-compatible", f"{vendor}/v1", PRIMARY_KEY),
        ("beta", "anthropic", vendor, BACKUP_KEY),
        ("void", "openai-compatible", f"{nobody}/v1", PRIMARY_KEY),
    ):
        tiers = [route for route in listed if f"{provider}/{route.name}" in route.tiers]
        if tiers:
            about = {"kind": kind, "owner": "tests@example.com", "base_url": url, "api_key": {"env": key}}
            sections.append(_section(f"providers.{provider}", {**about, "region": "eu", "retention_days": 0}))
        sections += [_tier(provider, route) for route in tiers]
    sections += [
        _section(f"classes.{route.name}", {"route": route.tiers, "quality_floor": 0.5, **route.of_class})
        for route in listed
    ]
    return "\n".join(sections)


def _tier(provider: str, route: Route) -> str:
    fields = {
        "model": f"{route.name}-of-{provider}",
        "quality": 0.9,
        "limits": {"concurrency": 64},
        "timeout": "30s",
        "price": {"input": 1.0, "output": 2.0},
        **route.of_tiers,
    }
    return _section(f"providers.{provider}.tiers.{route.name}", fields)


def _section(name: str, fields: Mapping[str, Any]) -> str:
    return "\n".join([f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in fields.items()), ""])


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(entry)}" for key, entry in value.items()) + " }"
    return json.dumps(value)
