"""What must not be cut halfway is brought to its end."""

import asyncio

import pytest

from pointsman_worker.unbroken import unbroken


async def test_survives_being_cancelled() -> None:
    """Cancelled any number of times, it ends with what the work gave."""
    ready = asyncio.Event()

    async def work() -> str:
        await ready.wait()
        return "done"

    waiting = asyncio.create_task(unbroken(work()))
    for _ in range(3):
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
    assert not waiting.done()
    ready.set()
    assert await waiting == "done"


async def test_tells_what_went_wrong() -> None:
    """An error of the work is raised."""

    async def work() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await unbroken(work())


def test_does_not_keep_a_process() -> None:
    """At the end of the event loop work that never ends is cut like everything else."""

    async def program() -> None:
        waiting = asyncio.create_task(unbroken(asyncio.Event().wait()))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
        assert not waiting.done()

    asyncio.run(asyncio.wait_for(program(), timeout=10))
