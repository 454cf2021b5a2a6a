"""How the calls of each tier and class ended in the last hour."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from arq import ArqRedis

from pointsman_routes import OutcomeKind

from . import keys
from .connection import redis_errors

SLOT_S = 600
"""A count covers so many seconds; settle.lua has the same number."""
_SLOTS = 7
"""The one under way and the six before it: an hour, and up to ten minutes more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeRates:
    """The calls of one tier for one class in about the last hour.

    A call that was lost with its worker is not among them: nobody settled it. The ledger has it as unknown.
    """

    tier: str
    task_class: str
    counts: Mapping[OutcomeKind, int]

    @property
    def calls(self) -> int:
        """All of them."""
        return sum(self.counts.values())

    def share(self, *outcomes: OutcomeKind) -> float:
        """Share of the calls that ended so, 0 to 1; there is at least one call."""
        return sum(self.counts.get(outcome, 0) for outcome in outcomes) / self.calls


async def read_rates(redis: ArqRedis, tiers: Sequence[str], now_ms: float | None) -> tuple[OutcomeRates, ...]:
    """The rates of some tiers, in their order, then by class.

    Args:
        redis: the connection.
        tiers: names of tiers.
        now_ms: the moment they are seen at; the server's when absent.

    Raises:
        ServiceUnavailable: Redis does not answer.
    """
    with redis_errors():
        seconds = (await redis.time())[0] if now_ms is None else now_ms / 1000
        newest = int(seconds) // SLOT_S
        async with redis.pipeline(transaction=False) as pipe:
            for tier in tiers:
                for slot in range(newest - _SLOTS + 1, newest + 1):
                    pipe.hgetall(f"{keys.RATES}{tier}:{slot}")
            found = await pipe.execute()
    by_tier = zip(*[iter(found)] * _SLOTS, strict=True)
    return tuple(rates for tier, slots in zip(tiers, by_tier, strict=True) for rates in _added_up(tier, slots))


def _added_up(tier: str, slots: Iterable[Mapping[bytes, bytes]]) -> Iterable[OutcomeRates]:
    by_class: dict[str, Counter[OutcomeKind]] = {}
    known = {kind.value: kind for kind in OutcomeKind}
    for slot in slots:
        for name, count in slot.items():
            task_class, _, outcome = name.decode().rpartition("|")
            if outcome in known:  # a newer version may count what this one does not know
                by_class.setdefault(task_class, Counter())[known[outcome]] += int(count)
    for task_class, counts in sorted(by_class.items()):
        yield OutcomeRates(tier=tier, task_class=task_class, counts=counts)
