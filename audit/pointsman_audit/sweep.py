"""A sweep: through the open jobs of the ledger and the ended ones of Redis, a page at a time, each looked at twice."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from pointsman_queue import (
    START,
    JobPlaces,
    JobQueue,
    Outbox,
    OverdueLeases,
    ReconcilerTurn,
    Turn,
    Whereabouts,
    redis_errors,
)

from .ledger import Ledger
from .lost_finals import LostFinals
from .lost_work import OpenJob, open_page
from .moment import Clock, to_micros
from .redriving import Redriver
from .stranded_jobs import LOST, BatchTotals, StrandedJobs, Tell

PAGE = 1000
"""Jobs looked at in one go."""
YOUNG = timedelta(seconds=30)
"""Jobs accepted since are not looked at: nearly all of them are where they belong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Yard:
    """What a reconciler works with."""

    outbox: Outbox
    jobs: JobQueue
    places: JobPlaces
    turn: ReconcilerTurn
    redriver: Redriver | None = None
    """None without a configuration: then lost jobs are only reported."""
    leases: OverdueLeases | None = None
    """Likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspects:
    """Jobs that a first look did not find where the ledger has them."""

    source: str
    """The outbox of the Redis that was looked at."""
    mark: str
    """Its newest entry after that. Whatever had become of the jobs by then is in the ledger once this is."""
    lost: tuple[str, ...]
    """In no place."""
    over: tuple[str, ...]
    """Over, without a final record."""
    counted: BatchTotals
    """Of the batches of those in no place."""


class Sweep:
    """Looks for what is lost, and sets it right once that is certain.

    A job is lost if Redis did not have it at a moment, and the ledger still has no end of it when all that had been
    written to the outbox by then is in it. One look alone proves nothing: a job can be gone from Redis before its end
    is in the ledger.
    """

    def __init__(self, ledger: Ledger, yard: Yard, clock: Clock, tell: Tell, *, dry_run: bool = False) -> None:
        """Begin at the oldest open job.

        Args:
            ledger: whose open jobs are looked for.
            yard: what else is needed.
            clock: tells how old a job is, and what is left of its time.
            tell: is told of everything found.
            dry_run: change nothing.
        """
        self._ledger = ledger
        self._yard = yard
        self._clock = clock
        self._tell = tell
        self._dry_run = dry_run
        self._stranded = StrandedJobs(ledger, yard.outbox, yard.jobs, yard.places, yard.redriver, clock)
        self._finals = LostFinals(ledger, yard.places, yard.turn)
        self._after: OpenJob | None = None
        self.looked = 0
        """Open jobs looked at, since the beginning."""
        self.through = False
        """Whether every open job has been looked at."""
        self.scanned = False
        """Whether every ended one has."""

    def begin_anew(self) -> None:
        """Begin at the oldest open job again; the ended ones are gone on with."""
        self._after = None
        self.looked = 0
        self.through = False

    async def look(self, source: str, *, scan: bool) -> Suspects | None:
        """Look at the next page of open jobs.

        Args:
            source: the outbox that is being recorded.
            scan: look through a stretch of Redis for ended jobs, too.

        Returns:
            Those to be looked at again; None if all is well.

        Raises:
            ServiceUnavailable: Redis or the ledger does not answer.
        """
        lost, over = await self._page()
        if scan:
            found, self.scanned = await self._finals.scan(PAGE)
            over = list(dict.fromkeys([*over, *found]))
        counted = await self._stranded.totals(lost)
        mark = await self._yard.outbox.last_id()
        if not lost and not over:
            return None
        return Suspects(source=source, mark=mark or START, lost=tuple(lost), over=tuple(over), counted=counted)

    async def settle(self, suspects: Suspects) -> None:
        """Look at suspects again and set right what is lost; call it once their mark is in the ledger.

        Raises:
            ServiceUnavailable: Redis or the ledger does not answer, or Redis takes no jobs.
        """

        async def still() -> bool:
            # In this order: whatever was looked at before was of this Redis.
            with redis_errors():
                same = await self._yard.outbox.source() == suspects.source
            return same and await self._yard.turn.take() is Turn.KEPT

        await self._stranded.settle(
            suspects.lost, suspects.counted, still=still, tell=self._tell, dry_run=self._dry_run
        )
        await self._finals.settle(suspects.over, still=still, tell=self._tell, dry_run=self._dry_run)

    async def _page(self) -> tuple[Sequence[str], Sequence[str]]:
        """Of the next open jobs those in no place, and those that are over."""
        if self.through:
            return [], []
        before = to_micros(self._clock() - YOUNG)
        async with self._ledger.reading() as connection:
            page = await open_page(connection, self._after, before, PAGE)
        places = await self._yard.places.look([job.job_id for job in page])
        self.through = len(page) < PAGE
        if page:
            self._after = page[-1]
            self.looked += len(page)
        return (
            [job_id for job_id, place in places.items() if place in LOST],
            [job_id for job_id, place in places.items() if place is Whereabouts.OVER],
        )
