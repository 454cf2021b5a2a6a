"""The producer's side of the queue: jobs in, progress and results out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

from arq import ArqRedis

from pointsman_routes import JobConflict, JobState, QueueFull, RouteTable

from . import keys
from .connection import read_hash, redis_errors
from .outbox import Outbox, Standing
from .scripts import script_text

MEMORY_MARK = 0.75
"""Share of maxmemory above which no job is taken."""
_DIGEST_KEPT = 16
"""Hexadecimal digits of the prompt digest kept to tell a resubmission from a conflict."""


class Admission(StrEnum):
    """What became of a job that was handed in."""

    ACCEPTED = "accepted"
    """It is in the queue now."""
    KNOWN = "known"
    """Its id was accepted before; nothing was done."""


class NewJob(NamedTuple):
    """A job on its way in, with what the scripts need to know of it.

    A tuple, since one is made for every job of a bulk submission: a frozen dataclass takes three times as long.
    """

    job_id: str
    task_class: str
    tier: str
    """The primary of its class."""
    envelope: bytes
    """From `encode_envelope`."""
    characters: int
    """Base of the token estimate."""
    max_tokens: int
    prompt_digest: str
    """`Job.prompt_digest`, without a salt: the same question gives the same digest. Redis keeps the first digits of it,
    for as long as it keeps the job, to tell a resubmission from a conflict; it stands in no record."""
    record: bytes
    """An `AcceptedRecord` in JSON."""
    deadline_ms: int
    """From acceptance."""
    spill_ms: int
    """Longest wait for one tier; 0 when the class has no other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchProgress:
    """Counts of a batch."""

    total: int
    succeeded: int = 0
    failed: int = 0
    expired: int = 0
    cancelled: int = 0

    @property
    def done(self) -> int:
        """Jobs in a final state."""
        return self.succeeded + self.failed + self.expired + self.cancelled

    @property
    def outstanding(self) -> int:
        """Jobs still to be answered."""
        return self.total - self.done


class JobQueue:
    """Takes jobs in and tells how they fare."""

    def __init__(self, redis: ArqRedis, *, keep_results: timedelta) -> None:
        self._redis = redis
        self._keep_results = keep_results
        self._enqueue = redis.register_script(script_text("enqueue"))
        self._outbox = Outbox(redis)

    async def announce(self, table: RouteTable, by: str) -> None:
        """Tell the ledger by which policy a producer accepts; see `Outbox.announce`."""
        await self._outbox.announce("producer", table, by)

    async def standing(self) -> Standing:
        """How far the records of accepted jobs are; see `Outbox.standing`."""
        return await self._outbox.standing()

    async def enqueue(self, batch_id: str, jobs: Sequence[NewJob]) -> list[Admission]:
        """Take in some jobs of a batch, in one step: all of them, or none.

        Idempotent by job id, so a call whose answer was lost can be made again.

        Args:
            batch_id: the batch; its counts are kept under this name.
            jobs: a few thousand at most; the server does nothing else meanwhile.

        Returns:
            What became of each job, in their order.

        Raises:
            JobConflict: an id is taken by a job that asks something else.
            QueueFull: Redis is above its memory mark.
            ServiceUnavailable: Redis does not answer; nothing is known about the jobs.
        """
        arguments: list[str | bytes | float] = [batch_id, MEMORY_MARK]
        for job in jobs:
            head = (
                f"{job.prompt_digest[:_DIGEST_KEPT]}|{job.task_class}|{job.tier}|{job.deadline_ms}|{job.spill_ms}"
                f"|{job.characters}|{job.max_tokens}"
            )
            arguments += (job.job_id, head, job.envelope, job.record)
        with redis_errors():
            reply = await self._enqueue(args=arguments)
        match reply:
            case [b"ok", flags]:
                return [Admission.ACCEPTED if flag == ord("1") else Admission.KNOWN for flag in flags]
            case [b"conflict", job_id]:
                raise JobConflict(
                    f"job id {job_id.decode()} is taken by a job with other content; "
                    "give the job another custom_id, or submit under another batch"
                )
            case _:
                raise QueueFull(
                    f"Redis uses {reply[1]} of {reply[2]} bytes and takes no new jobs above "
                    f"{MEMORY_MARK:.0%}; wait for the workers, or raise maxmemory"
                )

    async def progress(self, batch_id: str) -> BatchProgress | None:
        """Counts of a batch; None when it is not known, or no longer."""
        counts = await read_hash(self._redis, keys.BATCH + batch_id)
        return BatchProgress(**{name: int(count) for name, count in counts.items()}) if counts else None

    async def finished(self, batch_id: str, *, after: str, count: int, block_ms: int) -> list[tuple[str, str]]:
        """Jobs of a batch that finished after a cursor, in the order they did.

        Args:
            batch_id: the batch.
            after: `0-0`, or the cursor of the last job seen.
            count: most to answer.
            block_ms: how long to wait if there are none yet.

        Returns:
            Pairs of cursor and job id.
        """
        with redis_errors():
            reply = await self._redis.xread({keys.DONE + batch_id: after}, count=count, block=block_ms or None)
        return [(entry_id.decode(), fields[b"id"].decode()) for _, entries in reply for entry_id, fields in entries]

    async def results(self, job_ids: Sequence[str]) -> dict[str, bytes]:
        """Result lines by job id, of those that are finished and still kept."""
        if not job_ids:
            return {}
        with redis_errors():
            lines = await self._redis.mget([keys.RESULT + job_id for job_id in job_ids])
        return {job_id: line for job_id, line in zip(job_ids, lines, strict=True) if line is not None}

    async def state(self, job_id: str) -> JobState | None:
        """Where a job is in its life; None when it is not known, or no longer."""
        fields = await read_hash(self._redis, keys.JOB + job_id)
        return JobState(fields["state"]) if fields else None
