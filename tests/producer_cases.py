"""A queue in memory, a route table, jobs and results for tests of the producer."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Sequence

from pointsman_producer import Backoff
from pointsman_queue import Admission, BatchProgress, NewJob, Standing
from pointsman_routes import (
    Job,
    JobConflict,
    JobState,
    Message,
    Requested,
    Result,
    RouteTable,
    ServiceUnavailable,
    Story,
    build_route_table,
)

AT_ONCE = Backoff(first_s=0, most_s=0, tries=3)
"""Tries again without waiting."""


def make_routes() -> RouteTable:
    """Three classes: `triage` with a backup, `reasoning` without, and `strict`, which the ledger must have."""
    return build_route_table(
        {
            "providers": {
                "here": {
                    "kind": "openai-compatible",
                    "owner": "team@example.com",
                    "base_url": "http://localhost:8000/v1",
                    "tiers": {"small": {"model": 'the "small" 100%s'}, "large": {"model": "the-large"}},
                }
            },
            "classes": {
                "triage": {
                    "route": ["here/small", "here/large"],
                    "deadline": "1h",
                    "spill_after": "1500ms",
                    "max_tokens": 77,
                },
                "reasoning": {"route": ["here/large"]},
                "strict": {"route": ["here/large"], "acceptance": "ledger"},
            },
        }
    )


def make_job(custom_id: str, text: str = "Which way?", *, task_class: str = "triage") -> Job:
    """A job that asks one question."""
    return Job(custom_id=custom_id, task_class=task_class, messages=(Message(role="user", content=text),))


def make_jobs(count: int, *, task_class: str = "triage") -> list[Job]:
    """Jobs named j-0, j-1 and so on."""
    return [make_job(f"j-{number}", task_class=task_class) for number in range(count)]


def make_result(job_id: str, custom_id: str, state: JobState = JobState.FAILED) -> Result:
    """How a job ended."""
    story = Story(state=state, task_class="triage", requested=Requested(tier="here/small", model="small"))
    return Result(id=job_id, custom_id=custom_id, pointsman=story)


class QueueInMemory:
    """Keeps the promises of the queue that a producer relies on."""

    def __init__(self) -> None:
        self.jobs: dict[str, NewJob] = {}
        self.batches: dict[str, list[str]] = {}
        self.done: dict[str, list[str]] = {}
        self.lines: dict[str, bytes] = {}
        self.calls: list[int] = []
        """Jobs in each call of `enqueue`, those that failed included."""
        self.waits: list[int] = []
        """`block_ms` of each call of `finished`."""
        self.troubles: deque[Exception | None] = deque()
        """Raised by the next calls, one each; None lets a call pass."""
        self.answers_lost = 0
        """Calls of `enqueue` that do their work and then fail."""
        self.in_flight = 0
        self.most_in_flight = 0
        self.waited_for = asyncio.Event()
        """Set once a call of `finished` waits."""
        self.announced: list[tuple[str, str]] = []
        """Policy digest and process, of each call of `announce`."""
        self.life = "first"
        """Of the queue's data."""
        self.written = 0
        """Records in the outbox so far."""
        self.recorded = 0
        """How many of them the ledger has."""
        self.looks = 0
        """Calls of `standing`."""
        self.on_look: Callable[[], object] = lambda: None
        """Called when somebody looks how far the ledger is, before the answer is made."""
        self._news: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def enqueue(self, batch_id: str, jobs: Sequence[NewJob]) -> list[Admission]:
        self.calls.append(len(jobs))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            # Longer than an encoder's turn: the next chunk is ready before this one is answered.
            for _ in range(20):
                await asyncio.sleep(0)
            self._may_fail()
            admissions = self._admit(batch_id, jobs)
        finally:
            self.in_flight -= 1
        if self.answers_lost:
            self.answers_lost -= 1
            raise ServiceUnavailable("Redis does not answer")
        return admissions

    async def announce(self, table: RouteTable, by: str) -> None:
        self.announced.append((table.policy_digest, by))

    async def standing(self) -> Standing:
        self.looks += 1
        await asyncio.sleep(0)
        self.on_look()
        return Standing(life=self.life, written=f"{self.written}-0", recorded=f"{self.recorded}-0")

    def lose_everything(self) -> None:
        """Begin another life, without a job."""
        self.life += " and another"
        self.jobs.clear()
        self.batches.clear()

    async def progress(self, batch_id: str) -> BatchProgress | None:
        self._may_fail()
        if batch_id not in self.batches:
            return None
        return BatchProgress(total=len(self.batches[batch_id]), failed=len(self.done.get(batch_id, ())))

    async def finished(self, batch_id: str, *, after: str, count: int, block_ms: int) -> list[tuple[str, str]]:
        self.waits.append(block_ms)
        self._may_fail()
        position = int(after.partition("-")[0])
        if len(self.done.get(batch_id, ())) <= position and block_ms:
            self._news[batch_id].clear()
            self.waited_for.set()
            try:
                await asyncio.wait_for(self._news[batch_id].wait(), block_ms / 1000)
            except TimeoutError:
                return []
        found = self.done.get(batch_id, [])[position : position + count]
        return [(f"{position + number}-0", job_id) for number, job_id in enumerate(found, start=1)]

    async def results(self, job_ids: Sequence[str]) -> dict[str, bytes]:
        self._may_fail()
        return {job_id: self.lines[job_id] for job_id in job_ids if job_id in self.lines}

    def finish(self, batch_id: str, job_id: str, *, keep: bool = True) -> None:
        """End a job."""
        if keep:
            self.lines[job_id] = make_result(job_id, f"of {job_id}").to_line().encode()
        self.done.setdefault(batch_id, []).append(job_id)
        self._news[batch_id].set()

    def _admit(self, batch_id: str, jobs: Sequence[NewJob]) -> list[Admission]:
        for job in jobs:
            known = self.jobs.get(job.job_id)
            if known is not None and known.prompt_digest != job.prompt_digest:
                raise JobConflict(f"job id {job.job_id} is taken")
        admissions = []
        for job in jobs:
            if job.job_id in self.jobs:
                admissions.append(Admission.KNOWN)
                continue
            self.jobs[job.job_id] = job
            self.written += 1
            self.batches.setdefault(batch_id, []).append(job.job_id)
            admissions.append(Admission.ACCEPTED)
        return admissions

    def _may_fail(self) -> None:
        trouble = self.troubles.popleft() if self.troubles else None
        if trouble is not None:
            raise trouble
