"""Results of several batches as one stream."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Iterator

from pointsman_routes import Result

from .batch_follower import BatchFollower
from .errors import ResultGone, WaitTimeout

READS_AT_ONCE = 8
"""Every waiting read holds a connection to Redis."""
BLOCK_MS = 5_000
BLOCK_IN_TURNS_MS = 200
"""When there are more batches than reads at once, and each gets its turn."""


async def follow(followers: Iterable[BatchFollower], *, timeout_s: float | None) -> AsyncGenerator[Result, None]:
    """Hand out results as jobs finish, until every follower is done.

    Args:
        followers: one for each batch.
        timeout_s: for the whole; None waits as long as it takes.

    Raises:
        ResultGone: some results are not kept any more; raised after all others have been handed out.
        WaitTimeout: the time is over.
    """
    everyone = tuple(followers)
    clock = asyncio.get_running_loop().time
    end = None if timeout_s is None else clock() + timeout_s
    reads = _Reads(everyone)
    try:
        while reads.going:
            reads.start()
            ready = await reads.wait(None if end is None else max(0.0, end - clock()))
            if not ready:
                raise WaitTimeout(sum(follower.outstanding for follower in everyone), timeout_s or 0)
            for result in reads.collect(ready):
                yield result
    finally:
        await reads.stop()
    for follower in everyone:
        if follower.unknown or follower.gone:
            raise ResultGone(follower.batch_id, follower.gone)


class _Reads:
    """The reads under way, one a follower, and the followers whose turn is yet to come."""

    def __init__(self, followers: tuple[BatchFollower, ...]) -> None:
        self._waiting = deque(followers)
        self._reading: dict[asyncio.Task[list[Result]], BatchFollower] = {}
        self._block_ms = BLOCK_MS if len(followers) <= READS_AT_ONCE else BLOCK_IN_TURNS_MS

    @property
    def going(self) -> bool:
        return bool(self._waiting or self._reading)

    def start(self) -> None:
        while self._waiting and len(self._reading) < READS_AT_ONCE:
            follower = self._waiting.popleft()
            self._reading[asyncio.create_task(follower.read(self._block_ms))] = follower

    async def wait(self, timeout_s: float | None) -> set[asyncio.Task[list[Result]]]:
        ready, _ = await asyncio.wait(self._reading, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        return ready

    def collect(self, ready: set[asyncio.Task[list[Result]]]) -> Iterator[Result]:
        for task in ready:
            follower = self._reading.pop(task)
            yield from task.result()
            if not follower.done:
                self._waiting.append(follower)

    async def stop(self) -> None:
        for task in self._reading:
            task.cancel()
        await asyncio.gather(*self._reading, return_exceptions=True)
