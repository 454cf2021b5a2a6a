"""A submission: jobs on their way into the queue, in chunks, a few of them in flight at once."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import NamedTuple

from pointsman_queue import Admission, NewJob
from pointsman_routes import Job, JobConflict, ServiceUnavailable

from .backoff import Backoff
from .errors import LedgerBehind
from .intake import Intake
from .job_encoder import JobEncoder
from .ledger_watch import LedgerWatch

CHUNK_JOBS = 200
CHUNK_BYTES = 4 * 1024 * 1024
"""A chunk is sent when it has this many jobs or bytes, whichever comes first: Redis does nothing else meanwhile."""
CHUNKS_IN_FLIGHT = 4
"""Enough that Redis always has one to work on while others are on the wire, acknowledged or being encoded."""
JOBS_A_TURN = 100
"""Encoded in one go, about a millisecond; then the event loop gets its turn."""


class Receipt(NamedTuple):
    """A job is in the queue and will be kept until its deadline; one of a strict class is in the ledger too."""

    job_id: str
    batch_id: str
    custom_id: str
    known: bool
    """It was in the queue before; nothing was done."""


@dataclass(slots=True)
class _Chunk:
    """Encoded jobs that travel together."""

    jobs: list[NewJob] = field(default_factory=list)
    custom_ids: list[str] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    size: int = 0
    strict: bool = False
    """Whether a job of it is accepted only once the ledger has it."""

    def add(self, custom_id: str, job: NewJob, *, strict: bool) -> None:
        # Redis compares a job with those it has, not with the others of the same call.
        if self.digests.setdefault(job.job_id, job.prompt_digest) != job.prompt_digest:
            raise JobConflict(
                f"custom_id {custom_id!r} is given to two jobs that ask different things; give each job its own"
            )
        self.jobs.append(job)
        self.custom_ids.append(custom_id)
        self.size += len(job.envelope) + len(job.record)
        self.strict = self.strict or strict

    @property
    def full(self) -> bool:
        return len(self.jobs) >= CHUNK_JOBS or self.size >= CHUNK_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What every submission of a producer works with."""

    intake: Intake
    encoder: JobEncoder
    watch: LedgerWatch
    backoff: Backoff
    announce: Callable[[], Awaitable[None]]
    """Tells the ledger the policy, before the first job is accepted under it."""


class Submission:
    """Takes jobs of one batch into the queue. All it keeps in memory is the chunks in flight.

    A chunk is taken in as a whole or not at all. A lost connection is no reason to stop: the chunk is sent again,
    which is harmless even if it had arrived. A chunk with jobs of a strict class counts as accepted once the ledger has
    it, those behind it are sent meanwhile.
    """

    def __init__(self, means: Means, batch_id: str, on_wait: Callable[[int], object] | None = None) -> None:
        """Submit under a batch id.

        Args:
            means: of the producer.
            batch_id: the batch.
            on_wait: called with the number of jobs that wait for the ledger, whenever it changes.
        """
        self._intake = means.intake
        self._encoder = means.encoder
        self._watch = means.watch
        self._backoff = means.backoff
        self._announce = means.announce
        self._batch_id = batch_id
        self._on_wait = on_wait
        self._waiting = 0

    async def receipts(self, jobs: Iterable[Job] | AsyncIterable[Job]) -> AsyncGenerator[list[Receipt], None]:
        """Submit the jobs; hands out the receipts of a chunk at a time, in the order of the jobs.

        Raises:
            JobConflict: a custom_id of the batch is taken by a job that asks something else.
            JobInvalid: a job's class is unknown, or it cannot be written as JSON.
            LedgerBehind: the ledger did not confirm jobs of a strict class in time.
            QueueFull: Redis has no room.
            ServiceUnavailable: Redis stayed away.
        """
        in_flight: deque[asyncio.Task[list[Receipt]]] = deque()
        accepted = 0
        try:
            await self._backoff.through(self._announce)
            async with aclosing(self._chunks(jobs)) as chunks:
                async for chunk in chunks:
                    in_flight.append(asyncio.create_task(self._deliver(chunk)))
                    # The task starts now and not after the next chunk has been encoded.
                    await asyncio.sleep(0)
                    if len(in_flight) >= CHUNKS_IN_FLIGHT:
                        receipts = await in_flight.popleft()
                        accepted += len(receipts)
                        yield receipts
            while in_flight:
                receipts = await in_flight.popleft()
                accepted += len(receipts)
                yield receipts
        except LedgerBehind:
            raise
        except ServiceUnavailable as error:
            # Without the batch id the caller could only submit everything a second time.
            raise type(error)(
                f"{error}; {accepted:,} jobs of batch {self._batch_id} are in: "
                "submit the same jobs under this batch id to go on"
            ) from error
        finally:
            for task in in_flight:
                task.cancel()
            await asyncio.gather(*in_flight, return_exceptions=True)

    async def _chunks(self, jobs: Iterable[Job] | AsyncIterable[Job]) -> AsyncGenerator[_Chunk, None]:
        strict = self._encoder.strict_classes
        chunk = _Chunk()
        async for job in _each(jobs):
            new = self._encoder.encode(self._batch_id, job, time.time_ns() // 1_000_000)
            chunk.add(job.custom_id, new, strict=job.task_class in strict)
            if chunk.full:
                yield chunk
                chunk = _Chunk()
            elif len(chunk.jobs) % JOBS_A_TURN == 0:
                await asyncio.sleep(0)
        if chunk.jobs:
            yield chunk

    async def _deliver(self, chunk: _Chunk) -> list[Receipt]:
        admissions = await (self._enter_ledger(chunk.jobs) if chunk.strict else self._enqueue(chunk.jobs))
        return [
            Receipt(
                job_id=job.job_id,
                batch_id=self._batch_id,
                custom_id=custom_id,
                known=admission is Admission.KNOWN,
            )
            for job, custom_id, admission in zip(chunk.jobs, chunk.custom_ids, admissions, strict=True)
        ]

    async def _enqueue(self, jobs: list[NewJob]) -> list[Admission]:
        return await self._backoff.through(lambda: self._intake.enqueue(self._batch_id, jobs))

    async def _enter_ledger(self, jobs: list[NewJob]) -> list[Admission]:
        """Take jobs in and wait until the ledger has them; once more if Redis may have lost them meanwhile."""
        until = asyncio.get_running_loop().time() + self._watch.timeout_s
        admissions: list[Admission] = []
        while True:
            # Before: whatever befalls Redis from here on shows as another life.
            life = (await self._backoff.through(self._intake.standing)).life
            answer = await self._enqueue(jobs)
            admissions = [_merged(*both) for both in zip(admissions or answer, answer, strict=True)]
            self._wait_for(len(jobs))
            try:
                if await self._watch.committed(life, until):
                    return admissions
            except TimeoutError:
                raise LedgerBehind(self._batch_id, self._watch.timeout_s) from None
            finally:
                self._wait_for(-len(jobs))

    def _wait_for(self, more: int) -> None:
        self._waiting += more
        if self._on_wait is not None:
            self._on_wait(self._waiting)


def _merged(before: Admission, now: Admission) -> Admission:
    """Known is what was there before the first try."""
    return Admission.KNOWN if before is now is Admission.KNOWN else Admission.ACCEPTED


async def _each(jobs: Iterable[Job] | AsyncIterable[Job]) -> AsyncIterator[Job]:
    if isinstance(jobs, AsyncIterable):
        async for job in jobs:
            yield job
    else:
        for job in jobs:
            yield job
