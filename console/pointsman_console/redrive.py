"""How a job that Redis has lost is encoded once more: as its producer did, from what the ledger has kept."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from pydantic import ValidationError

from pointsman_queue import NewJob, Outbox
from pointsman_routes import Job, JobInvalid, RouteTable, job_id_for

if TYPE_CHECKING:
    from pointsman_audit import LostJob, WhyStranded
    from pointsman_producer import JobEncoder

_MILLISECOND = timedelta(milliseconds=1)


class Redrive:
    """Encodes lost jobs under one configuration. A `Redriver`."""

    def __init__(self, table: RouteTable, encoder: "JobEncoder", announce: Callable[[], Awaitable[object]]) -> None:
        self._table = table
        self._encoder = encoder
        self._announce = announce

    @classmethod
    def under(cls, table: RouteTable, outbox: Outbox, by: str) -> "Redrive":
        """Under a configuration that is announced when the first job is taken in.

        Args:
            table: the configuration.
            outbox: where it is announced.
            by: the process.
        """
        from pointsman_producer import JobEncoder

        return cls(table, JobEncoder(table), lambda: outbox.announce("producer", table, by))

    async def announce(self) -> None:
        """Tell the ledger of the configuration, if it does not know it yet."""
        await self._announce()

    def encode(self, lost: "LostJob", now_us: int) -> "NewJob | WhyStranded":
        """The job as the queue takes it in, with what is left of its class's deadline, or why not."""
        from pointsman_audit import WhyStranded

        task_class = self._table.classes.get(lost.task_class)
        if task_class is None:
            return WhyStranded.CLASS_GONE
        job = _read(lost)
        if job is None:
            return WhyStranded.UNREADABLE
        left_ms = task_class.deadline // _MILLISECOND - (now_us - lost.accepted_at) // 1000
        try:
            return self._encoder.encode(
                lost.batch_id,
                job,
                now_us // 1000,
                salt=lost.salt,
                redriven=True,
                # One whose time is over expires, as every other, where a worker sees it.
                deadline_ms=max(1, left_ms),
            )
        except JobInvalid:
            return WhyStranded.UNFIT


def _read(lost: "LostJob") -> Job | None:
    """The job that was accepted, under the class it was accepted for; None if what was kept is no job, or another."""
    try:
        job = Job.model_validate_json(lost.line or "")
    except ValidationError:
        return None
    same = job.custom_id == lost.custom_id and job_id_for(lost.batch_id, job.custom_id) == lost.job_id
    return job if same and job.task_class == lost.task_class else None
