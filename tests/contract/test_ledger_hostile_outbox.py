"""Somebody who can write to Redis: what they write stops no recorder, and does not pass for the ledger's own word."""

import hashlib
from typing import Any

import pytest
from arq import ArqRedis
from audit_records import accepted, final, put
from sqlalchemy import select

from pointsman_audit import Ledger, ListedKind, Recorder, RecordFilter
from pointsman_audit.schema import quarantine
from pointsman_queue import Outbox, keys
from pointsman_routes import ErasureRecord, ExportRecord, KeyRecord, QuarantinedRecord

NUL_POLICY = '{"classes":{"a\0b":{}}}'
_OWN = (
    ErasureRecord(job_id="j1", scope="job", erased=True, reason="asked for", by="ann"),
    ExportRecord(form="csv", filters={}, count=0, by="ann"),
    KeyRecord(scope="ledger", key_id="0" * 16, by="recorder"),
    KeyRecord(scope="ledger", public_key="0" * 64, by="recorder"),
    KeyRecord(scope="openai", key_id="0" * 16, by="recorder"),
    QuarantinedRecord(reason="not JSON", source="another", entry_id="1-0", raw_digest="0" * 64),
)


async def recorded(ledger: Ledger) -> list[dict[str, Any]]:
    """All records."""
    return [record async for record in ledger.list(RecordFilter(kind=ListedKind.ANY))]


@pytest.mark.parametrize(
    "odd",
    [
        accepted("j2", policy_digest="a\0b"),
        accepted("j2", policy_digest="x" * 500_000),
        {
            "kind": "policy_change",
            "role": "worker",
            "by": "w1",
            "policy": NUL_POLICY,
            "policy_digest": hashlib.sha256(NUL_POLICY.encode()).hexdigest(),
        },
        {"kind": "policy_change", "role": ["worker"], "by": {}, "policy": None, "policy_digest": {"a": "\0"}},
    ],
)
async def test_odd_policies_do_not_stop_the_recorder(ledger_url: str, redis: ArqRedis, odd: Any) -> None:
    """A digest or a configuration that no database can hold or look up costs nobody else a record."""
    await put(redis, [accepted("j1"), odd, final("j1")])
    async with Ledger.open(ledger_url, make=True) as ledger:
        assert await Recorder(Outbox(redis), ledger).drain() == 3
        assert [end["job_id"] for end in await recorded(ledger) if end["kind"] == "final"] == ["j1"]


async def test_a_time_of_thousands_of_digits(ledger_url: str, redis: ArqRedis) -> None:
    """An entry whose time is no number that anybody could read is put aside."""
    await redis.xadd(keys.OUTBOX, {"at": "9" * 5000, "record": accepted("j1").model_dump_json()})
    await put(redis, [accepted("j2")])
    async with Ledger.open(ledger_url, make=True) as ledger:
        assert await Recorder(Outbox(redis), ledger).drain() == 2
        assert [told["kind"] for told in await recorded(ledger)] == ["quarantined", "accepted"]


@pytest.mark.parametrize("act", _OWN, ids=lambda act: act.kind.value)
async def test_nobody_else_speaks_for_the_ledger(ledger_url: str, redis: ArqRedis, act: Any) -> None:
    """Acts of the ledger itself do not come through Redis: one that does is put aside, and what it claims is not so."""
    await put(redis, [act])
    async with Ledger.open(ledger_url, make=True) as ledger:
        await Recorder(Outbox(redis), ledger).drain()
        (told,) = await recorded(ledger)
        assert (told["kind"], told["reason"]) == ("quarantined", "only the ledger itself tells this")
        assert told["source"] == await Outbox(redis).source()
        async with ledger.reading() as connection:
            assert len((await connection.execute(select(quarantine))).all()) == 1


@pytest.mark.parametrize("left", [True, False])
async def test_an_outbox_that_went_back(ledger_url: str, redis: ArqRedis, left: bool) -> None:
    """A Redis that lost its last entries while its clock went back numbers new ones so that they are recorded."""
    ahead = "9999999999999-5"
    await redis.xadd(keys.OUTBOX, {"at": 1, "record": accepted("j1").model_dump_json()}, id=ahead)
    async with Ledger.open(ledger_url, make=True) as ledger:
        assert await Recorder(Outbox(redis), ledger).drain() == 1
        await redis.delete(keys.OUTBOX)
        if left:
            await redis.xadd(keys.OUTBOX, {"at": 1, "record": accepted("j0").model_dump_json()}, id="1-1")
        recorder = Recorder(Outbox(redis), ledger)
        await recorder.drain()
        await put(redis, [accepted("j2")])
        await recorder.drain()
        assert [told["job_id"] for told in await recorded(ledger)] == ["j1", "j2"]
        assert await redis.xlen(keys.OUTBOX) == 0
        # A second one finds nothing to set right.
        assert not await Outbox(redis).go_on_after(ahead)
