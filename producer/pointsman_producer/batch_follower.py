"""Following a batch: its finished jobs, in the order they finish."""

import asyncio
from collections.abc import Collection

from pointsman_queue import START
from pointsman_routes import Result, ServiceUnavailable

from .backoff import Backoff
from .intake import Intake

JOBS_A_READ = 500


class BatchFollower:
    """Reads the results of one batch, from the first job that finished on.

    The queue's list of finished jobs is only read forward. It ends when the list is read to its end and the batch has
    nothing outstanding, or when every wanted job is answered.

    Memory: the id of every job answered so far, or of every wanted job still to be answered.
    """

    def __init__(self, intake: Intake, batch_id: str, wanted: Collection[str] | None, backoff: Backoff) -> None:
        """Follow a batch.

        Args:
            intake: the queue.
            batch_id: the batch.
            wanted: ids of the jobs to answer; None for every job of the batch.
            backoff: between tries while the queue is away.
        """
        self.batch_id = batch_id
        self.done = False
        self.unknown = False
        """Whether nothing is known of the batch."""
        self._intake = intake
        self._backoff = backoff
        self._wanted = None if wanted is None else set(wanted)
        self._answered: set[str] = set()
        self._gone: set[str] = set()
        self._cursor = START
        self._total = 0
        self._may_wait = False
        self._over = False

    @property
    def outstanding(self) -> int:
        """Jobs still to be answered, as far as is known."""
        if self._wanted is not None:
            return len(self._wanted)
        return max(0, self._total - len(self._answered))

    @property
    def gone(self) -> Collection[str]:
        """Jobs that have finished and whose results are not kept any more; final once `done`."""
        return self._gone if self._wanted is None else self._wanted

    async def read(self, block_ms: int) -> list[Result]:
        """Results that have come since the last read; waits for the first up to `block_ms`.

        While the queue is away it waits without an end; whoever has a time limit cancels the read.
        """
        attempt = 0
        while True:
            try:
                return await self._read(block_ms)
            except ServiceUnavailable:
                await asyncio.sleep(self._backoff.delay(attempt))
                attempt += 1

    async def _read(self, block_ms: int) -> list[Result]:
        # Nothing of this object changes before the last answer is in: a read that broke off is simply made again.
        entries = await self._intake.finished(
            self.batch_id, after=self._cursor, count=JOBS_A_READ, block_ms=block_ms if self._may_wait else 0
        )
        news = list(dict.fromkeys(job_id for _, job_id in entries if self._is_news(job_id)))
        lines = await self._intake.results(news) if news else {}
        results = [Result.model_validate_json(lines[job_id]) for job_id in news if job_id in lines]
        if not entries and not self._over:
            await self._look_ahead()
        elif not entries:
            self.done = True
        else:
            self._cursor = entries[-1][0]
            self._note(news, lines)
        return results

    def _is_news(self, job_id: str) -> bool:
        return job_id not in self._answered if self._wanted is None else job_id in self._wanted

    def _note(self, news: Collection[str], lines: Collection[str]) -> None:
        if self._wanted is not None:
            self._wanted.difference_update(lines)
            self.done = not self._wanted
            return
        self._answered.update(lines)
        self._gone.difference_update(lines)
        self._gone.update(job_id for job_id in news if job_id not in lines)
        # Counted in full: the end may be here, and is found without waiting.
        self._may_wait = len(self._answered) + len(self._gone) < self._total

    async def _look_ahead(self) -> None:
        """At the end of the list: is there more to come?"""
        progress = await self._intake.progress(self.batch_id)
        self.unknown = progress is None
        self._over = progress is None or progress.outstanding <= 0
        self._total = progress.total if progress is not None else self._total
        # If it is over, one more read catches what finished between the last read and this look.
        self._may_wait = not self._over
