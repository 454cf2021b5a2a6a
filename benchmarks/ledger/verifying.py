"""How fast a ledger is verified, and whether any tampering goes unseen."""

import time
from collections.abc import Callable
from typing import NamedTuple

import tampering

from pointsman_audit import Ledger, examine

_SECONDS_A_MINUTE = 60


class Verified(NamedTuple):
    """A whole ledger, looked through."""

    records: int
    seconds: float

    @property
    def a_minute(self) -> float:
        """Records a minute."""
        return self.records / self.seconds * _SECONDS_A_MINUTE


async def verify(url: str) -> Verified:
    """Look a ledger through, without checkpoints: what they add is a look into a file."""
    async with Ledger.open(url) as ledger:
        begun = time.perf_counter()
        verdict = await examine(ledger, (), ())
        seconds = time.perf_counter() - begun
    if not verdict.ok:
        raise SystemExit(f"the filled ledger is not whole: {verdict}")
    return Verified(verdict.records, seconds)


async def tamper(count: int, honest: int, seed: int, say: Callable[[str], None]) -> tampering.Figures:
    """Change copies of ledgers in every way and look for it.

    Args:
        count: how often.
        honest: ledgers nobody changed.
        seed: of chance; printed, so that a failure can be had again.
        say: told what is going on.
    """
    say(f"{count:,} tamperings, {honest:,} honest ledgers, seed {seed}")
    return await tampering.run(count, honest, seed)
