"""An office, fakes of what surrounds the dispatcher, and ways to read a settlement; every call makes a new value."""

import asyncio
import json
from collections import deque
from collections.abc import Sequence
from typing import Any, TypeVar, cast

from queue_cases import BACKUP, MAIN, RATE, SIDE

from pointsman_queue import Lease, Openings, Settlement, Switchboard, TierQueue
from pointsman_routes import (
    Answer,
    AttemptFinished,
    Evidence,
    FinalRecord,
    Job,
    Ok,
    Outcome,
    Rate,
    Result,
    RouteTable,
    ServiceUnavailable,
    TaskClass,
    Usage,
    Wire,
    build_route_table,
)
from pointsman_worker.dispatch import Dispatcher
from pointsman_worker.office import Office
from pointsman_worker.report import Report
from pointsman_worker.settler import Settler

OPEN = frozenset({MAIN, SIDE, BACKUP})
USAGE = Usage(input_tokens=12, output_tokens=5)
COST = 12 * 2 + 5 * 8
"""Of `USAGE`, in micro-USD."""
ESTIMATE_COST = 10 * 2 + 100 * 8
"""Of what `make_lease` reserves."""
ANSWER = Answer(content="To the left.", finish_reason="stop")
_Kind = TypeVar("_Kind", bound=Wire)


class SteppedClock:
    """Stands still until somebody lets time pass. In nanoseconds, from an odd beginning."""

    def __init__(self) -> None:
        self.now_ns = 77_000_000_123

    def __call__(self) -> int:
        return self.now_ns

    def pass_us(self, microseconds: int) -> None:
        """Let time pass."""
        self.now_ns += microseconds * 1000


def make_office(**changes: Any) -> Office:
    """An office whose class `triage` goes to `alpha/main`, then `beta/main`, below its floor, then `alpha/side`."""
    server = {"kind": "openai-compatible", "owner": "team@example.com", "base_url": "http://localhost:8000/v1"}
    alpha = {"main": {"model": "a-large", "quality": 0.9}, "side": {"model": "a-small", "quality": 0.8}}
    triage = {
        "route": [MAIN, BACKUP, SIDE],
        "quality_floor": 0.7,
        "allow_below_floor": [BACKUP],
        "max_tokens": 64,
        "max_attempts": 4,
        **changes,
    }
    table = build_route_table(
        {
            "providers": {
                "alpha": {**server, "region": "eu", "tiers": alpha},
                "beta": {**server, "region": "local", "tiers": {"main": {"model": "b-large", "quality": 0.5}}},
            },
            "classes": {"triage": triage, "solo": {"route": [MAIN]}},
        }
    )
    return Office(worker="w-1", table=table, rates=make_rates(table))


def make_rates(table: RouteTable) -> dict[str, Rate]:
    """The same rate for every tier."""
    return dict.fromkeys(table.tiers, RATE)


def make_report(outcome: Outcome | None = None, *, called: bool = True, **evidence: Any) -> Report:
    """An answer, or what else came of a call."""
    if outcome is None:
        facts = {"http_status": 200, "provider_request_id": "r-1", "response_model": "a-large-0613", "usage": USAGE}
        return Report(outcome=Ok(answer=ANSWER), evidence=Evidence(**cast("Any", {**facts, **evidence})))
    return Report(outcome=outcome, evidence=Evidence(**evidence), called=called)


def the(kind: type[_Kind], settlement: Settlement) -> _Kind:
    """The one record of a kind in a settlement."""
    (record,) = [entry for entry in settlement.records if isinstance(entry, kind)]
    return record


def finished_of(settlement: Settlement) -> AttemptFinished:
    """Its record of the attempt's end."""
    return the(AttemptFinished, settlement)


def final_of(settlement: Settlement) -> FinalRecord:
    """Its final record."""
    return the(FinalRecord, settlement)


def result_of(settlement: Settlement) -> Result:
    """Its result line, read back."""
    return Result.model_validate(json.loads(settlement.result))


class ScriptedDesk:
    """Reports what it was told to, and keeps what it was asked."""

    def __init__(self, *reports: Report) -> None:
        self._reports = deque(reports)
        self.asked: list[tuple[str, Job, int]] = []

    async def ask(self, tier: str, job: Job, max_tokens: int) -> Report:
        """One call."""
        self.asked.append((tier, job, max_tokens))
        return self._reports.popleft()


class DeskThatHangs:
    """Never answers; some time has passed when it begins to wait."""

    def __init__(self, clock: SteppedClock, microseconds: int) -> None:
        self._clock = clock
        self._microseconds = microseconds

    async def ask(self, tier: str, job: Job, max_tokens: int) -> Report:
        """One call."""
        self._clock.pass_us(self._microseconds)
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")


class QueueThatKeeps(TierQueue):
    """Keeps every settlement; fails as it was told to before that, and refuses the fences it was told to."""

    def __init__(self, *troubles: Exception, stale: Sequence[str] = ()) -> None:
        self._troubles = deque(troubles)
        self._stale = frozenset(stale)
        self.calls: list[list[Settlement]] = []

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """One call."""
        if self._troubles:
            raise self._troubles.popleft()
        self.calls.append(list(settlements))
        return [settlement.lease.fence not in self._stale for settlement in settlements]

    @property
    def settled(self) -> list[Settlement]:
        """All of them."""
        return [settlement for call in self.calls for settlement in call]


class SettlerThatKeeps(Settler):
    """Settles at once."""

    def __init__(self, *, written: bool = True) -> None:
        self._written = written
        self.settled: list[Settlement] = []

    async def settle(self, settlement: Settlement) -> bool:
        """Keep it."""
        self.settled.append(settlement)
        return self._written


class BoardOf(Switchboard):
    """Some tiers are open; away for the first calls if told so."""

    def __init__(self, open_tiers: frozenset[str] = OPEN, *, served: frozenset[str] = OPEN, away: int = 0) -> None:
        self._open = open_tiers
        self._served = served
        self._away = away
        self.asked: list[Sequence[str]] = []

    async def openings(self, table: RouteTable, tiers: Sequence[str]) -> Openings:
        """Those that are open."""
        self.asked.append(tiers)
        if len(self.asked) <= self._away:
            raise ServiceUnavailable("away")
        return Openings(open=self._open & frozenset(tiers), served=self._served & frozenset(tiers))


async def run(lease: Lease, report: Report, *, office: Office | None = None, **board: Any) -> Settlement:
    """Carry a lease through a dispatcher, and give what it settled."""
    settler = SettlerThatKeeps()
    dispatcher = Dispatcher(
        office or make_office(), ScriptedDesk(report), settler, BoardOf(**board), jitter=lambda: 0.5
    )
    assert await dispatcher.run(lease)
    (settlement,) = settler.settled
    return settlement


async def relocate(*leases: Lease, office: Office | None = None, **board: Any) -> list[Settlement]:
    """Let a dispatcher settle jobs that were handed over."""
    settler = SettlerThatKeeps()
    await Dispatcher(office or make_office(), ScriptedDesk(), settler, BoardOf(**board)).relocate(leases)
    return settler.settled


def class_of(office: Office) -> TaskClass:
    """Its class."""
    return office.table.classes["triage"]
