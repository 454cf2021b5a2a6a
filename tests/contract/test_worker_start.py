"""What a worker tells the ledger: its policy before it begins, and keys that are renewed under it."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from arq import ArqRedis

import pointsman_worker
from pointsman_console.composition import load_table, open_worker
from pointsman_queue import START, Outbox, Settings
from pointsman_routes import KeyMissing, QueueFull, RouteTable, ServiceUnavailable

_CONFIG = """
[providers.here]
kind = "openai-compatible"
owner = "team@example.com"
base_url = "http://localhost:9/v1"
api_key = { file = "key" }
tiers.small = { model = "small", price = { input = 1, output = 1 } }

[classes.triage]
route = ["here/small"]
"""
_SECRET = "the-second-key-in-the-file"


@pytest.fixture
def settings(tmp_path: Path, redis_url: str) -> Settings:
    """A configuration whose key is in a file."""
    (tmp_path / "key").write_text("the-first-key-in-the-file")
    (tmp_path / "pointsman.toml").write_text(_CONFIG)
    return Settings(config=tmp_path / "pointsman.toml", redis_url=redis_url, home=tmp_path)


async def _records(redis: ArqRedis) -> list[dict[str, Any]]:
    return [json.loads(entry.record) for entry in await Outbox(redis).read(START, count=99, block_ms=1)]


async def test_a_worker_tells_its_policy(settings: Settings, redis: ArqRedis) -> None:
    """Before a worker can claim anything the ledger is told its policy; a second one has nothing to add."""
    table = load_table(settings)
    for _ in range(2):
        async with open_worker(settings, table, ["here/small"]):
            (record,) = await _records(redis)
            assert (record["kind"], record["role"], record["policy"]) == ("policy_change", "worker", table.policy)
            assert record["policy_digest"] == table.policy_digest
            assert record["by"].startswith("worker ")


async def test_no_room_for_the_policy(settings: Settings, redis: ArqRedis) -> None:
    """A worker whose policy the full Redis does not take does not start: its decisions could not be explained.

    One whose policy is known starts, full or not.
    """
    table = load_table(settings)
    async with open_worker(settings, table, ["here/small"]):
        pass
    await redis.config_set("maxmemory", 1)
    async with open_worker(settings, table, ["here/small"]):
        pass
    entry = table.classes["triage"].model_copy(update={"max_tokens": 5})
    other = RouteTable(providers=table.providers, classes={"triage": entry})
    with pytest.raises(QueueFull, match="maxmemory"):
        async with open_worker(settings, other, ["here/small"]):
            pass


async def test_a_missing_key_comes_first(settings: Settings, tmp_path: Path) -> None:
    """What is wrong with the configuration is said before what is wrong with Redis."""
    away = settings.model_copy(update={"redis_url": f"unix://{tmp_path}/none.sock"})
    with pytest.raises(ServiceUnavailable):
        async with open_worker(away, load_table(settings), ["here/small"]):
            pass
    (tmp_path / "key").unlink()
    with pytest.raises(KeyMissing):
        async with open_worker(away, load_table(settings), ["here/small"]):
            pass


async def test_a_renewed_key_is_recorded(
    settings: Settings, redis: ArqRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that finds another key in a provider's file records whose it is, and nothing made from the key."""
    shelves: list[pointsman_worker.CodecShelf] = []

    class Shelf(pointsman_worker.CodecShelf):
        """Lets the test have it."""

        def __init__(self, providers: Iterable[Any], *rest: Any, **more: Any) -> None:
            super().__init__(providers, *rest, **more, clock=lambda: float(len(shelves)) * 60)
            shelves.append(self)

    monkeypatch.setattr(pointsman_worker, "CodecShelf", Shelf)
    async with open_worker(settings, load_table(settings), ["here/small"]):
        (tmp_path / "key").write_text(_SECRET)
        assert shelves[0]["here"]
    policy, key = await _records(redis)
    assert key == {
        "kind": "key_change",
        "scope": "here",
        "owner": "team@example.com",
        "key_id": None,
        "public_key": None,
        "by": policy["by"],
    }
    assert set(await redis.keys("*")) == {b"pointsman:policy:worker", b"pointsman:outbox"}
    told = str(await redis.xrange("pointsman:outbox"))
    assert _SECRET not in told
    assert hashlib.sha256(_SECRET.encode()).hexdigest()[:16] not in told
