"""The outbox: what stands in it, how far the ledger is, and the policies that were announced."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import servers
from arq import ArqRedis
from producer_cases import make_routes
from queue_cases import Line, new_job
from redis.exceptions import ResponseError

from pointsman_audit.intake import LONGEST_RECORD as LONGEST_IN_THE_LEDGER
from pointsman_queue import START, Outbox, connect, keys
from pointsman_queue.outbox import LONGEST_RECORD, entry_order
from pointsman_routes import ConfigError, ExportRecord, QueueFull, RouteTable, ServiceUnavailable

_RECORD = ExportRecord(form="csv", filters={}, count=0, by="me")


async def _fill(redis: ArqRedis) -> None:
    """Leave Redis without room for another byte."""
    used = int((await redis.info("memory"))["used_memory"])
    await redis.config_set("maxmemory", max(1, used // 2))


async def _append(outbox: Outbox, count: int) -> list[str]:
    """Write records and answer their ids."""
    ids = []
    for _ in range(count):
        await outbox.append(_RECORD)
        ids.append(await outbox.last_id() or "")
    return ids


async def _policies(redis: ArqRedis) -> list[dict[str, object]]:
    entries = await Outbox(redis).read(START, count=99, block_ms=1)
    return [json.loads(entry.record) for entry in entries]


async def test_ends(redis: ArqRedis) -> None:
    """The ids of the oldest and newest entry; an empty outbox has neither, whether or not there were entries."""
    outbox = Outbox(redis)
    assert (await outbox.first_id(), await outbox.last_id()) == (None, None)
    ids = await _append(outbox, 3)
    assert (await outbox.first_id(), await outbox.last_id()) == (ids[0], ids[2])
    await outbox.trim(ids[2])
    assert (await outbox.first_id(), await outbox.last_id()) == (None, None)


def test_ids_compare_as_numbers() -> None:
    """Entry ids are two numbers, of whatever length."""
    assert entry_order("9-0") < entry_order("10-0") < entry_order("10-9") < entry_order("10-10")


async def test_envelopes(redis: ArqRedis) -> None:
    """The recorder gets the envelopes that are here, and drops those it names of jobs that are over, and no others."""
    line, outbox = await Line.of(redis), Outbox(redis)
    jobs = [new_job(name) for name in "abc"]
    await line.enqueue(*jobs)
    assert await outbox.envelopes(["a", "gone", "b"]) == {"a": jobs[0].envelope, "b": jobs[1].envelope}
    assert await outbox.envelopes([]) == {}
    for name, state in {"a": "succeeded", "b": "leased", "c": "failed"}.items():
        await redis.hset(keys.JOB + name, "state", state)  # type: ignore[misc]  # typed for both clients
    await outbox.drop_envelopes(["a", "b", "gone"])
    await outbox.drop_envelopes([])
    assert set(await outbox.envelopes(["a", "b", "c"])) == {"b", "c"}
    await redis.delete(keys.JOB + "b")
    await outbox.drop_envelopes(["b"])
    assert set(await outbox.envelopes(["a", "b", "c"])) == {"c"}


async def test_the_mark_moves_with_the_trim(redis: ArqRedis) -> None:
    """How far the ledger has committed stands in Redis once entries are dropped; nothing else moves it."""
    outbox = Outbox(redis)
    ids = await _append(outbox, 3)
    before = await outbox.standing()
    assert (before.written, before.recorded) == (ids[2], START)
    assert await outbox.trim(ids[1]) == 2
    after = await outbox.standing()
    assert (after.life, after.written, after.recorded) == (before.life, ids[2], ids[1])
    await redis.xtrim("pointsman:outbox", maxlen=0, approximate=False)
    emptied = await outbox.standing()
    assert (emptied.written, emptied.recorded) == (ids[2], ids[1])


async def test_a_late_recorder_moves_nothing_back(redis: ArqRedis) -> None:
    """Of several recorders the slowest does not take back what a faster one has told; their ids are numbers."""
    outbox = Outbox(redis)
    for entry_id in ("9-0", "10-0", "10-2"):
        await redis.xadd("pointsman:outbox", {"at": "1", "record": "{}"}, id=entry_id)
    await outbox.trim("9-0")
    await outbox.trim("10-2")
    assert await outbox.trim("10-0") == 0
    assert (await outbox.standing()).recorded == "10-2"


async def test_trims_at_once(redis: ArqRedis) -> None:
    """Recorders that trim in the same moment leave the mark at the farthest of their entries."""
    outbox = Outbox(redis)
    ids = await _append(outbox, 12)
    dropped = await asyncio.gather(*(outbox.trim(entry_id) for entry_id in reversed(ids)))
    assert sum(dropped) == 12
    assert (await outbox.standing()).recorded == ids[-1]


async def test_a_full_redis_is_trimmed(redis: ArqRedis) -> None:
    """Without room for the mark entries are dropped all the same, or there would never be room; the mark follows."""
    outbox = Outbox(redis)
    ids = await _append(outbox, 3)
    await outbox.source()
    await _fill(redis)
    with pytest.raises(ServiceUnavailable):
        await outbox.append(_RECORD)
    assert await outbox.trim(ids[1]) == 2
    assert (await outbox.standing()).recorded == START
    await redis.config_set("maxmemory", 0)
    assert await outbox.trim(ids[1]) == 0
    assert (await outbox.standing()).recorded == ids[1]


async def test_room_made_by_the_trim_is_for_the_mark(redis: ArqRedis) -> None:
    """Once dropping entries has made room, the mark is written in the same call."""
    outbox = Outbox(redis)
    for _ in range(200):
        await redis.xadd("pointsman:outbox", {"at": "1", "record": b"x" * 10_000})
    last = await outbox.last_id()
    assert last is not None
    used = int((await redis.info("memory"))["used_memory"])
    await redis.config_set("maxmemory", used - 100_000)
    with pytest.raises(ResponseError):
        await redis.set("x", "1")
    assert await outbox.trim(last) == 200
    assert (await outbox.standing()).recorded == last


async def test_a_mark_ahead_of_the_outbox_is_of_another(redis: ArqRedis) -> None:
    """A mark left over from lost entries, or written by a recorder that did not notice their loss, confirms nothing."""
    outbox = Outbox(redis)
    await redis.xadd("pointsman:outbox", {"at": "1", "record": "{}"}, id="5-0")
    await outbox.trim("7-0")
    assert await outbox.standing() == await outbox.standing()
    assert (await outbox.standing()).recorded == START


async def test_an_emptied_redis_has_another_life(redis: ArqRedis) -> None:
    """What waits for the ledger notices that Redis was emptied, also when a recorder went on at once."""
    outbox = Outbox(redis)
    before = (await outbox.standing()).life
    assert (await outbox.standing()).life == before
    await redis.flushall()
    assert (await outbox.standing()).life != before


async def test_another_master_is_another_life(redis: ArqRedis) -> None:
    """A server that was a replica for a while may have taken another's data for its own."""
    outbox = Outbox(redis)
    before = (await outbox.standing()).life
    await redis.replicaof("127.0.0.1", 1)
    await redis.replicaof("NO", "ONE")
    assert (await outbox.standing()).life != before


@pytest.fixture(params=["append-only file", "snapshot"])
def kept_server(request: pytest.FixtureRequest) -> Iterator[servers.RedisServer]:
    """A Redis that has everything on its disk, in one form or the other."""
    binary = next(iter(servers.redis_binaries().values()), Path())
    if not binary.is_file():
        servers.missing("redis-server")
    options = ("--appendonly", "yes", "--appendfsync", "always") if request.param == "append-only file" else ()
    server = servers.RedisServer.start(binary, *options)
    yield server
    server.stop()


async def test_a_restarted_redis_has_another_life(kept_server: servers.RedisServer) -> None:
    """A Redis that comes back from its disk may have lost its last second: that is another life, with all it kept."""
    redis = await connect(kept_server.url)
    outbox = Outbox(redis)
    ids = await _append(outbox, 2)
    await outbox.trim(ids[1])
    before = await outbox.standing()
    await redis.save()
    kept_server.kill()
    await asyncio.to_thread(kept_server.restart)
    after = await Outbox(redis).standing()
    await redis.aclose(close_connection_pool=True)
    assert after.life != before.life
    assert (after.written, after.recorded) == (before.written, before.recorded)


async def test_a_policy_is_announced_once(redis: ArqRedis) -> None:
    """The first process of a role tells its policy, with its text; others of the same policy have nothing to add."""
    outbox, table = Outbox(redis), make_routes()
    assert await outbox.announce("worker", table, "worker w-1")
    assert not await outbox.announce("worker", table, "worker w-2")
    (record,) = await _policies(redis)
    assert record == {
        "kind": "policy_change",
        "role": "worker",
        "policy_digest": table.policy_digest,
        "previous_digest": None,
        "by": "worker w-1",
        "policy": table.policy,
    }
    seconds, _ = await redis.time()
    (entry,) = await outbox.read(START, count=9, block_ms=1)
    assert abs(entry.at / 1_000_000 - seconds) < 60


async def test_roles_are_told_apart(redis: ArqRedis) -> None:
    """Producers and workers may work by different policies; each change names the one before it."""
    outbox, old, new = Outbox(redis), make_routes(), _other_routes()
    for role, table in (("worker", old), ("producer", new), ("worker", new), ("worker", old)):
        assert await outbox.announce(role, table, "me")  # type: ignore[arg-type]  # words in a row of pairs
    told = [(record["role"], record["policy_digest"], record["previous_digest"]) for record in await _policies(redis)]
    assert told == [
        ("worker", old.policy_digest, None),
        ("producer", new.policy_digest, None),
        ("worker", new.policy_digest, old.policy_digest),
        ("worker", old.policy_digest, new.policy_digest),
    ]


async def test_announcing_at_once(redis: ArqRedis) -> None:
    """Many workers that start in the same moment leave one record."""
    outbox, table = Outbox(redis), make_routes()
    told = await asyncio.gather(*(outbox.announce("worker", table, f"worker {number}") for number in range(10)))
    assert sum(told) == 1
    assert len(await _policies(redis)) == 1


async def test_no_room_for_a_policy(redis: ArqRedis) -> None:
    """A full Redis refuses a new policy with the remedy and keeps nothing of it; a known one needs no room."""
    outbox, old = Outbox(redis), make_routes()
    await outbox.announce("worker", old, "me")
    await _fill(redis)
    assert not await outbox.announce("worker", old, "me")
    with pytest.raises(QueueFull, match=r"pointsman recorder.*maxmemory") as caught:
        await outbox.announce("worker", _other_routes(), "me")
    assert "\n" not in str(caught.value)
    await redis.config_set("maxmemory", 0)
    assert len(await _policies(redis)) == 1
    assert await outbox.announce("worker", _other_routes(), "me")


async def test_a_policy_too_long_for_the_ledger(redis: ArqRedis) -> None:
    """A policy the ledger would not take is refused in one line, and nothing is written."""
    assert LONGEST_RECORD == LONGEST_IN_THE_LEDGER
    table = make_routes()
    provider = table.providers["here"].model_copy(update={"owner": "x" * LONGEST_RECORD})
    huge = RouteTable(providers={"here": provider}, classes=table.classes)
    with pytest.raises(ConfigError, match=r"1,000,000") as caught:
        await Outbox(redis).announce("worker", huge, "me")
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)
    assert await redis.keys("pointsman:policy:*") == []
    assert await _policies(redis) == []


def _other_routes() -> RouteTable:
    table = make_routes()
    entry = table.classes["triage"].model_copy(update={"max_tokens": 78})
    return RouteTable(providers=table.providers, classes={**table.classes, "triage": entry})
