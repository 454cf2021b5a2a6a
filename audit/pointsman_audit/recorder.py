"""The recorder: moves records from the outbox to the ledger, each exactly once."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any

import structlog

from pointsman_queue import START, Outbox, OutboxEntry, redis_errors
from pointsman_routes import ServiceUnavailable

from .batch import Batch
from .chain import Head
from .content_intake import ContentIntake
from .duty import Duty
from .errors import LedgerUnavailable
from .intake import read_entry
from .ledger import Ledger
from .moment import Clock, utc_now
from .policy_supply import PolicySupply

log = structlog.get_logger()

READ_AT_ONCE = 1000
"""Entries in a transaction at most."""
_BLOCK_MS = 1000
_NO_BLOCK_MS = 1
"""Redis takes 0 to mean for ever."""
_WAIT_FIRST_S = 0.5
_WAIT_MOST_S = 15.0
_FORGET_EVERY = timedelta(minutes=10)

_DOWN = {"ledger": "recorder.ledger_down", "redis": "recorder.redis_down"}
_UP = {"ledger": "recorder.ledger_up", "redis": "recorder.redis_up"}

Sleep = Callable[[float], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class _Position:
    source: str
    cursor: str


class _Round(Enum):
    """How one round ended."""

    RECORDED = auto()
    """A batch is in the ledger."""
    IDLE = auto()
    """There was nothing to record."""
    MOVED_ON = auto()
    """Another recorder was faster, or the outbox is another one now: look again where to go on."""


class Recorder:
    """Reads the outbox, appends to the ledger, then lets Redis drop what is committed.

    How far it has read stands in the ledger and moves in the same transaction as the records, so it may die at any
    point: before the commit nothing is there and all is read again; after it the cursor says so. Any number of
    recorders may run; one of them gets a batch, the others read on behind it.

    Weakness: content that Redis no longer has when its record is recorded is not stored; the record is.
    """

    def __init__(
        self,
        outbox: Outbox,
        ledger: Ledger,
        *,
        contents: ContentIntake | None = None,
        policies: PolicySupply | None = None,
        duties: Sequence[Duty] = (),
        clock: Clock = utc_now,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """Takes a ledger that has been migrated.

        Args:
            outbox: where records come from.
            ledger: where they go.
            contents: keeps what was asked and answered; made of the two when absent.
            policies: tells of policies that the ledger was never told of; of none of its own when absent.
            duties: what else is seen to, in this order.
            clock: tells when content is over.
            sleep: waits while a service is away.
        """
        self._outbox = outbox
        self._ledger = ledger
        self._contents = contents or ContentIntake(outbox, ledger, clock=clock)
        self._policies = policies or PolicySupply(outbox, ledger, None, "recorder")
        self._duties = tuple(duties)
        self._clock = clock
        self._sleep = sleep
        self._position: _Position | None = None
        self._stopping = asyncio.Event()
        self._down: set[str] = set()
        self._wait_s = _WAIT_FIRST_S
        self._forget_after: datetime | None = None
        self._recorded = 0

    @property
    def recorded(self) -> int:
        """Entries this recorder has committed."""
        return self._recorded

    def stop(self) -> None:
        """Let `run` return after the round it is in, within about a second."""
        self._stopping.set()

    async def run(self) -> None:
        """Record until stopped; waits for a service that goes away, and goes on when it is back.

        Raises:
            ServiceUnavailable: if Redis or the ledger is not there at the start.
            LedgerRefused: if the ledger will not take a statement, which no waiting cures.
            LedgerBroken: if somebody else has changed the ledger.
        """
        self._position = position = await self._find_position()
        log.info("recorder.started", source=position.source, cursor=position.cursor, ledger=self._ledger.address)
        while not self._stopping.is_set():
            try:
                await self._round(_BLOCK_MS)
                await self._attend()
                await self._forget_content()
            except ServiceUnavailable as outage:
                await self._sit_out(outage)
            else:
                self._all_up()
        for duty in self._duties:
            await duty.close()
        log.info("recorder.stopped", count=self._recorded)

    async def drain(self) -> int:
        """Record what is in the outbox now and return, without waiting for more or for a service.

        Returns:
            How many entries this call committed.

        Raises:
            ServiceUnavailable: if Redis or the ledger is not there.
        """
        before = self._recorded
        while await self._round(_NO_BLOCK_MS) is not _Round.IDLE:
            pass
        return self._recorded - before

    async def _round(self, block_ms: int) -> _Round:
        # Unknown until the round has gone well: a commit whose reply was lost may or may not have happened.
        position, self._position = self._position or await self._find_position(), None
        with redis_errors():
            entries = await self._outbox.read(position.cursor, count=READ_AT_ONCE, block_ms=block_ms)
            # After reading: the entries are of this source only if it is still the same one.
            source = await self._outbox.source()
        if source != position.source:
            log.warning("recorder.source_changed", source=source, previous=position.source)
            return _Round.MOVED_ON
        if not entries:
            self._position = position
            return _Round.IDLE
        batch = await self._prepare(position, entries)
        head = await self._ledger.append(batch)
        if head is None:
            log.debug("recorder.overtaken", cursor=position.cursor)
            return _Round.MOVED_ON
        await self._committed(batch, head)
        self._position = replace(position, cursor=batch.until)
        return _Round.RECORDED

    async def _attend(self) -> None:
        if self._position is not None:
            for duty in self._duties:
                await duty.attend(self._position.source, self._position.cursor)

    async def _find_position(self) -> _Position:
        with redis_errors():
            source = await self._outbox.source()
        cursor = await self._ledger.cursor(source)
        if cursor != START:
            if await self._outbox.go_on_after(cursor):
                log.error("recorder.outbox_went_back", source=source, cursor=cursor)
            # Whoever committed this may have died before it could drop it.
            with redis_errors():
                await self._outbox.trim(cursor)
        return _Position(source, cursor)

    async def _prepare(self, position: _Position, entries: Sequence[OutboxEntry]) -> Batch:
        made = await self._policies.complete([read_entry(entry) for entry in entries])
        more = len(made) - len(entries)
        count = max(more + 1, await self._contents.fitting(made))
        batch = Batch(
            source=position.source,
            after=position.cursor,
            until=entries[count - more - 1].entry_id,
            entries=made[:count],
        )
        asked, answered = await self._contents.collect(batch.drafts)
        return replace(batch, asked=asked, answered=answered)

    async def _committed(self, batch: Batch, head: Head) -> None:
        self._recorded += len(batch.entries)
        for entry in batch.garbage:
            log.warning("recorder.quarantined", entry_id=entry.entry_id, reason=entry.reason)
        log.debug("recorder.recorded", count=len(batch.entries), seq=head.seq)
        for duty in self._duties:
            await duty.committed(batch, head)
        await self._contents.drop(batch.drafts)
        with redis_errors():
            await self._outbox.trim(batch.until)

    async def _forget_content(self) -> None:
        now = self._clock()
        # Not for longer than that, should the clock have been set back.
        if self._forget_after is not None and timedelta(0) < self._forget_after - now <= _FORGET_EVERY:
            return
        forgotten = await self._ledger.forget_content()
        self._forget_after = now + _FORGET_EVERY
        if forgotten:
            log.info("recorder.content_forgotten", count=forgotten)

    async def _sit_out(self, outage: ServiceUnavailable) -> None:
        service = "ledger" if isinstance(outage, LedgerUnavailable) else "redis"
        if service not in self._down:
            self._down.add(service)
            log.warning(_DOWN[service], error=str(outage))
        nap = asyncio.ensure_future(self._sleep(self._wait_s))
        woken = asyncio.ensure_future(self._stopping.wait())
        self._wait_s = min(self._wait_s * 2, _WAIT_MOST_S)
        try:
            await asyncio.wait({nap, woken}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            nap.cancel()
            woken.cancel()

    def _all_up(self) -> None:
        # After an outage a round begins by asking both services where to go on, so one that went well needed both.
        self._wait_s = _WAIT_FIRST_S
        for service in sorted(self._down):
            log.info(_UP[service])
        self._down.clear()
