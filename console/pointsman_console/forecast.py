"""How long until queues are empty: for `status`, and beside the bar of `submit --wait`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress

from pointsman_queue import Gate, TierLoad
from pointsman_routes import ServiceUnavailable

from .composition import Line

_LOOK_S = 2.0
_STEPS = ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def drain_s(loads: Iterable[TierLoad], gates: dict[str, Gate]) -> float | None:
    """Seconds until the last of some tiers has no job waiting; None when nothing is known of one that has."""
    longest = 0.0
    for load in loads:
        seconds = gates[load.tier].drain_s(load.queued + load.delayed)
        if seconds is None:
            return None
        longest = max(longest, seconds)
    return longest


def in_words(seconds: float) -> str:
    """A span in its two largest units: `2m10s`, `45s`, `3h5m`; what is under a second is `1s`."""
    rest = max(1, round(seconds))
    for position, (size, unit) in enumerate(_STEPS):
        if rest >= size:
            count, rest = divmod(rest, size)
            below = _STEPS[position + 1] if position + 1 < len(_STEPS) else None
            more = f"{rest // below[0]}{below[1]}" if below and rest >= below[0] else ""
            return f"{count}{unit}{more}"
    return "1s"


@asynccontextmanager
async def followed(line: Line, tiers: list[str], show: Callable[[str], object]) -> AsyncIterator[None]:
    """Show an estimate every few seconds meanwhile. While Redis is away the last one stays."""
    following = asyncio.create_task(_follow(line, tiers, show))
    try:
        yield
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following


async def _follow(line: Line, tiers: list[str], show: Callable[[str], object]) -> None:
    while True:
        with suppress(ServiceUnavailable):
            loads = await line.observer.loads(tiers)
            seconds = drain_s(loads, await line.switchboard.gates(tiers))
            show(f"queue empty in about {in_words(seconds)}" if seconds else "")
        await asyncio.sleep(_LOOK_S)
