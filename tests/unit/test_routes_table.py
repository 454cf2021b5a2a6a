"""The route table: every mistake is found, all at once, each with its key and what to write instead."""

from typing import Any

import pytest
from route_cases import make_table, problems_of, raw_table

from pointsman_routes import ConfigError, build_route_table

SECRET = "sk-live-4f9d2c7a1b"
"""The shape of a real key; it opens nothing."""

GOOD = """
[providers.alpha]
kind = "openai"
owner = "team@example.com"
api_key = { env = "ALPHA_KEY" }

[providers.alpha.tiers.main]
model = "a-large"

[classes.triage]
route = ["alpha/main"]
"""

PROVIDER: dict[str, dict[str, dict[str, Any]]] = {
    "providers.alpha.colour: extra inputs are not permitted; remove it": {"provider": {"colour": "red"}},
    "providers.alpha.name: unknown key; remove it": {"provider": {"name": "beta"}},
    "providers.alpha.kind: input should be 'openai'": {"provider": {"kind": "carrier-pigeon"}},
    "providers.alpha.owner: string should have at least 1": {"provider": {"owner": ""}},
    'providers.alpha: no key is named; write api_key = { env = "NAME" }': {"provider": {"api_key": None}},
    'providers.alpha.api_key: a key has one source; write { env = "NAME" }': {"provider": {"api_key": {}}},
    "providers.alpha.api_key: a key has one source; write": {"provider": {"api_key": {"env": "A", "file": "b"}}},
    'providers.alpha.api_key: a key never stands in this file; write { env = "NAME" }': {
        "provider": {"api_key": SECRET}
    },
    "providers.alpha.api_key.env: string should match pattern": {"provider": {"api_key": {"env": SECRET}}},
    "providers.alpha.base_url: a base_url carries no user": {
        "provider": {"base_url": f"https://user:{SECRET}@example.com/v1"}
    },
    "providers.alpha.base_url: a base_url carries no user, password": {
        "provider": {"base_url": f"https://{SECRET}@example.com"}
    },
    "providers.alpha.base_url: a base_url carries no": {"provider": {"base_url": f"https://example.com/?key={SECRET}"}},
    "providers.alpha.base_url: a base_url carries": {"provider": {"base_url": f"https://example.com/#{SECRET}"}},
    "providers.alpha.base_url: input should be a valid URL": {"provider": {"base_url": f"https://{SECRET}@[bad"}},
    "providers.alpha.base_url: URL scheme should be": {"provider": {"base_url": "ftp://example.com"}},
    "providers.alpha.region: string should have at least 1": {"provider": {"region": ""}},
    "providers.alpha.retention_days: input should be greater": {"provider": {"retention_days": -1}},
    "providers.alpha.limits.rpm: input should be greater than or equal to 0": {"provider": {"limits": {"rpm": -1}}},
    "providers.alpha.limits.rps: extra inputs are not permitted": {"provider": {"limits": {"rps": 1}}},
    "providers.alpha.tiers: dictionary should have at least 1": {"provider": {"tiers": {}}},
    "providers.alpha.tiers: input should be a valid dictionary": {"provider": {"tiers": ["main"]}},
    "providers.alpha.tiers.Main Tier: string should match": {"provider": {"tiers": {"Main Tier": {"model": "m"}}}},
}

TIER: dict[str, dict[str, dict[str, Any]]] = {
    "providers.alpha.tiers.main.modell: extra inputs are not permitted": {"tier": {"modell": "x"}},
    "providers.alpha.tiers.main.name: unknown key; remove it": {"tier": {"name": "beta/main"}},
    "providers.alpha.tiers.main.model: string should have": {"tier": {"model": ""}},
    "providers.alpha.tiers.main.quality: input should be less than or equal to 1": {"tier": {"quality": 1.1}},
    "providers.alpha.tiers.main.quality: input should be": {"tier": {"quality": float("nan")}},
    "providers.alpha.tiers.main.context_window: input": {"tier": {"context_window": 0}},
    "providers.alpha.tiers.main.limits.tpm: input should be greater": {"tier": {"limits": {"tpm": -5}}},
    "providers.alpha.tiers.main.limits.itpm: input should be less": {"tier": {"limits": {"itpm": 10**13}}},
    "providers.alpha.tiers.main.limits.concurrency: input should be a valid integer": {
        "tier": {"limits": {"concurrency": 1.5}}
    },
    "providers.alpha.tiers.main.timeout: not a duration; write a number with its unit": {"tier": {"timeout": "soon"}},
    "providers.alpha.tiers.main.timeout: not a duration": {"tier": {"timeout": 60}},
    "providers.alpha.tiers.main.timeout: must be longer than nothing": {"tier": {"timeout": "0"}},
    "providers.alpha.tiers.main.burst: must be longer than nothing": {"tier": {"burst": "0s"}},
    "providers.alpha.tiers.main.price.output: field required; add it": {"tier": {"price": {"input": 1}}},
    "providers.alpha.tiers.main.price.input: input should be greater": {"tier": {"price": {"input": -1, "output": 1}}},
    "providers.alpha.tiers.main.price.input: input should be a finite": {
        "tier": {"price": {"input": float("inf"), "output": 1}}
    },
}

CLASS: dict[str, dict[str, dict[str, Any]]] = {
    "classes.triage.rout: extra inputs are not permitted": {"task_class": {"rout": []}},
    "classes.triage.name: unknown key": {"task_class": {"name": "other"}},
    "classes.triage.route: tuple should have at least 1": {"task_class": {"route": []}},
    "classes.triage.route[1]: unknown tier 'alpha/tiny'; name one of: alpha/main, beta/main": {
        "task_class": {"route": ["alpha/main", "alpha/tiny"]}
    },
    "classes.triage.route[1]: 'alpha/main' stands on the route twice; remove one": {
        "task_class": {"route": ["alpha/main", "alpha/main"]}
    },
    "classes.triage.route[1]: quality of 'beta/main' is 0.6, below the floor 0.8; remove it": {
        "task_class": {"quality_floor": 0.8}
    },
    "classes.triage.allow_below_floor[0]: 'gamma/main' is not on the route": {
        "task_class": {"allow_below_floor": ["gamma/main"]}
    },
    "classes.triage.route[1]: 'beta/main' is in region 'local', outside eu, us; remove it": {
        "task_class": {"regions": ["eu", "us"]}
    },
    "classes.triage.route[0]: 'alpha/main' keeps data for 30 days, above max_retention_days = 7": {
        "task_class": {"max_retention_days": 7}
    },
    "classes.triage.max_tokens: 100000 leaves no room in the context window of 'alpha/main' (100000); lower it": {
        "task_class": {"max_tokens": 100_000}
    },
    "classes.triage.quality_floor: input should be less": {"task_class": {"quality_floor": 81}},
    "classes.triage.regions: tuple should have at least 1": {"task_class": {"regions": []}},
    "classes.triage.deadline: not a duration": {"task_class": {"deadline": "-1h"}},
    "classes.triage.deadline: longer than ten years; write at most": {"task_class": {"deadline": "99999d"}},
    "classes.triage.deadline: must be longer than nothing": {"task_class": {"deadline": 0}},
    "classes.triage.spill_after: not a duration": {"task_class": {"spill_after": False}},
    "classes.triage.max_attempts: input should be greater than or equal to 1": {"task_class": {"max_attempts": 0}},
    "classes.triage.on_refused: input should be 'fail' or 'move'": {"task_class": {"on_refused": "ignore"}},
}


@pytest.mark.parametrize(("expected", "changes"), [*PROVIDER.items(), *TIER.items(), *CLASS.items()])
def test_mistake_is_named(expected: str, changes: dict[str, dict[str, Any]]) -> None:
    """One mistake gives one problem: the key's path, what is wrong, what to write. No key is ever repeated."""
    found = [str(problem) for problem in problems_of(raw_table(**changes))]
    assert found[0].startswith(expected)
    assert [text for text in found[1:] if "unknown tier" not in text] == []
    assert all(SECRET not in text and "\n" not in text for text in found)


@pytest.mark.parametrize("key", ["kind", "owner", "tiers"])
def test_provider_key_is_required(key: str) -> None:
    """A provider without kind, owner or tiers is told to add it."""
    raw = raw_table()
    del raw["providers"]["alpha"][key]
    assert f"providers.alpha.{key}: field required; add it" in [str(problem) for problem in problems_of(raw)]


def test_address_is_required_where_there_is_no_default() -> None:
    """An openai-compatible provider must say where it is, and needs no key."""
    raw = raw_table()
    assert "api_key" not in raw["providers"]["beta"]
    del raw["providers"]["beta"]["base_url"]
    (problem,) = problems_of(raw)
    assert str(problem).startswith("providers.beta: a provider of kind openai-compatible has no default address; write")


@pytest.mark.parametrize("key", ["providers", "classes"])
@pytest.mark.parametrize("content", [None, {}, [], "text"])
def test_section_is_required(key: str, content: object) -> None:
    """A file without providers or without classes says which section to add."""
    raw = {**raw_table(), key: content}
    assert f"{key}: no section of this kind; add at least one [{key}.NAME]" in [str(p) for p in problems_of(raw)]


def test_top_level_is_closed() -> None:
    """An unknown section is a mistake, not ignored."""
    (problem,) = problems_of({**raw_table(), "clases": {}})
    assert problem.path == "clases"
    assert "`providers` and `classes`" in problem.remedy


@pytest.mark.parametrize("name", ["Alpha", "al pha", "al/pha", "", "-alpha", "a" * 65])
def test_name_is_usable(name: str) -> None:
    """A section's name can stand in a tier's name, a key of Redis and a command line."""
    raw = raw_table()
    raw["providers"][name] = raw["providers"]["beta"]
    raw["classes"][name] = raw["classes"]["triage"]
    found = {problem.path for problem in problems_of(raw)}
    assert {f"providers.{name}", f"classes.{name}"} <= found


def test_section_is_a_table() -> None:
    """A value where a section is expected is named as such."""
    raw = raw_table()
    raw["classes"]["summary"] = "alpha/main"
    assert [str(problem) for problem in problems_of(raw)] == ["classes.summary: not a table; write [classes.summary]"]


def test_unmeasured_is_below_any_floor() -> None:
    """A tier without a measured quality stands on no route with a floor, unless named there."""
    raw = raw_table(tier={"quality": None}, task_class={"quality_floor": 0.1})
    (problem,) = problems_of(raw)
    assert "is unmeasured, below the floor 0.1" in problem.message
    raw["classes"]["triage"]["allow_below_floor"] = ["alpha/main"]
    assert problems_of(raw) == ()


@pytest.mark.parametrize(
    ("key", "limit"), [("region", {"regions": ["eu", "local"]}), ("retention_days", {"max_retention_days": 90})]
)
def test_unknown_is_not_allowed(key: str, limit: dict[str, Any]) -> None:
    """A provider that does not say where it works, or how long it keeps data, serves no class that limits it."""
    raw = raw_table(provider={key: None}, task_class=limit)
    (problem,) = problems_of(raw)
    assert "unknown" in problem.message or "no known region" in problem.message
    assert f"`{key}` of provider 'alpha'" in problem.remedy


def test_named_below_floor_is_allowed_and_marked() -> None:
    """A tier named in `allow_below_floor` may serve, and its answers are downgraded; others' are not."""
    table = make_table(task_class={"quality_floor": 0.8, "allow_below_floor": ["beta/main"]})
    triage = table.classes["triage"]
    assert table.downgraded(triage, "beta/main")
    assert not table.downgraded(triage, "alpha/main")


def test_unmeasured_is_marked() -> None:
    """An answer of an unmeasured tier is downgraded wherever there is a floor, and nowhere else."""
    floor = {"quality_floor": 0.1, "allow_below_floor": ["alpha/main"]}
    table = make_table(tier={"quality": None}, task_class=floor)
    assert table.downgraded(table.classes["triage"], "alpha/main")
    assert not table.downgraded(make_table().classes["triage"], "alpha/main")


def test_mistakes_of_a_tier_do_not_hide_its_name() -> None:
    """A route through a tier with a mistake of its own is not reported as unknown besides."""
    (problem,) = problems_of(raw_table(tier={"quality": 7}))
    assert problem.path == "providers.alpha.tiers.main.quality"


def test_every_mistake_at_once() -> None:
    """One run names every mistake of a file, across sections, in the order of the file."""
    text = f"""
    telemetry = true

    [providers.alpha]
    kind = "openai"
    api_key = "{SECRET}"
    base_url = "https://me:{SECRET}@example.com"
    limits = {{ rpm = -1 }}
    [providers.alpha.tiers.main]
    modle = "a"
    timeout = "fast"

    [providers.beta]
    kind = "openai-compatible"
    owner = "team@example.com"
    base_url = "http://localhost:8000/v1"
    region = "us"
    [providers.beta.tiers.main]
    model = "b"
    quality = 0.5
    context_window = 100

    [classes.triage]
    route = ["beta/main", "beta/main", "beta/huge"]
    quality_floor = 0.9
    regions = ["eu"]
    max_retention_days = 0
    max_tokens = 200

    [classes.Summary]
    route = []
    deadline = "never"
    on_empty = "shrug"
    """
    problems = problems_of(text)
    assert [problem.path for problem in problems] == [
        "telemetry",
        "providers.alpha.owner",
        "providers.alpha.api_key",
        "providers.alpha.base_url",
        "providers.alpha.limits.rpm",
        "providers.alpha.tiers.main.model",
        "providers.alpha.tiers.main.timeout",
        "providers.alpha.tiers.main.modle",
        "classes.Summary",
        "classes.Summary.route",
        "classes.Summary.deadline",
        "classes.Summary.on_empty",
        "classes.triage.route[1]",
        "classes.triage.route[2]",
        "classes.triage.route[0]",
        "classes.triage.route[0]",
        "classes.triage.route[0]",
        "classes.triage.max_tokens",
        "classes.triage.route[1]",
        "classes.triage.route[1]",
        "classes.triage.route[1]",
        "classes.triage.max_tokens",
    ]
    assert all(problem.message and problem.remedy for problem in problems)
    assert SECRET not in " ".join(map(str, problems))


def test_error_is_one_line() -> None:
    """The error itself names the first mistake, how many more there are, and the command that lists them."""
    raw = raw_table(provider={"limits": {"rpm": -1}}, task_class={"max_attempts": 0})
    with pytest.raises(ConfigError) as raised:
        build_route_table(raw)
    assert str(raised.value).startswith("providers.alpha.limits.rpm: ")
    assert str(raised.value).endswith("(and 1 more; see `pointsman routes check`)")
    assert raised.value.exit_code == 2


@pytest.mark.parametrize(
    "text",
    [f'api_key = "{SECRET}', f'a = 1\na = "{SECRET}"', f"[providers\n{SECRET}", "\x00", GOOD + GOOD],
)
def test_not_toml(text: str) -> None:
    """A file that is not TOML gives one problem with the place of the mistake, and repeats nothing of the file."""
    (problem,) = problems_of(text)
    assert problem.path == "pointsman.toml"
    assert "not valid TOML" in problem.message
    assert SECRET not in str(problem)


def test_least_configuration() -> None:
    """One provider with one tier and one class is a whole configuration; the rest has defaults."""
    assert problems_of(GOOD) == ()


def test_table_answers() -> None:
    """Tiers are found by their full name in the order of the file, with their provider and classes."""
    table = make_table()
    assert list(table.tiers) == ["alpha/main", "beta/main"]
    assert table.tiers["alpha/main"].name == "alpha/main"
    assert table.provider_of("beta/main").name == "beta"
    assert [entry.name for entry in table.classes_through("beta/main")] == ["triage"]
    assert table.classes["triage"].primary == "alpha/main"
    assert [table.classes["triage"].hop(tier) for tier in ("alpha/main", "beta/main", "gone/tier")] == [0, 1, 2]
    with pytest.raises(KeyError):
        table.provider_of("gone/tier")
