"""Records on their way to the outbox: nobody waits for them, and none is lost in silence."""

import asyncio
from typing import TYPE_CHECKING, cast

import pytest
from structlog.testing import capture_logs

from pointsman_console.record_post import RecordPost
from pointsman_routes import KeyRecord, Record, ServiceUnavailable

if TYPE_CHECKING:
    from pointsman_queue import Outbox


class _Outbox:
    """Takes records, but not while it is away."""

    def __init__(self, *, away: bool = False) -> None:
        self.away = away
        self.tries = 0
        self.tried = asyncio.Event()
        self.records: list[Record] = []

    async def append(self, record: Record) -> int:
        self.tries += 1
        self.tried.set()
        await asyncio.sleep(0)
        if self.away:
            raise ServiceUnavailable("Redis does not answer")
        self.records.append(record)
        return 1


def _key(scope: str) -> KeyRecord:
    return KeyRecord(scope=scope, owner="me", by="worker w")


def _bound(post: RecordPost, outbox: _Outbox) -> "asyncio.Task[None]":
    """Bring what was posted, to the end."""

    async def bring() -> None:
        async with post.bound_for(cast("Outbox", outbox)):
            pass

    return asyncio.create_task(bring())


async def test_all_of_them_in_order() -> None:
    """What was posted before and after there was an outbox gets there, in its order, before the end."""
    outbox, post = _Outbox(), RecordPost(last_s=1e6)
    post.post(_key("a"))
    async with asyncio.timeout(60), post.bound_for(cast("Outbox", outbox)):
        post.post(_key("b"))
        await outbox.tried.wait()
        post.post(_key("c"))
    assert outbox.records == [_key("a"), _key("b"), _key("c")]


async def test_tried_again_until_it_is_there() -> None:
    """While Redis is away a record waits and those behind it do; nothing is passed over."""
    outbox, post = _Outbox(away=True), RecordPost(pause_s=0, last_s=60)
    with capture_logs() as logs:
        post.post(_key("a"))
        post.post(_key("b"))
        ending = _bound(post, outbox)
        async with asyncio.timeout(60):
            while outbox.tries < 5:
                outbox.tried.clear()
                await outbox.tried.wait()
        assert outbox.records == []
        outbox.away = False
        await ending
    assert outbox.records == [_key("a"), _key("b")]
    assert {entry["event"] for entry in logs} == {"post.record_waits"}


async def test_what_is_lost_is_said() -> None:
    """A process that ends while Redis is away ends soon, and says of each record that it is lost."""
    outbox, post = _Outbox(away=True), RecordPost(pause_s=0, last_s=0.05)
    post.post(_key("a"))
    post.post(_key("b"))
    with capture_logs() as logs:
        await asyncio.wait_for(_bound(post, outbox), 60)
    lost = [entry for entry in logs if entry["event"] == "post.record_lost"]
    assert [(entry["log_level"], entry["name"]) for entry in lost] == [("error", "key_change")] * 2


async def test_nothing_to_bring() -> None:
    """With nothing posted the end is at once, and nothing was asked of Redis."""
    outbox = _Outbox(away=True)
    await asyncio.wait_for(_bound(RecordPost(last_s=1e6), outbox), 60)
    assert outbox.tries == 0


async def test_an_error_ends_it_too() -> None:
    """What is posted gets there also when the process ends by an error."""
    outbox, post = _Outbox(), RecordPost()

    async def fail() -> None:
        async with post.bound_for(cast("Outbox", outbox)):
            post.post(_key("a"))
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    assert outbox.records == [_key("a")]
