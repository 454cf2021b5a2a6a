"""The loop that many write first, as vendors' cookbooks show it: one process that keeps a capacity of its own.

A full minute of calls at the start, refilled continuously; a task per call whenever there is capacity. A refused call
is tried again up to five times, and after the latest refusal nothing is started for 15 s. Then the job is given up.
Written anew after the public description; nothing is taken from anybody's code.

    python -m benchmarks.limits.cookbook --base-url URL --jobs N [--rpm 3000]
"""

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field

import aiohttp

from . import other_side
from .progress import Progress
from .prompts import chat

_RETRIES = 5
_PAUSE_S = 15.0
_BREATH_S = 0.001


@dataclass(slots=True)
class Capacity:
    """Calls that may start now."""

    rpm: int
    """0 is no limit."""
    _level: float = field(init=False)
    _at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._level = float(self.rpm)

    def take(self) -> float:
        """Take one call, or say how many seconds are missing."""
        if not self.rpm:
            return 0.0
        now, rate = time.monotonic(), self.rpm / 60
        self._level = min(self.rpm, self._level + (now - self._at) * rate)
        self._at = now
        if self._level < 1:
            return (1 - self._level) / rate
        self._level -= 1
        return 0.0


@dataclass(slots=True, kw_only=True)
class Loop:
    """The loop: jobs waiting, calls under way."""

    session: aiohttp.ClientSession
    url: str
    progress: Progress
    waiting: deque[int]
    """Retries left of each waiting job."""
    paused_until: float = 0.0

    async def run(self, capacity: Capacity) -> None:
        """Start calls until nothing is waiting or under way."""
        under_way: set[asyncio.Task[None]] = set()
        while self.waiting or under_way:
            pause = self.paused_until - time.monotonic()
            if not self.waiting:
                await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            elif pause > 0:
                await asyncio.sleep(pause)
            elif missing := capacity.take():
                await asyncio.sleep(missing)
            else:
                task = asyncio.create_task(self._call(self.waiting.popleft()))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
                await asyncio.sleep(_BREATH_S)

    async def _call(self, retries: int) -> None:
        try:
            async with self.session.post(self.url, json=chat("fast")) as reply:
                await reply.read()
                status = reply.status
        except (aiohttp.ClientError, TimeoutError):
            status = 0
        if status == 200:
            self.progress.one()
            return
        if status == 429:
            self.paused_until = time.monotonic() + _PAUSE_S
        if retries:
            self.waiting.appendleft(retries - 1)


async def run(ask: other_side.Ask, progress: Progress) -> None:
    """Ask for everything."""
    async with aiohttp.ClientSession(headers={"authorization": "Bearer not-a-key"}) as session:
        url = f"{ask.base_url}/chat/completions"
        loop = Loop(session=session, url=url, progress=progress, waiting=deque([_RETRIES] * ask.jobs))
        await loop.run(Capacity(ask.rpm))


if __name__ == "__main__":
    other_side.main("cookbook", run)
