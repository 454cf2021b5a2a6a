"""Encoding a lost job once more: as its producer did, or a reason why not."""

from typing import Any

import pytest
from queue_cases import make_job
from reconciler_house import LOOSE, STRICT, make_house_table

from pointsman_audit import LostJob, WhyStranded
from pointsman_console.redrive import Redrive
from pointsman_producer import JobEncoder
from pointsman_queue import NewJob, decode_envelope
from pointsman_routes import job_id_for

HOUR_US = 3_600_000_000
JOB = make_job("t-1").model_copy(update={"task_class": STRICT})


async def _nothing() -> None:
    """No ledger is told."""


def _redrive() -> Redrive:
    table = make_house_table()
    return Redrive(table, JobEncoder(table), _nothing)


def _lost(**changes: Any) -> LostJob:
    values = {
        "job_id": job_id_for("b", "t-1"),
        "custom_id": "t-1",
        "batch_id": "b",
        "task_class": STRICT,
        "accepted_at": 0,
        "line": JOB.to_wire(),
        "salt": "kept-salt",
    }
    return LostJob(**{**values, **changes})


def test_the_same_job() -> None:
    """Id, class, salt, question and digests are those of the first time; only its record says that it was redriven."""
    table = make_house_table()
    first = JobEncoder(table).encode("b", JOB, 5, salt="kept-salt")
    again = _redrive().encode(_lost(), 5000)
    assert isinstance(again, NewJob)
    assert again._replace(record=b"", deadline_ms=0) == first._replace(record=b"", deadline_ms=0)
    assert again.record == first.record[:-1] + b',"redriven":true}'
    opened = decode_envelope(again.envelope)
    assert opened is not None
    assert (opened.job, opened.salt) == (JOB, "kept-salt")


@pytest.mark.parametrize(
    ("now_us", "left_ms"),
    [(0, 3_600_000), (HOUR_US // 2, 1_800_000), (HOUR_US, 1), (5 * HOUR_US, 1), (-HOUR_US, 7_200_000)],
)
def test_time_left(now_us: int, left_ms: int) -> None:
    """It gets what is left of its class's deadline since it was first accepted, and a moment if nothing is."""
    again = _redrive().encode(_lost(), now_us)
    assert isinstance(again, NewJob)
    assert again.deadline_ms == left_ms


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"task_class": "gone"}, WhyStranded.CLASS_GONE),
        ({"line": "{"}, WhyStranded.UNREADABLE),
        ({"line": None}, WhyStranded.UNREADABLE),
        ({"custom_id": "t-2"}, WhyStranded.UNREADABLE),
        ({"batch_id": "c"}, WhyStranded.UNREADABLE),
        ({"job_id": "another"}, WhyStranded.UNREADABLE),
        ({"task_class": LOOSE}, WhyStranded.UNREADABLE),
    ],
)
def test_why_not(changes: dict[str, Any], why: WhyStranded) -> None:
    """What is not the job that was accepted, or has no class any more, is not taken in; the reason says why."""
    assert _redrive().encode(_lost(**changes), 0) is why


def test_no_tier_fits() -> None:
    """A job that no tier of its class can take any more is not taken in."""
    table = make_house_table(context_window=10_000)
    long = make_job("t-1", "word " * 100_000).model_copy(update={"task_class": STRICT})
    found = Redrive(table, JobEncoder(table), _nothing).encode(_lost(line=long.to_wire()), 0)
    assert found is WhyStranded.UNFIT


async def test_announced_before() -> None:
    """The configuration they are taken in under is told to the ledger by whoever asks for it."""
    told: list[str] = []

    async def announce() -> None:
        told.append("announced")

    table = make_house_table()
    await Redrive(table, JobEncoder(table), announce).announce()
    assert told == ["announced"]
