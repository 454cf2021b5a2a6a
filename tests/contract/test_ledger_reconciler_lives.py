"""Lives of jobs mixed at random with the steps of recorders and reconcilers, on real services, by a seed."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from arq import ArqRedis
from queue_cases import BACKUP, MAIN, settlement
from reconciler_house import KEPT, LOOSE, STRICT, House, id_of, open_house

from pointsman_audit import Counts, Reconciler, recorder
from pointsman_queue import Lease, keys
from pointsman_routes import JobState

Step = Callable[[], Awaitable[object]]
STEPS = 400
"""In one run; a few thousand over all of them."""
_ENDS = (JobState.SUCCEEDED, JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


class Lives:
    """Takes one random step after the other; some at the same time as a reconciler's."""

    def __init__(self, house: House, chance: random.Random) -> None:
        self.house = house
        self.chance = chance
        self.reconcilers = [house.reconciler, self._second()]
        self.names = 0
        self.leases: list[Lease] = []
        self.over: list[str] = []
        self.alive: list[str] = []
        """Of strict jobs that were recorded."""
        self.lost: set[str] = set()
        self.steps: list[tuple[int, Step]] = [
            (8, self.submit),
            (10, self.claim),
            (12, self.finish),
            (6, self.put_off),
            (6, self.record_some),
            (2, self.forget),
            (2, self.again),
            (8, self.attend),
        ]

    def _second(self) -> Reconciler:
        return Reconciler(
            self.house.ledger,
            self.house.yard("second"),
            clock=self.house.time.wall,
            monotonic=self.house.time.monotonic,
        )

    async def run(self, steps: int) -> None:
        """So many steps."""
        weights = [weight for weight, _ in self.steps]
        for _ in range(steps):
            (_, step) = self.chance.choices(self.steps, weights)[0]
            if self.chance.random() < 0.3:
                await asyncio.gather(self.attend(), step())
            else:
                await step()

    async def submit(self) -> None:
        """Some jobs come in."""
        names = [f"n-{self.names + number}" for number in range(self.chance.randrange(1, 5))]
        self.names += len(names)
        await self.house.submit(*names, task_class=self.chance.choice((STRICT, KEPT, LOOSE)))

    async def again(self) -> None:
        """A job of a moment ago is handed in again, unchanged; it is known, or else it was lost."""
        await self.house.submit(f"again-{self.chance.randrange(5)}")

    async def claim(self) -> None:
        """A worker takes some."""
        self.leases += await self.house.claim(self.chance.randrange(1, 6), self.chance.choice((MAIN, BACKUP)))

    async def finish(self) -> None:
        """Some end."""
        for lease in self._some():
            await self.house.finish(lease, state=self.chance.choice(_ENDS))
            self.over.append(lease.job_id)

    async def put_off(self) -> None:
        """Some wait, move or are held."""
        for lease in self._some():
            step = self.chance.choice(("delay", "hold", "move", "release"))
            ways: dict[str, dict[str, Any]] = {
                "delay": {"wait_ms": 1},
                "hold": {"tiers": (MAIN, BACKUP)},
                "move": {"to": BACKUP},
            }
            how = ways.get(step, {})
            await self.house.workers.settle([settlement(lease, step, **how)])

    async def forget(self) -> None:
        """Redis forgets jobs that are over, as after the retention of results; their ends may not be recorded yet."""
        while self.over:
            job_id = self.over.pop()
            if not job_id.startswith(tuple(id_of(f"again-{number}") for number in range(5))):
                await self.house.redis.delete(keys.JOB + job_id, keys.RESULT + job_id, keys.ENVELOPE + job_id)

    async def record_some(self) -> None:
        """The recorder takes a batch."""
        await self.house.recorder._round(1)

    async def attend(self) -> None:
        """A reconciler goes on."""
        await self.house.attend(self.chance.choice(self.reconcilers), seconds=self.chance.choice((0.5, 1, 4, 11)))

    def _some(self) -> list[Lease]:
        self.chance.shuffle(self.leases)
        count = self.chance.randrange(len(self.leases) + 1)
        taken, self.leases = self.leases[:count], self.leases[count:]
        return taken

    def counts(self) -> Counts:
        """Of both."""
        one, other = (reconciler.counts for reconciler in self.reconcilers)
        return Counts(
            stranded=one.stranded + other.stranded,
            redriven=one.redriven + other.redriven,
            rebuilt=one.rebuilt + other.rebuilt,
            returned=one.returned + other.returned,
        )

    async def end(self) -> None:
        """All that is left comes to its end, and is recorded."""
        for lease in self.leases:
            await self.house.finish(lease)
        for _ in range(6):
            await self.house.work()
            for reconciler in self.reconcilers * 4:
                await self.house.record()
                await self.house.attend(reconciler, seconds=11)
        await self.house.record()


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_is_taken_for_lost(
    redis: ArqRedis, ledger_url: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the steps of jobs, recorder and two reconcilers fall, no job is redriven, no end rebuilt or missed."""
    monkeypatch.setattr(recorder, "READ_AT_ONCE", 7)
    async with open_house(redis, ledger_url, lease_s=600) as house:
        lives = Lives(house, random.Random(seed))
        await lives.run(STEPS)
        await lives.end()
        assert lives.counts() == Counts()
        finals = await house.finals()
        assert set(finals.values()) == {1}
        assert len(finals) == lives.names + len({name for name in range(5) if id_of(f"again-{name}") in finals})


@pytest.mark.parametrize("seed", range(2))
async def test_all_that_is_lost_comes_back(
    redis: ArqRedis, ledger_url: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With jobs and ends lost at random in between, every job of a strict class has exactly one end."""
    monkeypatch.setattr(recorder, "READ_AT_ONCE", 7)
    async with open_house(redis, ledger_url, lease_s=600) as house:
        chance = random.Random(seed)
        names = [f"s-{number}" for number in range(120)]
        await house.submit(*names)
        await house.record()
        lives = Lives(house, chance)
        lives.steps = [
            (8, lives.claim),
            (6, lives.finish),
            (4, lives.put_off),
            (6, lives.record_some),
            (8, lives.attend),
        ]
        for _ in range(20):
            await lives.run(8)
            for name in chance.sample(names, 3):
                state = await redis.hget(keys.JOB + id_of(name), "state")  # type: ignore[misc]
                if state in (b"queued", b"delayed", b"held", b"leased"):
                    await _lose(house, id_of(name), chance)
        lives.leases = []
        await house.redis.delete(keys.LEASES + MAIN, keys.LEASES + BACKUP)
        await lives.end()
        assert await house.finals() == {id_of(name): 1 for name in names}
        assert await house.batch() == (120, 120)
        assert lives.counts().redriven > 20
        assert lives.counts().stranded == 0


async def _lose(house: House, job_id: str, chance: random.Random) -> None:
    match chance.randrange(3):
        case 0:
            await house.lose(job_id)
        case 1:
            await house.redis.delete(keys.JOB + job_id)
        case _:
            for prefix in (keys.QUEUE, keys.DELAYED, keys.LEASES):
                await house.redis.zrem(prefix + MAIN, job_id)
                await house.redis.zrem(prefix + BACKUP, job_id)
            await house.redis.zrem(keys.HELD, job_id)
