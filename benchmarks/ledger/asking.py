"""How long the first page of a listing takes, whatever is asked for."""

import time
from dataclasses import replace

from ledger_filling import Filled, first_page_filters

from benchmarks.measurement import percentile
from pointsman_audit import Ledger, RecordFilter

PAGE = 100
_TIMES = 5
"""Each question is asked so often; the first time finds cold pages."""


async def first_pages(url: str, filled: Filled) -> dict[str, list[float]]:
    """Ask every question for its newest page.

    Args:
        url: of a filled ledger.
        filled: what is in it.

    Returns:
        Milliseconds by question, each time it was asked.
    """
    found: dict[str, list[float]] = {}
    async with Ledger.open(url) as ledger:
        for _ in range(_TIMES):
            for name, wanted in first_page_filters(filled).items():
                found.setdefault(name, []).append(await _timed(ledger, replace(wanted, limit=PAGE)))
    return found


async def _timed(ledger: Ledger, wanted: RecordFilter) -> float:
    begun = time.perf_counter()
    async for _ in ledger.list(wanted):
        pass
    return (time.perf_counter() - begun) * 1000


def summary(found: dict[str, list[float]]) -> tuple[float, float, str]:
    """The 95th percentile of all, the slowest question's, and which that is; milliseconds."""
    every = [value for values in found.values() for value in values]
    slowest = max(found, key=lambda name: percentile(found[name], 0.95))
    return percentile(every, 0.95), percentile(found[slowest], 0.95), slowest
