"""What must not be cut halfway."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


async def unbroken(work: Coroutine[Any, Any, _T]) -> _T:
    """Bring some work to its end, however often the task that waits for it is cancelled meanwhile.

    The cancelling is forgotten: what it was to end has ended by then. It cannot keep a process: at the end of its loop
    the work itself is cancelled.
    """
    task = asyncio.create_task(work)
    while True:
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.done():
                return task.result()
