"""Odd things in Redis where the reconciler looks: it neither stops nor writes the same thing again and again."""

from typing import Any, cast

import pytest
from arq import ArqRedis
from audit_records import accepted, put
from reconciler_house import STRICT, id_of, open_house

from pointsman_audit import ListedKind
from pointsman_queue import keys

_MANY = "9" * 5000
ENDED = {"state": "succeeded", "class": STRICT, "batch": "batch", "accepted": "1767268800000000"}


@pytest.mark.parametrize(
    ("job_id", "fields"),
    [
        ("a\0b", {}),
        ("x" * 2000, {}),
        ("j1", {"accepted": "9" * 30}),
        ("j1", {"accepted": _MANY}),
        ("j1", {"cost": _MANY}),
        ("j1", {"cost": str(2**60)}),
        ("j1", {"calls": _MANY, "skipped": "1"}),
        ("j1", {"class": "x" * 2000}),
        ("j1", {"batch": "\0" * 2000}),
    ],
)
async def test_odd_ends(ledger_url: str, redis: ArqRedis, job_id: str, fields: dict[str, Any]) -> None:
    """What is left of an ended job tells an end that a record can hold, or none is written, however often one looks."""
    await cast("Any", redis.hset(keys.JOB + job_id, mapping={**ENDED, **fields}))
    async with open_house(redis, ledger_url) as house:
        await house.submit("good")
        for _ in range(3):
            await house.reconcile()
        assert await house.recorded(ListedKind.QUARANTINED) == []
        assert (await house.ledger.head()) <= 4
        await house.work()
        await house.record()
        assert (await house.finals())[id_of("good")] == 1


@pytest.mark.parametrize("total", ["some", _MANY, "-" + _MANY])
async def test_a_batch_that_counts_no_jobs(ledger_url: str, redis: ArqRedis, total: str) -> None:
    """A batch whose count is no number does not keep its lost jobs from being found."""
    async with open_house(redis, ledger_url) as house:
        await house.submit("lost", "other")
        await house.record()
        await house.lose(id_of("lost"))
        await cast("Any", redis.hset(keys.BATCH + "batch", "total", total))
        await house.reconcile()
        assert house.reconciler.counts.stranded + house.reconciler.counts.redriven <= 1


async def test_odd_acceptances(ledger_url: str, redis: ArqRedis) -> None:
    """Acceptances that no producer wrote are reported as lost jobs and stop nothing."""
    odd: list[Any] = [
        accepted("n\0ul"),
        {**accepted("none").model_dump(), "custom_id": None, "batch_id": None, "task_class": None},
        {**accepted("lists").model_dump(), "requested_tier": None, "prompt_digest": ["x"], "policy_digest": {}},
    ]
    async with open_house(redis, ledger_url) as house:
        await house.submit("lost")
        await put(redis, odd)
        await house.record()
        await house.lose(id_of("lost"))
        for _ in range(2):
            await house.reconcile()
        assert (house.reconciler.counts.stranded, house.reconciler.counts.redriven) == (3, 1)
