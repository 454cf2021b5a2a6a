"""Random jobs through the dispatcher, over random configurations: no call may go where the oracle has none.

`python tests/residency_walk.py` walks a million configurations and prints one line of figures; see `make residency`.
"""

import argparse
import asyncio
import logging
import random
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from typing import Any, Final

import structlog
from queue_cases import RATE, make_job, make_lease
from residency_world import World, lies_in, world_of
from route_cases import ONE_OF_EACH

from pointsman_queue import Lease, Openings, Settlement, Switchboard, TierProfile
from pointsman_routes import (
    ConfigError,
    Evidence,
    Job,
    Outcome,
    Overloaded,
    Provider,
    RouteTable,
    TaskClass,
    Throttled,
    Unknown,
    build_route_table,
)
from pointsman_worker.dispatch import Dispatcher
from pointsman_worker.office import Office
from pointsman_worker.report import Report
from pointsman_worker.settler import Settler

_MOST_STEPS: Final = 16
_SHUT: Final = ("disabled", "breaker_open", "exhausted", "unauthorized", "misrouted")
_ENDS: Final = ("expired", "cancelled", "poison")
_JOB: Final = make_job()
_OUTCOMES: Final[tuple[Outcome, ...]] = (
    *ONE_OF_EACH,
    Throttled(detail="for long", retry_after_s=4000.0),
    Overloaded(detail="for long", retry_after_s=300.0),
)


class Breach(AssertionError):
    """A call, or a way to one, that the oracle does not have."""


@dataclass(slots=True)
class Figures:
    """What was walked."""

    configurations: int = 0
    accepted: int = 0
    refused: int = 0
    unchecked: int = 0
    """Of the refused: those walked all the same, with the check left out."""
    jobs: int = 0
    steps: int = 0
    turned_away: int = 0
    """Jobs that a claim leased or a queue held at a tier that may not serve them."""
    calls: int = 0
    moves: int = 0
    holds: int = 0

    def add(self, other: "Figures") -> None:
        """Count those too."""
        for entry in fields(self):
            setattr(self, entry.name, getattr(self, entry.name) + getattr(other, entry.name))

    def line(self) -> str:
        """All of them."""
        return ", ".join(f"{getattr(self, entry.name):,} {entry.name.replace('_', ' ')}" for entry in fields(self))


class _Board(Switchboard):
    """Tiers go down and come up from step to step."""

    def __init__(self) -> None:
        self.shut: frozenset[str] = frozenset()

    async def openings(self, table: RouteTable, tiers: Sequence[str]) -> Openings:
        """Those that are up; workers live at every other tier."""
        return Openings(open=frozenset(tiers) - self.shut, served=frozenset(sorted(table.tiers)[::2]))


class _Settler(Settler):
    """Keeps the last settlement."""

    def __init__(self) -> None:
        self._kept: list[Settlement] = []

    async def settle(self, settlement: Settlement) -> bool:
        """Keep it."""
        self._kept.append(settlement)
        return True

    def take(self) -> Settlement:
        """The only one since the last time."""
        (settlement,) = self._kept
        self._kept = []
        return settlement


class _Desk:
    """Answers at random, and lets no call pass that the oracle does not have."""

    def __init__(self, world: World, rng: random.Random, figures: Figures, *, accepted: bool) -> None:
        self._world = world
        self._rng = rng
        self._figures = figures
        self._accepted = accepted
        self.task_class = ""

    async def ask(self, tier: str, job: Job, max_tokens: int) -> Report:
        """One call."""
        assert (job, max_tokens > 0) == (_JOB, True)
        self._figures.calls += 1
        if tier not in self._world.may_serve(self.task_class):
            raise Breach(f"{self.task_class} was taken to {tier}")
        provider = tier.partition("/")[0]
        regions = self._world.raw["classes"][self.task_class].get("regions")
        if self._accepted and regions:
            for place in self._world.accounts[provider].processed_in(self._world.declared(provider)[0]):
                if not any(lies_in(place, region) for region in regions):
                    raise Breach(f"{self.task_class} was taken to {tier}, which may process it in {place}")
        return Report(outcome=self._rng.choice(_OUTCOMES), evidence=Evidence(), called=True)


class Walk:
    """Jobs of one configuration, from queue to queue."""

    def __init__(
        self, world: World, table: RouteTable, rng: random.Random, figures: Figures, *, accepted: bool
    ) -> None:
        self._world = world
        self._table = table
        self._rng = rng
        self._figures = figures
        self._profiles = {tier: TierProfile.of(table, tier, RATE) for tier in table.tiers}
        for name in table.classes:
            leased = {tier for tier, profile in self._profiles.items() if name in profile.hops}
            if leased != world.may_serve(name):
                raise Breach(f"a claim would lease {name} at {', '.join(sorted(leased)) or 'no tier'}")
        self._board = _Board()
        self._settler = _Settler()
        self._desk = _Desk(world, rng, figures, accepted=accepted)
        office = Office(worker="w", table=table, rates=dict.fromkeys(table.tiers, RATE))
        self._dispatcher = Dispatcher(office, self._desk, self._settler, self._board, jitter=rng.random)

    async def job(self) -> None:
        """One job, from its queue to its end, or until it has gone far enough."""
        rng, name = self._rng, self._rng.choice(list(self._table.classes))
        self._figures.jobs += 1
        self._desk.task_class = name
        tiers = list(self._table.tiers)
        first = self._table.classes[name].primary
        # It may have been queued under another configuration; and a claim may be none of ours.
        at = rng.choice(tiers) if first not in self._table.tiers or rng.random() < 0.2 else first
        careless = rng.random() < 0.3
        standing: dict[str, Any] = {"deadline_ms": float(rng.choice((5, 100, 5000)) * 1000), "started_at": 0}
        for _ in range(_MOST_STEPS):
            self._figures.steps += 1
            self._board.shut = frozenset(tier for tier in tiers if rng.random() < 0.2)
            if rng.random() < 0.05:
                standing["recoveries"] = standing.get("recoveries", 0) + 1
                continue
            lease = make_lease(job=_JOB, tier=at, task_class=name, reason=None, **standing)
            settlement = await self._step(lease, careless=careless)
            if settlement.step == "finish":
                return
            at = self._next(name, settlement, at)
            standing |= _standing_after(settlement, standing)

    async def _step(self, lease: Lease, *, careless: bool) -> Settlement:
        """Claim it as the script would, and carry it through."""
        rng, dispatcher, chance = self._rng, self._dispatcher, self._rng.random()
        known = lease.task_class in self._profiles[lease.tier].hops
        if lease.tier not in self._world.may_serve(lease.task_class):
            self._figures.turned_away += 1
        if chance < 0.03:
            await dispatcher.relocate([lease._replace(reason=rng.choice(_ENDS))])
        elif not known and not careless:
            await dispatcher.relocate([lease._replace(reason="off_route")])
        elif lease.tier in self._board.shut:
            await dispatcher.relocate([lease._replace(reason=rng.choice(_SHUT))])
        elif chance < 0.15:
            better = rng.choice([None, *(tier for tier in self._table.tiers if tier != lease.tier)])
            await dispatcher.relocate([lease._replace(reason="rate_limited", better=better)])
        elif chance < 0.18:
            await dispatcher.give_back(lease, _cut())
        elif chance < 0.21:
            self._board.shut |= {lease.tier}
            await dispatcher.withdraw(lease, _cut())
        else:
            await dispatcher.run(lease)
        return self._settler.take()

    def _next(self, name: str, settlement: Settlement, at: str) -> str:
        """Where the job waits now, which must be a place the oracle has."""
        if settlement.step == "move":
            self._figures.moves += 1
            ways: tuple[str, ...] = (str(settlement.to),)
        elif settlement.step == "hold":
            self._figures.holds += 1
            ways = settlement.tiers
        else:
            return at
        if not ways or not set(ways) <= self._world.may_serve(name):
            raise Breach(f"{name} was sent to {', '.join(ways)}")
        return self._rng.choice(ways)


def _cut() -> Report:
    return Report(outcome=Unknown(detail="cut"), evidence=Evidence())


def _standing_after(settlement: Settlement, before: dict[str, Any]) -> dict[str, Any]:
    """What Redis would remember of the job."""
    kept = settlement.job_fields
    names = {"failures": "failures", "tries": "tries_here", "refused": "refusals", "path": "path", "skipped": "skipped"}
    after: dict[str, Any] = {names[key]: value for key, value in kept.items() if key in names}
    if "barred" in kept:
        after["barred"] = frozenset(str(kept["barred"]).split(","))
    return {**after, "attempt": before.get("attempt", 1) + settlement.called}


def unchecked(world: World) -> RouteTable | None:
    """The table that the file would give if nobody checked it; None if it does not give one at all."""
    try:
        providers = {
            name: Provider.model_validate({**entry, "name": name}) for name, entry in world.raw["providers"].items()
        }
        classes = {
            name: TaskClass.model_validate({**entry, "name": name}) for name, entry in world.raw["classes"].items()
        }
    except ValueError:
        return None
    return RouteTable.model_construct(providers=providers, classes=classes)


async def walk(world: World, rng: random.Random, figures: Figures, *, jobs: int = 2) -> None:
    """Judge one configuration as the load check does, then send jobs through it.

    Raises:
        Breach: the check and the oracle disagree, or a job went where it may not.
    """
    figures.configurations += 1
    table: RouteTable | None
    try:
        table = build_route_table(world.raw)
    except ConfigError as error:
        if world.is_right():
            raise Breach(f"refused without a reason: {error}") from error
        figures.refused += 1
        accepted, table = False, unchecked(world)
        figures.unchecked += table is not None
    else:
        if not world.is_right():
            raise Breach("accepted with a mistake")
        figures.accepted += 1
        accepted = True
    if table is not None:
        walking = Walk(world, table, rng, figures, accepted=accepted)
        for _ in range(jobs):
            await walking.job()


def walk_many(seed: int, configurations: int) -> Figures:
    """Walk as many random configurations, always the same for one seed, without a word in the log.

    Raises:
        Breach: with the seed and number of the configuration, and the configuration itself.
    """
    figures = Figures()

    async def all_of_them() -> None:
        for number in range(configurations):
            rng = random.Random(f"{seed}:{number}")
            world = world_of(rng)
            try:
                await walk(world, rng, figures)
            except Exception as error:
                raise Breach(f"seed {seed}, configuration {number}: {error!r} in {world.raw}") from error

    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        asyncio.run(all_of_them())
    finally:
        structlog.configure(**before)
    return figures


def main() -> int:
    """Walk a million configurations on every processor and print what was walked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("configurations", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--processes", type=int, default=None, help="one per processor if absent")
    asked = parser.parse_args()
    parts = max(1, asked.configurations // 5000)
    sizes = [asked.configurations // parts + (part < asked.configurations % parts) for part in range(parts)]
    total, began = Figures(), time.monotonic()
    with ProcessPoolExecutor(asked.processes) as pool:
        seeds = [asked.seed + part for part in range(parts)]
        for figures in pool.map(walk_many, seeds, sizes):
            total.add(figures)
            sys.stderr.write(f"\r{total.configurations:,} of {asked.configurations:,}, {total.calls:,} calls")
            sys.stderr.flush()
    seconds = time.monotonic() - began
    sys.stderr.write("\n")
    sys.stdout.write(f"seed {asked.seed}: {total.line()}; none where it may not be; {seconds:.0f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
