"""What the producer needs of the queue."""

from collections.abc import Sequence
from typing import Protocol

from pointsman_queue import Admission, BatchProgress, NewJob, Standing
from pointsman_routes import RouteTable


class Intake(Protocol):
    """The producer's side of the queue; `pointsman_queue.JobQueue` is one.

    Every method raises `ServiceUnavailable` while Redis does not answer.
    """

    async def announce(self, table: RouteTable, by: str) -> None:
        """Tell the ledger by which policy jobs are accepted, if it is another than before.

        Raises:
            ConfigError: the policy is longer than the ledger takes.
            QueueFull: Redis has no room for it.
        """
        ...

    async def enqueue(self, batch_id: str, jobs: Sequence[NewJob]) -> list[Admission]:
        """Take in jobs of one batch, all or none.

        Raises:
            JobConflict: an id is taken by a job that asks something else.
            QueueFull: Redis has no room.
        """
        ...

    async def standing(self) -> Standing:
        """How far the records of accepted jobs are written, and how far the ledger has committed them."""
        ...

    async def progress(self, batch_id: str) -> BatchProgress | None:
        """How far a batch is; None if nothing is known of it."""
        ...

    async def finished(self, batch_id: str, *, after: str, count: int, block_ms: int) -> list[tuple[str, str]]:
        """Finished jobs after a cursor as (cursor, job id), in order; waits up to `block_ms` if there are none."""
        ...

    async def results(self, job_ids: Sequence[str]) -> dict[str, bytes]:
        """The result lines still kept, by job id."""
        ...
