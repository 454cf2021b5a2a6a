"""Lost final records: Redis knows that a job is over, the ledger does not. They are written again."""

from collections.abc import Sequence

from pointsman_queue import START, JobPlaces, OutboxEntry, ReconcilerTurn
from pointsman_routes import FinalRecord

from .columns import LONGEST_TEXT
from .intake import Garbage, read_entry
from .ledger import Ledger
from .lost_work import acceptances, without_end
from .rebuilt_final import rebuild_final
from .redriving import Act, Reconciled, WhyStranded
from .stranded_jobs import Still, Tell


class LostFinals:
    """Finds jobs that are over without a record of it, and makes the record from what Redis has of them.

    Weakness: of a job that an older ledger holds a final record of, and that was asked again since under the same id
    without a new acceptance, a second lost record is not missed. An end whose result and hash have expired is gone.
    """

    def __init__(self, ledger: Ledger, places: JobPlaces, turn: ReconcilerTurn) -> None:
        self._ledger = ledger
        self._places = places
        self._turn = turn
        self._cursor = 0

    async def scan(self, count: int) -> tuple[list[str], bool]:
        """Look through the next stretch of Redis.

        Args:
            count: names to look at, about.

        Returns:
            Jobs that are over and have no final record so far, and whether Redis is through.
        """
        self._cursor, names = await self._places.over(self._cursor, count)
        over = [name for name in names if _is_name(name)]
        if not over:
            return [], self._cursor == 0
        async with self._ledger.reading() as connection:
            return sorted(await without_end(connection, over)), self._cursor == 0

    def begin_anew(self) -> None:
        """Look through Redis from its beginning."""
        self._cursor = 0

    async def settle(self, suspects: Sequence[str], *, still: Still, tell: Tell, dry_run: bool) -> None:
        """Write the final records that are lost without a doubt.

        Call it once every record that was in the outbox when the jobs were seen to be over is in the ledger.

        Raises:
            ServiceUnavailable: Redis or the ledger does not answer.
        """
        async with self._ledger.reading() as connection:
            lost = sorted(await without_end(connection, suspects)) if suspects else []
            accepted = await acceptances(connection, lost) if lost else {}
        remains = await self._places.remains(lost)
        if not remains or not await still():
            return
        for job_id, left in remains.items():
            record = _recordable(rebuild_final(job_id, left, accepted.get(job_id)))
            batch_id, task_class = left.fields.get("batch"), left.fields.get("class")
            if record is None:
                tell(Reconciled(Act.STRANDED, job_id, batch_id, task_class, WhyStranded.NO_END))
            elif dry_run or await self._turn.write(record):
                tell(Reconciled(Act.REBUILT, job_id, batch_id, task_class))


def _is_name(job_id: str) -> bool:
    """Whether a job can be called so; others put things into Redis, too."""
    return "\0" not in job_id and len(job_id.encode()) <= LONGEST_TEXT


def _recordable(record: FinalRecord | None) -> FinalRecord | None:
    """The record, if the ledger will take it for one: else it would be put aside, and written again, for ever."""
    if record is None:
        return None
    sent = OutboxEntry(entry_id=START, at=record.accepted_at or 1, record=record.model_dump_json().encode())
    return None if isinstance(read_entry(sent), Garbage) else record
