"""A job that no tier of its route can ever take is refused before anything of it is queued."""

import pytest
from producer_cases import AT_ONCE, QueueInMemory, make_job
from queue_cases import MAIN, make_table

from pointsman_producer import JobEncoder, Producer
from pointsman_routes import JobInvalid

_TABLE = make_table(main={"tpm": 1000}, provider={"counted_tokens": "max_tokens"})
"""`solo` has only the limited tier; `triage` others without a limit."""


def test_refused_by_its_name() -> None:
    """The error names the job and says what it needs and what its route takes."""
    job = make_job("too-long", "x" * 8008, task_class="solo")
    with pytest.raises(JobInvalid, match=f"job 'too-long' fits no tier .*{MAIN} is 1,000, .* 2,025"):
        JobEncoder(_TABLE).encode("b", job, 0)


def test_answer_limit_of_the_class_counts() -> None:
    """A job that sets no answer limit is measured with that of its class, as the vendor will be asked."""
    encoder = JobEncoder(_TABLE)
    job = make_job("a", task_class="solo")
    assert encoder.misfit(job) is not None
    assert encoder.misfit(job.model_copy(update={"max_tokens": 999})) is None


def test_unknown_class() -> None:
    """Of a class the configuration does not have nothing is known; that it is unknown is said when it is encoded."""
    assert JobEncoder(_TABLE).misfit(make_job("a", task_class="gone")) is None


def test_another_tier_takes_it() -> None:
    """A job that some tier of its route takes is encoded, however large."""
    assert JobEncoder(_TABLE).encode("b", make_job("a", "x" * 80_000), 0).characters == 80_000


async def test_nothing_of_it_is_queued() -> None:
    """Submitted without a check first, the job is refused and never reaches the queue."""
    queue = QueueInMemory()
    with pytest.raises(JobInvalid):
        await Producer(queue, _TABLE, backoff=AT_ONCE).submit([make_job("a", "x" * 80_000, task_class="solo")])
    assert queue.jobs == {}
