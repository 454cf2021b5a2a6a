"""Random configurations, many of them wrong on purpose, and an oracle that says which tier may serve which class.

The oracle reads the plain tables that TOML would give. It shares no line with the rules of the house, and knows of each
account where its vendor may really process a call.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

Raw = dict[str, Any]
ANYWHERE: Final = ("us", "eu", "asia")


@dataclass(frozen=True, slots=True)
class Account:
    """What a provider may be in the file, and where calls to it really go."""

    about: Mapping[str, Any]
    places: tuple[str, ...] | None
    """Where a call may be processed; None is wherever the operator says, since the server is his."""
    asked: tuple[str, ...] = ()
    """Places it keeps to because each call asks for it, if that region is declared."""
    local: bool = False
    """A server of a kind that runs here, on this machine: `local` and keeping nothing, unless said otherwise."""
    model: str = "m"

    def processed_in(self, declared: str | None) -> tuple[str, ...]:
        """Every place where a call may end up."""
        if self.places is None:
            return (declared or "nobody knows where",)
        return (declared,) if declared in self.asked else self.places


_KEY: Final = {"api_key": {"env": "K"}}
_AWS: Final = "https://bedrock-runtime"
_VERTEX: Final = {"kind": "google", "project": "p", **_KEY}
ACCOUNTS: Final = (
    Account({"kind": "openai-compatible", "base_url": "https://gateway.example.com/v1"}, None),
    Account({"kind": "anthropic-compatible", "base_url": "http://127.0.0.1:9000"}, None),
    Account({"kind": "azure", "base_url": "https://thing.openai.azure.com", **_KEY}, None),
    Account({"kind": "ollama"}, None, local=True),
    Account({"kind": "vllm", "base_url": "http://localhost:8000/v1"}, None, local=True),
    Account({"kind": "ollama", "base_url": "http://10.0.0.5:11434"}, None),
    Account({"kind": "openai", **_KEY}, ANYWHERE),
    Account({"kind": "openai", "base_url": "https://eu.api.openai.com/v1", **_KEY}, ("eu",)),
    Account({"kind": "openai", "base_url": "https://us.api.openai.com/v1", **_KEY}, ("us",)),
    Account({"kind": "anthropic", **_KEY}, ANYWHERE, asked=("us",)),
    Account({"kind": "anthropic", **_KEY}, ANYWHERE, model="claude-haiku-4-5"),
    Account({"kind": "google", **_KEY}, ANYWHERE),
    Account({**_VERTEX, "location": "global"}, ANYWHERE),
    Account({**_VERTEX, "location": "europe-west4"}, ("europe-west4",)),
    Account({**_VERTEX, "location": "us-central1"}, ("us-central1",)),
    Account({**_VERTEX, "location": "eu"}, ("eu",)),
    Account({"kind": "openrouter", **_KEY}, ANYWHERE),
    Account({"kind": "openrouter", "base_url": "https://eu.openrouter.ai/api/v1", **_KEY}, ("eu",)),
    Account({"kind": "mistral", **_KEY}, ANYWHERE),
    Account({"kind": "mistral", "base_url": "https://api.eu.mistral.ai", **_KEY}, ("eu",)),
    Account({"kind": "bedrock", "base_url": f"{_AWS}.eu-central-1.amazonaws.com", **_KEY}, ("eu-central-1",)),
    Account(
        {"kind": "bedrock", "base_url": f"{_AWS}.eu-central-1.amazonaws.com", **_KEY},
        ("eu-central-1", "eu-north-1"),
        model="eu.anthropic.claude-sonnet-4-6",
    ),
    Account(
        {"kind": "bedrock", "base_url": f"{_AWS}.us-east-1.amazonaws.com", **_KEY},
        ANYWHERE,
        model="global.anthropic.claude-sonnet-4-6",
    ),
    Account({"kind": "xai", "base_url": "https://us.api.x.ai/v1", **_KEY}, ("us",)),
)
_REGIONS: Final = (None, "eu", "us", "local", "global", "europe-west4", "eu-central-1", "asia")
_ALLOWED: Final = (
    None,
    ["eu"],
    ["us"],
    ["local"],
    ["eu", "local"],
    ["us", "eu"],
    ["europe-west4", "eu"],
    ["global"],
)
_DAYS: Final = (None, 0, 7, 30, 90)
_QUALITIES: Final = (None, 0.2, 0.5, 0.69, 0.7, 0.9, 1.0)
_FLOORS: Final = (0, 0, 0.5, 0.7, 0.9, 1)
_INSIDE: Final = {"europe-west4": "eu", "us-central1": "us", "eu-central-1": "eu", "eu-north-1": "eu"}


def _keeps(account: Account, declared: str | None) -> bool:
    """Whether the vendor keeps the region that is declared of it."""
    return declared is None or all(lies_in(place, declared) for place in account.processed_in(declared))


def lies_in(place: str, region: str) -> bool:
    """Whether a place is inside a region; everything is inside `global`."""
    return region in (place, _INSIDE.get(place), "global")


@dataclass(slots=True)
class World:
    """One configuration, and what is true of it."""

    raw: Raw
    accounts: dict[str, Account]
    planted: list[str] = field(default_factory=list)
    """Mistakes put in that have nothing to do with floors, regions or retention."""
    _served: dict[str, frozenset[str]] = field(default_factory=dict)

    def tiers(self) -> list[str]:
        """Every tier."""
        return [f"{name}/{tier}" for name, provider in self.raw["providers"].items() for tier in provider["tiers"]]

    def declared(self, provider: str) -> tuple[str | None, int | None]:
        """Region and retention of a provider, as the operator means them."""
        table = self.raw["providers"][provider]
        region, days = table.get("region"), table.get("retention_days")
        if self.accounts[provider].local:
            region = region or "local"
            days = 0 if days is None and region == "local" else days
        return region, days

    def objections(self, class_name: str, tier_name: str) -> list[str]:
        """Everything that speaks against a tier serving a class; the tier need not be on the route."""
        asks = self.raw["classes"][class_name]
        provider, _, tier = tier_name.partition("/")
        region, days = self.declared(provider)
        quality = self.raw["providers"][provider]["tiers"][tier].get("quality")
        found = []
        if asks.get("regions") and region not in asks["regions"]:
            found.append("region")
        if asks.get("max_retention_days") is not None and not (days is not None and days <= asks["max_retention_days"]):
            found.append("retention")
        good = asks.get("quality_floor", 0) == 0 or (quality is not None and quality >= asks["quality_floor"])
        if not good and tier_name not in asks.get("allow_below_floor", ()):
            found.append("quality")
        return found

    def may_serve(self, class_name: str) -> frozenset[str]:
        """The tiers that may ever be called for a class."""
        if class_name not in self._served:
            here = set(self.tiers()) & set(self.raw["classes"][class_name]["route"])
            self._served[class_name] = frozenset(tier for tier in here if not self.objections(class_name, tier))
        return self._served[class_name]

    def liars(self) -> list[str]:
        """Providers of which a region is declared that their vendor does not keep."""
        return [name for name, account in self.accounts.items() if not _keeps(account, self.declared(name)[0])]

    def cut_short(self) -> list[str]:
        """Classes whose answers leave no room in the context window of a tier on their route."""
        known = set(self.tiers())
        return [
            name
            for name, entry in self.raw["classes"].items()
            for tier in set(entry["route"]) & known
            if entry.get("max_tokens", 1024) >= (self._tier(tier).get("context_window") or 10**9)
        ]

    def is_right(self) -> bool:
        """Whether the file deserves to be accepted."""
        wrong = any(
            set(entry["route"]) & set(self.tiers()) - self.may_serve(name)
            for name, entry in self.raw["classes"].items()
        )
        return not (wrong or self.planted or self.liars() or self.cut_short())

    def _tier(self, tier_name: str) -> Raw:
        provider, _, tier = tier_name.partition("/")
        table: Raw = self.raw["providers"][provider]["tiers"][tier]
        return table


def world_of(rng: random.Random) -> World:
    """A random configuration; about two thirds deserve to be accepted."""
    world = World(raw={"providers": {}, "classes": {}}, accounts={})
    careful = rng.random() < 0.7
    for name in ("ada", "bob", "cyd", "dee")[: rng.randint(1, 4)]:
        account = rng.choice(ACCOUNTS)
        world.accounts[name] = account
        world.raw["providers"][name] = _provider(rng, account, careful=careful, honest=rng.random() < 0.9)
    for name in ("triage", "synthesis")[: rng.randint(1, 2)]:
        world.raw["classes"][name] = _class(rng, world, name, careful=careful)
    if rng.random() < 0.1:
        plant = rng.choice(_MISTAKES)
        plant(world)
    return world


def _provider(rng: random.Random, account: Account, *, careful: bool, honest: bool) -> Raw:
    regions = [region for region in _REGIONS if not honest or _keeps(account, region)]
    tiers = {name: _tier(rng, account.model, careful=careful) for name in ("big", "small")[: rng.randint(1, 2)]}
    told = {"region": rng.choice(regions), "retention_days": rng.choice(_DAYS)}
    return _said({**account.about, "owner": "me", **told, "tiers": tiers})


def _tier(rng: random.Random, model: str, *, careful: bool) -> Raw:
    window = 100 if not careful and rng.random() < 0.05 else None
    return _said({"model": model, "quality": rng.choice(_QUALITIES), "context_window": window})


def _class(rng: random.Random, world: World, name: str, *, careful: bool) -> Raw:
    asks: Raw = _said(
        {
            "quality_floor": rng.choice(_FLOORS),
            "regions": rng.choice(_ALLOWED),
            "max_retention_days": rng.choice(_DAYS),
            "max_tokens": rng.choice((None, 50, 200)),
            "max_attempts": rng.randint(1, 6),
            "spill_after": rng.choice(("0", "10s", "5m")),
            "on_empty": rng.choice(("move", "fail")),
            "on_truncated": rng.choice(("accept", "move", "fail")),
            "on_refused": rng.choice(("move", "fail")),
            "on_exhausted": rng.choice(("hold", "hold", "fail")),
        }
    )
    every = world.tiers()
    if rng.random() < 0.3:
        asks["allow_below_floor"] = rng.sample(every, rng.randint(1, len(every)))
    world.raw["classes"][name] = asks
    while not (fit := [tier for tier in every if not world.objections(name, tier)]) and careful:
        asks.pop(next(key for key in ("regions", "max_retention_days", "quality_floor") if key in asks))
    choice = fit if careful else every
    asks["route"] = rng.sample(choice, rng.randint(1, len(choice)))
    if "allow_below_floor" in asks:
        asks["allow_below_floor"] = [tier for tier in asks["allow_below_floor"] if tier in asks["route"]]
    return asks


def _said(table: Mapping[str, Any]) -> Raw:
    """Without what is not said; TOML has no null."""
    return {key: value for key, value in table.items() if value is not None}


def _first(world: World) -> tuple[Raw, Raw]:
    providers, classes = world.raw["providers"], world.raw["classes"]
    return providers[next(iter(providers))], classes[next(iter(classes))]


def _no_owner(world: World) -> None:
    del _first(world)[0]["owner"]
    world.planted.append("no owner")


def _misspelt(world: World) -> None:
    _first(world)[1]["regoins"] = ["eu"]
    world.planted.append("an unknown key")


def _no_such_tier(world: World) -> None:
    _first(world)[1]["route"].append("ada/gone")
    world.planted.append("a tier that is not there")


def _twice(world: World) -> None:
    route = _first(world)[1]["route"]
    route.append(route[0])
    world.planted.append("a tier twice")


def _exception_for_nothing(world: World) -> None:
    _first(world)[1].setdefault("allow_below_floor", []).append("ada/gone")
    world.planted.append("an exception for a tier that is not on the route")


def _no_quality(world: World) -> None:
    next(iter(_first(world)[0]["tiers"].values()))["quality"] = 1.5
    world.planted.append("a quality above 1")


_MISTAKES: Final[Sequence[Callable[[World], None]]] = (
    _no_owner,
    _misspelt,
    _no_such_tier,
    _twice,
    _exception_for_nothing,
    _no_quality,
)
