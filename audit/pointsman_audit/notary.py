"""The notary: signs where the chain ends, every so many records and every so often, and nothing it has not seen whole.

A checkpoint over records that somebody else has changed would make them look right for ever. So the notary follows the
chain from the last record it signed: what this recorder appends right behind what it knows is known; whatever else lies
there, other recorders' records, is read and recomputed first.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import structlog
from pydantic_core import from_json
from sqlalchemy import and_, select

from pointsman_routes import KeyRecord, RecordKind, ServiceUnavailable

from . import sequencer
from .batch import Batch
from .chain import GENESIS, Head, text_hash
from .checkpoint import Checkpoint
from .checkpoint_file import Checkpoints, append_checkpoint, read_checkpoints
from .errors import CheckpointsUnusable, KeyFileInvalid, LedgerBroken
from .intake import Draft, draft_of
from .ledger import Ledger
from .moment import Clock, to_iso, to_micros, utc_now
from .record_pages import PAGE
from .schema import facets, records
from .signing_key import PublicKey, SigningKey, public_path, read_public_keys
from .witnesses import Witnesses

log = structlog.get_logger()

EVERY = 1000
"""Records between two checkpoints."""
AT_LEAST_EVERY_S = 60.0
"""How old the oldest unsigned record may become."""
SCOPE = "ledger"
"""What a key's record says of the ledger's own key."""
_LOOK_EVERY_S = 5.0
"""Between two looks at the ledger's end, for records that another recorder or a command has written."""
_RETRY_S = 5.0
"""After a checkpoint that could not be written."""

Monotonic = Callable[[], float]
"""Tells seconds that only go forward."""


class Notary:
    """Writes the checkpoints of one recorder. A `Duty`.

    A file that cannot be written to holds nothing up: it is told once, tried again, and `unsigned` grows meanwhile.

    Weakness: records between two checkpoints are protected by the chain alone; whoever can write to the database can
    rewrite them, and the ledger's word about its end, until they are signed. Records that somebody else appends with
    the recorder's own rights are signed like any other.
    """

    def __init__(
        self,
        ledger: Ledger,
        key: SigningKey,
        path: Path,
        *,
        clock: Clock = utc_now,
        monotonic: Monotonic = time.monotonic,
    ) -> None:
        """Signs nothing before `begin`.

        Args:
            ledger: whose chain is signed.
            key: signs.
            path: the file the checkpoints go to.
            clock: tells when something was signed.
            monotonic: tells when something is due.
        """
        self._ledger = ledger
        self._key = key
        self._path = path
        self._clock = clock
        self._monotonic = monotonic
        self._ledger_id = ""
        self._signed = 0
        self._known = Head(0, GENESIS)
        """Up to here the chain is whole."""
        self._end = 0
        """The last record anybody has told of; what lies after `_known` has not been looked at yet."""
        self._told: dict[int, str] = {}
        """Ends of this recorder's batches after `_known`, which must be found there."""
        self._due = 0.0
        self._look = 0.0
        self._not_before = 0.0
        self._failing = False

    @classmethod
    async def begin(cls, ledger: Ledger, key_path: Path, path: Path, **options: Any) -> Self:
        """A notary that has seen the ledger agree with its checkpoints, told the ledger its key, and signed the rest.

        Args:
            ledger: that is there.
            key_path: the private key; made if it is not there.
            path: the checkpoints.
            options: as for the constructor.

        Raises:
            LedgerBroken: if the ledger is not what was signed, or its chain is not whole. Nothing is signed.
            CheckpointsUnusable: if the file cannot be read, or is another ledger's.
            KeyFileInvalid: if the key cannot be used.
            ServiceUnavailable: if the ledger is not there.
        """
        key = await asyncio.to_thread(SigningKey.load_or_make, key_path)
        notary = cls(ledger, key, path, **options)
        # The file first: what it vouches for was in the ledger before.
        written = await asyncio.to_thread(read_checkpoints, path)
        keys = await asyncio.to_thread(_accepted, key_path, key)
        await notary._take_up(written, keys)
        await notary._announce()
        await notary._look_at_the_end()
        await notary._sign()
        return notary

    @property
    def unsigned(self) -> int:
        """Records after the last checkpoint, as far as this notary knows."""
        return self._end - self._signed

    async def committed(self, batch: Batch, head: Head) -> None:
        """A batch is in the ledger for good."""
        if self._start(batch) == self._known:
            self._known = head
        else:
            self._told[head.seq] = head.hash
        self._hear_of(head.seq)

    async def attend(self, source: str, cursor: str) -> None:
        """Sign if it is time to."""
        del source, cursor
        now = self._monotonic()
        if now >= self._look:
            await self._look_at_the_end()
        if self.unsigned and now >= self._not_before and (self.unsigned >= EVERY or now >= self._due):
            await self._sign()

    async def close(self) -> None:
        """Sign what is left."""
        try:
            await self._look_at_the_end()
            await self._sign()
        except ServiceUnavailable as outage:
            # The next recorder signs it when it begins.
            log.warning("notary.not_closed", count=self.unsigned, error=str(outage))

    async def _take_up(self, written: Checkpoints, keys: list[PublicKey]) -> None:
        """Go on from the last checkpoint in the file, if the ledger agrees with it."""
        self._ledger_id = await self._ledger.ledger_id()
        others = {checkpoint.ledger_id for checkpoint in written.found} - {self._ledger_id}
        if others:
            raise CheckpointsUnusable(
                f"{self._path} has checkpoints of another ledger, {min(others)}; this one is {self._ledger_id}: "
                "move the file away or name another with POINTSMAN_CHECKPOINTS"
            )
        witnesses = Witnesses([written], keys, self._ledger_id)
        known = {key.key_id for key in keys}
        if any(checkpoint.key_id in known for checkpoint in set(written.found) - set(witnesses.believed)):
            raise _broken(f"a checkpoint in {self._path} was not signed with the key it names")
        # One of a key that is forgotten here is no ground to go on from, but must not be contradicted either.
        ascending = sorted(written.found, key=lambda checkpoint: checkpoint.seq)
        for checkpoint in {checkpoint.key_id: checkpoint for checkpoint in ascending}.values():
            await self._insist(checkpoint)
        newest = witnesses.newest
        if newest is not None:
            self._known, self._signed, self._end = newest.head, newest.seq, newest.seq
        elif (count := await self._ledger.head()) > 0:
            log.warning("notary.no_checkpoints", path=str(self._path), count=count)

    async def _insist(self, checkpoint: Checkpoint) -> None:
        query = select(records.c.record_hash).where(records.c.seq == checkpoint.seq)
        async with self._ledger.reading() as connection:
            found = (await connection.execute(query)).scalar()
        if found != checkpoint.record_hash:
            raise _broken(f"record {checkpoint.seq} is not the one that was signed")

    async def _announce(self) -> None:
        """Tell in the chain with which key it is signed from now on, if it does not say so yet."""
        public = self._key.public
        async with self._ledger.writing() as connection:
            # In one's turn, so that of several recorders only one does.
            await sequencer.take_turn(connection)
            ours = and_(facets.c.kind == RecordKind.KEY_CHANGE.value, facets.c.provider == SCOPE)
            query = select(records.c.body).join_from(facets, records, facets.c.id == records.c.facet_id).where(ours)
            for text in (await connection.execute(query.order_by(records.c.seq.desc()))).scalars():
                named = from_json(text).get("key_id")
                if named is not None:  # else a provider that is called so
                    if named == public.key_id:
                        return
                    break
            act = KeyRecord(scope=SCOPE, key_id=public.key_id, public_key=public.raw.hex(), by="recorder")
            head = await self._ledger.append_acts(connection, [draft_of(act, to_micros(self._clock()))])
        log.info("notary.key_announced", key_id=public.key_id, seq=head.seq)

    async def _look_at_the_end(self) -> None:
        self._look = self._monotonic() + _LOOK_EVERY_S
        self._hear_of(await self._ledger.head())

    def _hear_of(self, seq: int) -> None:
        if not self.unsigned and seq > self._end:
            self._due = self._monotonic() + AT_LEAST_EVERY_S
        self._end = max(self._end, seq)

    async def _sign(self) -> None:
        """Sign where the chain ends, once it is seen to be whole up to there."""
        await self._follow()
        if self._known.seq == self._signed:
            return
        at = to_iso(to_micros(self._clock()))
        checkpoint = Checkpoint.sign(self._key, ledger_id=self._ledger_id, head=self._known, at=at)
        try:
            await asyncio.to_thread(append_checkpoint, self._path, checkpoint)
        except OSError as error:
            self._not_before = self._monotonic() + _RETRY_S
            if not self._failing:
                self._failing = True
                reason = error.strerror or type(error).__name__
                log.warning("notary.checkpoint_failed", path=str(self._path), reason=reason, count=self.unsigned)
            return
        if self._failing:
            self._failing = False
            log.info("notary.checkpoint_restored", path=str(self._path))
        self._signed = checkpoint.seq
        self._due = self._monotonic() + AT_LEAST_EVERY_S
        log.debug("notary.signed", seq=checkpoint.seq)

    async def _follow(self) -> None:
        """Read what lies between the part of the chain that is known and its end, record by record."""
        while self._known.seq < self._end:
            query = select(records.c.seq, records.c.record_hash, records.c.body).where(
                records.c.seq > self._known.seq, records.c.seq <= self._end
            )
            async with self._ledger.reading() as connection:
                rows = (await connection.execute(query.order_by(records.c.seq).limit(PAGE))).all()
            if not rows:
                raise _broken(f"record {self._known.seq + 1} is gone")
            for row in rows:
                self._known = self._next(row.seq, row.record_hash, row.body)
        self._told.clear()

    def _next(self, seq: int, record_hash: str, text: str) -> Head:
        """The chain's end after one more record, if it is the next."""
        expected = Head(self._known.seq + 1, self._known.hash)
        try:
            body = from_json(text)
            links = (seq, body["seq"], body["prev_hash"]) == (expected.seq, expected.seq, expected.hash)
        except (ValueError, TypeError, KeyError):
            links = False
        if not links:
            raise _broken(f"record {expected.seq} is not the next in the chain")
        if text_hash(text) != record_hash or self._told.get(seq, record_hash) != record_hash:
            raise _broken(f"record {seq} is not the one that was written")
        return Head(seq, record_hash)

    @staticmethod
    def _start(batch: Batch) -> Head | None:
        """Where the chain ended before a batch; None if the batch does not tell."""
        first = batch.entries[0] if batch.entries else None
        return Head(first.body["seq"] - 1, first.body["prev_hash"]) if isinstance(first, Draft) else None


def _accepted(key_path: Path, key: SigningKey) -> list[PublicKey]:
    """The keys whose checkpoints are gone on from: ours, and those there were before it."""
    try:
        earlier = read_public_keys(public_path(key_path))
    except KeyFileInvalid:
        earlier = []
    return [key.public, *(other for other in earlier if other != key.public)]


def _broken(what: str) -> LedgerBroken:
    return LedgerBroken(f"{what}: the ledger has been changed by somebody else; nothing is signed, see `audit verify`")
