"""The producer: the client that submits jobs and waits for their results."""

import asyncio
import os
import re
import secrets
import socket
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Self

from pointsman_queue import BatchProgress, JobQueue, Settings, connect
from pointsman_routes import ConfigError, Job, JobInvalid, Problem, Result, RouteTable, read_route_table

from .backoff import Backoff
from .batch_follower import BatchFollower
from .intake import Intake
from .job_encoder import JobEncoder
from .ledger_watch import TIMEOUT_S, LedgerWatch
from .result_stream import follow
from .submission import Means, Receipt, Submission

_BATCH_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


class Producer:
    """Submits jobs and waits for their results.

        async with Producer.connect() as producer:
            receipts = await producer.submit(jobs)
            async for result in producer.results(receipts):
                ...

    Submitting is idempotent: within a batch a job is known by its `custom_id`, so whatever was interrupted may be
    submitted again under the same `batch_id`, and nothing is asked twice.
    """

    def __init__(
        self,
        intake: Intake,
        table: RouteTable,
        *,
        backoff: Backoff | None = None,
        ledger_timeout: timedelta | float = TIMEOUT_S,
    ) -> None:
        """Make a producer of a queue and a route table.

        Args:
            intake: the queue, such as a `pointsman_queue.JobQueue`.
            table: where jobs go, by their class.
            backoff: between tries while Redis is away.
            ledger_timeout: how long the ledger may take to confirm jobs of a class with `acceptance = "ledger"`, as a
                timedelta or in seconds.
        """
        self._intake = intake
        self._table = table
        self._backoff = backoff or Backoff()
        self._announced = False
        self._means = Means(
            intake=intake,
            encoder=JobEncoder(table),
            watch=LedgerWatch(intake, timeout_s=_seconds(ledger_timeout)),
            backoff=self._backoff,
            announce=self._announce,
        )

    @classmethod
    @asynccontextmanager
    async def connect(cls, settings: Settings | None = None) -> AsyncIterator[Self]:
        """A producer connected to Redis; closed at the end of the `async with`.

        Args:
            settings: where Redis and the configuration are; from the environment when absent.

        Raises:
            ConfigError: `pointsman.toml` is not there, or not valid.
            ServiceUnavailable: Redis does not answer.
        """
        settings = settings or Settings()
        table = await asyncio.to_thread(_read_table, settings.config)
        redis = await connect(settings.effective_redis_url)
        try:
            yield cls(JobQueue(redis, keep_results=settings.keep_results), table)
        finally:
            await redis.aclose(close_connection_pool=True)

    async def submit(
        self,
        jobs: Iterable[Job] | AsyncIterable[Job],
        *,
        batch_id: str | None = None,
        on_progress: Callable[[int], object] | None = None,
        on_wait: Callable[[int], object] | None = None,
    ) -> list[Receipt]:
        """Submit jobs in bulk. Every job with a receipt is in the queue, and in the ledger too if its class says so.

        Jobs travel in chunks, each taken in as a whole or not at all; if one is refused, those before it stay in. The
        receipts of a chunk with a job of a class with `acceptance = "ledger"` come once the ledger has committed it.

        Args:
            jobs: each with a `custom_id` of its own.
            batch_id: names the batch; a new random one when absent. Jobs can be added to a batch at any time.
            on_progress: called with the number of receipts so far, after every chunk.
            on_wait: called with the number of jobs that are in the queue and wait for the ledger, when it changes.

        Returns:
            A receipt for each job, in their order.

        Raises:
            JobConflict: a `custom_id` of the batch is taken by a job that asks something else.
            JobInvalid: a job's class is not in the configuration, or the `batch_id` is not usable.
            LedgerBehind: the ledger has not confirmed jobs in time; they are in the queue all the same.
            QueueFull: Redis has no room for more.
            ServiceUnavailable: Redis stayed away through all tries; the message names the batch to go on with.
        """
        receipts: list[Receipt] = []
        async with aclosing(self._submission(batch_id, on_wait).receipts(jobs)) as chunks:
            async for chunk in chunks:
                receipts += chunk
                if on_progress is not None:
                    on_progress(len(receipts))
        return receipts

    async def submit_each(
        self,
        jobs: Iterable[Job] | AsyncIterable[Job],
        *,
        batch_id: str | None = None,
        on_wait: Callable[[int], object] | None = None,
    ) -> AsyncGenerator[Receipt, None]:
        """Submit jobs as `submit` does, handing out receipts as they come instead of collecting them.

        For batches that do not fit into memory: a few thousand jobs are held at any time. Leaving the loop early
        leaves the jobs sent so far in the queue.
        """
        async with aclosing(self._submission(batch_id, on_wait).receipts(jobs)) as chunks:
            async for chunk in chunks:
                for receipt in chunk:
                    yield receipt

    def results(
        self, of: Iterable[Receipt] | str, *, timeout: timedelta | float | None = None
    ) -> AsyncGenerator[Result, None]:
        """Hand out results in the order jobs finish, whatever their state, until all are answered.

        While Redis is away it waits and goes on. Results are kept for `Settings.keep_results`.

        Args:
            of: receipts, or a `batch_id` for every job of the batch, those added while waiting included.
            timeout: for the whole, as a timedelta or in seconds; None waits as long as it takes.

        Raises:
            ResultGone: results are not kept any more; raised after all others have been handed out.
            WaitTimeout: the time is over. The jobs go on.
        """
        return follow(self._followers(of), timeout_s=None if timeout is None else _seconds(timeout))

    async def progress(self, batch_id: str) -> BatchProgress | None:
        """Counts of a batch by final state; None if nothing is known of it."""
        return await self._intake.progress(batch_id)

    async def _announce(self) -> None:
        """Tell the ledger the policy, once, before anything is accepted under it."""
        if not self._announced:
            await self._intake.announce(self._table, f"producer {socket.gethostname()}-{os.getpid()}")
            self._announced = True

    def _submission(self, batch_id: str | None, on_wait: Callable[[int], object] | None) -> Submission:
        name = new_batch_id() if batch_id is None else batch_id
        if not _BATCH_ID.fullmatch(name):
            raise JobInvalid(f"{name[:40]!r} is not a usable batch_id; use up to 128 letters, digits, '-', '_' and '.'")
        return Submission(self._means, name, on_wait)

    def _followers(self, of: Iterable[Receipt] | str) -> list[BatchFollower]:
        if isinstance(of, str):
            return [BatchFollower(self._intake, of, None, self._backoff)]
        wanted: dict[str, set[str]] = {}
        for receipt in of:
            wanted.setdefault(receipt.batch_id, set()).add(receipt.job_id)
        return [BatchFollower(self._intake, batch_id, ids, self._backoff) for batch_id, ids in wanted.items()]


def new_batch_id() -> str:
    """A batch id nobody has used."""
    return f"b-{secrets.token_hex(12)}"


def _seconds(time: timedelta | float) -> float:
    return time.total_seconds() if isinstance(time, timedelta) else time


def _read_table(path: Path) -> RouteTable:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        problem = Problem(str(path), f"cannot be read: {reason}", "correct the path, or set POINTSMAN_CONFIG")
        raise ConfigError([problem]) from None
    return read_route_table(text, path)
