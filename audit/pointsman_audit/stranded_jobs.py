"""Stranded jobs: accepted, not ended, and nowhere in Redis. They are taken in once more, or reported."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from pointsman_queue import Admission, JobPlaces, JobQueue, NewJob, Outbox, Whereabouts
from pointsman_routes import JobConflict

from .content_intake import open_envelope
from .ledger import Ledger
from .lost_work import accepted_in, batches_of, still_open
from .moment import Clock, to_micros
from .redriving import REDRIVEN_AT_ONCE, Act, LostJob, Reconciled, Redriver, WhyStranded

LOST = frozenset({Whereabouts.GONE, Whereabouts.ASTRAY, Whereabouts.ODD})

Tell = Callable[[Reconciled], object]
Still = Callable[[], Awaitable[bool]]
"""Whether what was seen still counts: it is our turn, and Redis is the one that was looked at."""


class BatchTotals(NamedTuple):
    """How many jobs Redis counted in some batches, at a moment."""

    at: int
    """Microseconds since the epoch, by the Redis server's clock."""
    totals: Mapping[str, int]


class StrandedJobs:
    """Takes lost jobs in once more, under the salt they had and with what is left of their time.

    Weakness: what a half-lost job had spent, tried and left before is forgotten with its hash; its attempt records
    stand in the ledger. A job that was lost, taken in by somebody else, answered and dropped from Redis between two
    looks would be taken in again; results are kept for days against a few seconds.
    """

    def __init__(
        self, ledger: Ledger, outbox: Outbox, jobs: JobQueue, places: JobPlaces, redriver: Redriver | None, clock: Clock
    ) -> None:
        self._ledger = ledger
        self._outbox = outbox
        self._jobs = jobs
        self._places = places
        self._redriver = redriver
        self._clock = clock

    async def totals(self, job_ids: Sequence[str]) -> BatchTotals:
        """What Redis counts in the batches of some lost jobs."""
        if not job_ids:
            return BatchTotals(0, {})
        async with self._ledger.reading() as connection:
            batch_ids = await batches_of(connection, job_ids)
        return BatchTotals(*await self._places.totals(sorted(batch_ids)))

    async def settle(
        self, suspects: Sequence[str], counted: BatchTotals, *, still: Still, tell: Tell, dry_run: bool
    ) -> None:
        """Take in once more those of some jobs that are lost without a doubt, or tell why not.

        Call it once every record that was in the outbox when they were seen to be lost is in the ledger.

        Raises:
            ServiceUnavailable: Redis or the ledger does not answer, or Redis takes no jobs.
        """
        # Redis first: an end that is written after this look was of a job that is found here.
        places = await self._places.look(suspects)
        lost = [job_id for job_id, place in places.items() if place in LOST]
        if not lost or not await still():
            return
        async with self._ledger.reading() as connection:
            found = await still_open(connection, lost)
        kept = {job.job_id: job for job in await self._with_lines(found)}
        encoded = self._sort(kept.values(), places, tell)
        if dry_run:
            for _, jobs in _chunks(encoded):
                for job in jobs:
                    tell(_redriven(kept[job.job_id]))
        else:
            await self._take_in_all(encoded, kept, places, counted, still, tell)

    async def _take_in_all(
        self,
        encoded: Mapping[str, list[NewJob]],
        kept: Mapping[str, LostJob],
        places: Mapping[str, Whereabouts],
        counted: BatchTotals,
        still: Still,
        tell: Tell,
    ) -> None:
        if encoded and self._redriver is not None:
            await self._redriver.announce()
        for batch_id, jobs in _chunks(encoded):
            if not await still():
                return
            for job_id, admission in await self._take_in(batch_id, jobs, places, counted):
                if admission is not Admission.KNOWN:
                    tell(_redriven(kept[job_id]) if admission else _stranded(kept[job_id], WhyStranded.CONFLICT))

    def _sort(self, lost: Iterable[LostJob], places: Mapping[str, Whereabouts], tell: Tell) -> dict[str, list[NewJob]]:
        """The jobs that can be taken in, by batch; the others are told of."""
        now_us = to_micros(self._clock())
        encoded: dict[str, list[NewJob]] = {}
        for job in lost:
            new = self._encoded(job, places[job.job_id], now_us)
            if isinstance(new, WhyStranded):
                tell(_stranded(job, new))
            else:
                encoded.setdefault(job.batch_id, []).append(new)
        return encoded

    async def _with_lines(self, found: Sequence[LostJob]) -> list[LostJob]:
        """The jobs, with what their envelopes in Redis tell where the ledger has kept nothing."""
        wanted = [job.job_id for job in found if job.line is None]
        envelopes = await self._outbox.envelopes(wanted)
        opened = {job_id: open_envelope(envelope) for job_id, envelope in envelopes.items()}
        return [
            job._replace(line=there[0], salt=there[1]) if (there := opened.get(job.job_id)) is not None else job
            for job in found
        ]

    def _encoded(self, job: LostJob, place: Whereabouts, now_us: int) -> NewJob | WhyStranded:
        if place is Whereabouts.ODD:
            return WhyStranded.ODD
        if job.line is None:
            return WhyStranded.NO_LINE
        if self._redriver is None:
            return WhyStranded.NO_CONFIGURATION
        return self._redriver.encode(job, now_us)

    async def _take_in(
        self, batch_id: str, jobs: Sequence[NewJob], places: Mapping[str, Whereabouts], counted: BatchTotals
    ) -> list[tuple[str, Admission | None]]:
        """Take in jobs of one batch; gives what became of each, None where another job has its id."""
        for job in jobs:
            if places[job.job_id] is Whereabouts.ASTRAY:
                await self._places.clear(job.job_id)
        await self._uncount(batch_id, sum(places[job.job_id] is Whereabouts.GONE for job in jobs), counted)
        return list(zip([job.job_id for job in jobs], await self._enqueue(batch_id, jobs), strict=True))

    async def _uncount(self, batch_id: str, gone: int, counted: BatchTotals) -> None:
        """A batch that still counts jobs whose own entries are gone would count them twice, and never be done."""
        total = counted.totals.get(batch_id, 0)
        if not gone or not total:
            return
        async with self._ledger.reading() as connection:
            accepted = await accepted_in(connection, batch_id, counted.at)
        surplus = min(gone, total + gone - accepted)
        if surplus > 0:
            await self._places.uncount(batch_id, surplus)

    async def _enqueue(self, batch_id: str, jobs: Sequence[NewJob]) -> list[Admission | None]:
        """All of them, or one by one if an id is taken by a job that asks something else."""
        try:
            return list(await self._jobs.enqueue(batch_id, jobs))
        except JobConflict:
            if len(jobs) == 1:
                return [None]
            return [admission for job in jobs for admission in await self._enqueue(batch_id, [job])]


def _chunks(encoded: Mapping[str, list[NewJob]]) -> Iterator[tuple[str, list[NewJob]]]:
    """Jobs of one batch, a few hundred at a time."""
    for batch_id, jobs in encoded.items():
        for start in range(0, len(jobs), REDRIVEN_AT_ONCE):
            yield batch_id, jobs[start : start + REDRIVEN_AT_ONCE]


def _stranded(job: LostJob, why: WhyStranded) -> Reconciled:
    return Reconciled(Act.STRANDED, job.job_id, job.batch_id, job.task_class, why)


def _redriven(job: LostJob) -> Reconciled:
    return Reconciled(Act.REDRIVEN, job.job_id, job.batch_id, job.task_class)
