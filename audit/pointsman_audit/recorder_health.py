"""How a recorder fares, told in Redis about once a second for `pointsman status`."""

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog

from pointsman_queue import RecorderBoard
from pointsman_routes import ServiceUnavailable

from .batch import Batch
from .chain import Head
from .ledger import Ledger
from .moment import Clock, to_iso, to_micros, utc_now
from .redriving import Counts

log = structlog.get_logger()

EVERY_S = 1.0
"""Between two tellings."""
COUNT_EVERY_S = 30.0
"""Between two looks at the ledger, for what other recorders have put there."""
_COUNT_AGAIN_S = 5.0
"""After a look that failed."""
_PACE_OVER = 10
"""Tellings over which the pace is taken."""

Monotonic = Callable[[], float]
"""Tells seconds that only go forward."""


class RecorderHealth:
    """Tells how its recorder fares. A `Duty`.

    It is told beside the recorder's rounds, not in them, so that a recorder that waits for the ledger is still listed;
    `quiet_s` says for how long it has not got through a round. Trouble with telling is logged once and stops nothing.

    Weakness: a process that hangs as a whole is listed until what it told last is believed no longer. Entries that
    another recorder quarantines are counted half a minute later.
    """

    def __init__(
        self,
        board: RecorderBoard,
        ledger: Ledger,
        *,
        unsigned: Callable[[], int] | None = None,
        counts: Callable[[], Counts] | None = None,
        clock: Clock = utc_now,
        monotonic: Monotonic = time.monotonic,
        sleep: Callable[[float], Coroutine[Any, Any, None]] = asyncio.sleep,
    ) -> None:
        """Tells nothing before `telling` or `tell`.

        Args:
            board: where it is told.
            ledger: the recorder's.
            unsigned: says how many records are not yet signed; unknown when absent.
            counts: says what the reconciler has found and done; unknown when absent.
            clock: tells since when.
            monotonic: tells how long ago.
            sleep: waits between two tellings.
        """
        self._board = board
        self._ledger = ledger
        self._unsigned = unsigned
        self._counts = counts
        self._clock = clock
        self._monotonic = monotonic
        self._sleep = sleep
        self._started_at = self._now()
        self._went_round = monotonic()
        self._seq: int | None = None
        self._recorded = 0
        self._quarantined: int | None = None
        self._count_due = 0.0
        self._pace: deque[tuple[float, int]] = deque(maxlen=_PACE_OVER + 1)
        """When it was told, and how many had been recorded by then."""
        self._failing = False

    @asynccontextmanager
    async def telling(self) -> AsyncIterator[None]:
        """Tell about once a second as long as the block runs, and leave the list of the living at its end."""
        task = asyncio.create_task(self._go_on_telling())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await self._retire()

    async def committed(self, batch: Batch, head: Head) -> None:
        """A batch is in the ledger for good."""
        self._recorded += len(batch.entries)
        self._seq = head.seq
        if self._quarantined is not None:
            self._quarantined += len(batch.garbage)

    async def attend(self, source: str, cursor: str) -> None:
        """Note that the recorder got through a round; now and then look at the ledger."""
        del source, cursor
        self._went_round = now = self._monotonic()
        if now < self._count_due:
            return
        try:
            self._quarantined, self._seq = await self._ledger.quarantined(), await self._ledger.head()
            self._count_due = now + COUNT_EVERY_S
        except ServiceUnavailable as trouble:
            # The recorder meets it in its next round; until then the count is unknown.
            self._quarantined = None
            self._count_due = now + _COUNT_AGAIN_S
            log.warning("recorder.not_counted", error=str(trouble))

    async def close(self) -> None:
        """Nothing: it is told to the end of `telling`."""

    async def tell(self) -> None:
        """Tell once; what is in the way is logged when it begins and when it is over."""
        self._pace.append((self._monotonic(), self._recorded))
        try:
            told = await self._board.tell(json.dumps(self._health()))
            reason = "Redis has no room for it"
        except ServiceUnavailable as trouble:
            told, reason = False, str(trouble)
        if told and self._failing:
            log.info("recorder.health_told")
        elif not told and not self._failing:
            log.warning("recorder.health_not_told", error=reason)
        self._failing = not told

    async def _go_on_telling(self) -> None:
        while True:
            await self.tell()
            await self._sleep(EVERY_S)

    async def _retire(self) -> None:
        try:
            await self._board.retire()
        except ServiceUnavailable as trouble:
            # The key expires.
            log.warning("recorder.not_retired", error=str(trouble))

    def _health(self) -> dict[str, Any]:
        counts = self._counts() if self._counts is not None else None
        return {
            "seq": self._seq,
            "recorded": self._recorded,
            "per_s": _per_second(self._pace),
            "quarantined": self._quarantined,
            "unsigned": self._unsigned() if self._unsigned is not None else None,
            "stranded": counts.stranded if counts is not None else None,
            "redriven": counts.redriven if counts is not None else None,
            "rebuilt": counts.rebuilt if counts is not None else None,
            "returned": counts.returned if counts is not None else None,
            "quiet_s": round(self._monotonic() - self._went_round, 1),
            "started_at": self._started_at,
            "at": self._now(),
        }

    def _now(self) -> str:
        return to_iso(to_micros(self._clock()))


def _per_second(pace: deque[tuple[float, int]]) -> float | None:
    """Records a second between the first and the last telling; None as long as there is only one."""
    (began, before), (ended, after) = pace[0], pace[-1]
    return round((after - before) / (ended - began), 1) if ended > began else None
