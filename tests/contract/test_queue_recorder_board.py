"""Recorders tell in Redis how they fare; who has told nothing for a while is not listed any more."""

import json
from typing import TYPE_CHECKING, Any, cast

import pytest
from arq import ArqRedis

from pointsman_queue import Observer, RecorderBoard, client, keys
from pointsman_routes import ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable


async def listed(redis: ArqRedis) -> dict[str, dict[str, Any]]:
    """The living recorders."""
    return (await Observer(redis).overview([])).recorders


async def names(redis: ArqRedis) -> set[bytes]:
    """Every id on the board."""
    return await cast("Awaitable[set[bytes]]", redis.smembers(keys.RECORDERS))


async def test_living_recorders(redis: ArqRedis) -> None:
    """Each recorder is listed with what it told last, until it retires; none of them is a worker."""
    assert await listed(redis) == {}
    boards = [RecorderBoard(redis, f"r-{number}") for number in range(3)]
    for number, board in enumerate(boards):
        assert await board.tell(json.dumps({"seq": 0}))
        assert await board.tell(json.dumps({"seq": number}))
    assert await listed(redis) == {f"r-{number}": {"seq": number} for number in range(3)}
    await boards[1].retire()
    assert set(await listed(redis)) == {"r-0", "r-2"}
    assert await names(redis) == {b"r-0", b"r-2"}
    assert not await redis.exists(keys.RECORDER + "r-1")
    assert (await Observer(redis).overview([])).workers == {}


async def test_dead_recorder_is_not_listed(redis: ArqRedis) -> None:
    """One that died is listed for fifteen seconds at most, and the next to come takes its id off; one alive stays."""
    living = RecorderBoard(redis, "living")
    await living.tell("{}")
    await RecorderBoard(redis, "dead").tell("{}")
    for name in (b"living", b"dead"):
        assert 14_000 < await redis.pttl(keys.RECORDER + name.decode()) <= 15_000
    await redis.delete(keys.RECORDER + "dead")
    assert set(await listed(redis)) == {"living"}
    # Who has been here looked when it came; what is done every second costs as little as can be.
    await living.tell("{}")
    assert await names(redis) == {b"dead", b"living"}
    await RecorderBoard(redis, "next").tell("{}")
    assert await names(redis) == {b"living", b"next"}


async def test_one_that_was_taken_for_dead_comes_back(redis: ArqRedis) -> None:
    """A recorder that was away for longer than it is believed is listed again with what it tells next."""
    board = RecorderBoard(redis, "away")
    await board.tell('{"seq": 1}')
    await redis.delete(keys.RECORDER + "away")
    await RecorderBoard(redis, "next").tell("{}")
    assert await names(redis) == {b"next"}
    await board.tell('{"seq": 2}')
    assert (await listed(redis))["away"] == {"seq": 2}


async def test_full_redis_goes_on_believing(redis: ArqRedis) -> None:
    """A full Redis takes nothing in and says so; the recorder stays listed with what it told before."""
    board = RecorderBoard(redis, "r-1")
    await board.tell('{"seq": 1}')
    await redis.pexpire(keys.RECORDER + "r-1", 5_000)
    await redis.config_set("maxmemory", 1)
    assert not await board.tell('{"seq": 2}')
    assert await redis.pttl(keys.RECORDER + "r-1") > 14_000
    assert await listed(redis) == {"r-1": {"seq": 1}}
    assert not await RecorderBoard(redis, "r-2").tell("{}")
    assert set(await listed(redis)) == {"r-1"}
    await board.retire()
    assert await listed(redis) == {}


async def test_absent_redis() -> None:
    """Without Redis nothing is told, and that is an outage."""
    absent = client("redis://127.0.0.1:1")
    board = RecorderBoard(absent, "r-1")
    for step in (board.tell("{}"), board.retire()):
        with pytest.raises(ServiceUnavailable):
            await step
    await absent.aclose(close_connection_pool=True)
