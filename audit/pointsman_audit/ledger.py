"""The ledger: the durable store of audit records, on SQLite or PostgreSQL."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from . import record_groups, record_pages, sequencer
from .address import LedgerAddress
from .batch import Batch, read_cursor, write_batch
from .chain import Head
from .content import forget_expired
from .engine import build_engine, for_writing, keep_write_ahead_log, without_transactions
from .errors import LedgerUrlInvalid
from .faults import ledger_faults
from .intake import Draft
from .listing import ShownRecord, as_told
from .migration import Migration, MigrationProgress, make, migrate, no_ledger, require_current
from .moment import Clock, to_micros, utc_now
from .record_filter import ListedKind, RecordFilter
from .record_groups import GroupKey, OutcomeCount, RecordGroup
from .record_words import UnknownWord, unknown_words
from .roles import Roles, grant, require_fit
from .schema import content, ledger_head, policies, quarantine, records
from .sequencer import FacetIds

BUSY_TIMEOUT = timedelta(seconds=5)
"""How long SQLite waits for another process's lock."""


class Ledger:
    """Appends to and reads the ledger.

    Records are only ever added. Every method is one short transaction (a listing is one a page), so a reader
    never holds up the recorder. Every error is one of ours: `LedgerUnavailable` when waiting may help.
    """

    def __init__(self, url: str, *, clock: Clock = utc_now, busy_timeout: timedelta = BUSY_TIMEOUT) -> None:
        """Nothing is connected or looked at before `check`, `make` or the first use.

        Args:
            url: `sqlite:///path` or `postgresql://user:password@host/database`.
            clock: by which answers expire.
            busy_timeout: how long SQLite waits for another process's lock.
        """
        self._address = LedgerAddress.parse(url)
        self._clock = clock
        self._busy_timeout = busy_timeout
        with ledger_faults(self._address):
            self._engine = build_engine(self._address, busy_timeout=busy_timeout)
            self._writer = for_writing(self._engine)
        self._facet_ids = FacetIds()

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str,
        *,
        make: bool = False,
        clock: Clock = utc_now,
        busy_timeout: timedelta = BUSY_TIMEOUT,
    ) -> AsyncIterator[Self]:
        """A ledger that is there and of this version, closed at the end.

        Args:
            url: as for the constructor.
            make: make the ledger first if it is not there. For the recorder; readers refuse.
            clock: as for the constructor.
            busy_timeout: as for the constructor.
        """
        ledger = cls(url, clock=clock, busy_timeout=busy_timeout)
        try:
            await (ledger.make() if make else ledger.check())
            yield ledger
        finally:
            await ledger.close()

    @property
    def address(self) -> str:
        """The ledger's URL without its password."""
        return str(self._address)

    async def make(self) -> None:
        """Make the ledger if it is not there; one of another version is refused.

        Raises:
            LedgerNotMigrated: if it is older, or not there and this database role may not make one.
            LedgerTooNew: if its schema is one this version does not know.
        """
        with ledger_faults(self._address):
            await self._make_file()
            async with self._writer.begin() as connection:
                await connection.run_sync(make, self.address)

    async def migrate(
        self, progress: MigrationProgress = lambda done, total: None, roles: Roles | None = None
    ) -> Migration:
        """Make the ledger if it is not there, or bring its schema to this version: all of it or, on any error, nothing.

        Takes as long as it takes; nobody else can write meanwhile, and on PostgreSQL nobody can read.

        Args:
            progress: told how many old records are done, and of how many.
            roles: are given their rights, in the same transaction.

        Raises:
            LedgerTooNew: if its schema is one this version does not know.
            LedgerBroken: if its records are not those that were written.
            RoleUnfit: if a role is not there or may do too much.
        """
        with ledger_faults(self._address):
            await self._make_file()
            patient = build_engine(self._address, busy_timeout=self._busy_timeout, statement_s=None)
            try:
                async with for_writing(patient).begin() as connection:
                    if roles is not None:
                        await connection.run_sync(require_fit, roles)
                    done = await connection.run_sync(migrate, self.address, progress)
                    if roles is not None:
                        await connection.run_sync(grant, roles)
            finally:
                await patient.dispose()
        return done

    async def check(self) -> None:
        """See that the ledger is there and of this version; changes nothing.

        Raises:
            LedgerNotMigrated: if it is not there or older.
            LedgerTooNew: if its schema is one this version does not know.
        """
        path = self._address.path
        if path is not None and not _is_file(path):
            # Connecting would leave an empty file behind.
            raise no_ledger(self.address)
        async with self.reading() as connection:
            await connection.run_sync(require_current, self.address)

    async def _make_file(self) -> None:
        path = self._address.path
        if path is None:
            return
        if not _is_file(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # It holds answers: nobody else's business, whatever the folder allows. Its log files inherit this.
            path.touch(mode=0o600)
        await keep_write_ahead_log(self._engine, busy_timeout=self._busy_timeout)

    async def close(self) -> None:
        """Let go of every connection."""
        with ledger_faults(self._address):
            await self._engine.dispose()

    async def cursor(self, source: str) -> str:
        """The last entry of an outbox that is in the ledger; the outbox's start if none is."""
        async with self.reading() as connection:
            return await read_cursor(connection, source)

    async def append(self, batch: Batch) -> Head | None:
        """Write a batch: all of it or, on any error, nothing.

        Weakness: when the connection breaks during the commit nobody knows which; ask for the cursor again.

        Returns:
            Where the chain ends, or None if another recorder was faster and nothing was written.

        Raises:
            LedgerBroken: if the end of the chain was changed by somebody else.
        """
        async with self.writing() as connection:
            written = await write_batch(connection, batch, self._facet_ids)
        if written is None:
            return None
        head, found = written
        self._facet_ids.remember(found)
        return head

    async def append_acts(self, connection: AsyncConnection, drafts: Sequence[Draft]) -> Head:
        """Append records of what is being done to the ledger itself, in the transaction that does it.

        Args:
            connection: from `writing`.
            drafts: from `draft_of`.
        """
        head, _ = await sequencer.append(connection, await sequencer.take_turn(connection), drafts, self._facet_ids)
        return head

    async def forget_content(self) -> int:
        """Delete what was asked and answered by jobs whose time is over; says by how many."""
        async with self.writing() as connection:
            # A recorder that froze in here would hold rows for ever.
            await sequencer.wait_for_turn(connection)
            return await forget_expired(connection, to_micros(self._clock()))

    async def list(self, wanted: RecordFilter) -> AsyncIterator[ShownRecord]:
        """Records, oldest first as in a log; `limit` takes the newest ones and shows these oldest first.

        Shows the ledger as it was when the first record was asked for.
        """
        async for record in record_pages.listing(self.reading, wanted):
            yield record

    async def count(self, wanted: RecordFilter) -> int:
        """How many records `list` would show."""
        async with self.reading() as connection:
            return await record_pages.count(connection, wanted)

    async def groups(self, wanted: RecordFilter, keys: Sequence[GroupKey]) -> Sequence[RecordGroup]:
        """The records that `list` would show without a limit, added up by keys; see `record_groups.groups`."""
        async with self.reading() as connection:
            return await record_groups.groups(connection, wanted, keys)

    async def outcomes(self, wanted: RecordFilter) -> Sequence[OutcomeCount]:
        """How the calls that have ended did so, by tier, class and outcome; calls in flight are not counted.

        Args:
            wanted: narrows which attempts; its kind and limit say nothing here.
        """
        async with self.reading() as connection:
            return await record_groups.outcomes(connection, replace(wanted, kind=ListedKind.ATTEMPT))

    async def unknown_words(self, wanted: RecordFilter) -> Sequence[UnknownWord]:
        """Words of a filter that no record of its kind has, with those that some have."""
        async with self.reading() as connection:
            return await unknown_words(connection, wanted)

    async def story(self, job_id: str) -> Sequence[ShownRecord]:
        """Every record of a job, in the order they were written; empty if there is none."""
        query = select(records.c.seq, records.c.body).where(records.c.job_id == job_id).order_by(records.c.seq)
        return [as_told(seq, body) for seq, body in await self._rows(query)]

    async def answer(self, job_id: str) -> str | None:
        """The result line of a succeeded job; None if there is none or its time is over."""
        query = select(content.c.answer).where(
            content.c.job_id == job_id, content.c.expires_at > to_micros(self._clock())
        )
        rows = await self._rows(query)
        return rows[0].answer if rows else None

    async def policy(self, digest: str) -> str | None:
        """The canonical configuration of that digest; None if the ledger does not have it."""
        rows = await self._rows(select(policies.c.policy).where(policies.c.digest == digest))
        return str(rows[0].policy) if rows else None

    async def head(self) -> int:
        """The number of the last record; 0 if there is none."""
        return (await self.chain_head()).seq

    async def chain_head(self) -> Head:
        """Where the chain ends."""
        row = (await self._rows(select(ledger_head.c.last_seq, ledger_head.c.last_hash)))[0]
        return Head(row.last_seq, row.last_hash)

    async def ledger_id(self) -> str:
        """The name of this ledger, given when it was made: checkpoints carry it."""
        return str((await self._rows(select(ledger_head.c.ledger_id)))[0].ledger_id)

    async def quarantined(self) -> int:
        """How many entries of the outbox were no records."""
        return int((await self._rows(select(func.count()).select_from(quarantine)))[0][0])

    async def _rows(self, query: Select[Any]) -> Sequence[Any]:
        async with self.reading() as connection:
            rows: Sequence[Any] = (await connection.execute(query)).all()
            return rows

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection to ask with; what the database raises inside becomes one of our errors."""
        with ledger_faults(self._address):
            async with self._engine.connect() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction to write in: committed at the end, rolled back on any error."""
        with ledger_faults(self._address):
            async with self._writer.begin() as connection:
                yield connection

    @asynccontextmanager
    async def outside_transactions(self) -> AsyncIterator[AsyncConnection]:
        """A connection for statements that no transaction may hold."""
        with ledger_faults(self._address):
            async with without_transactions(self._engine).connect() as connection:
                yield connection

    def __str__(self) -> str:
        return self.address


def _is_file(path: Path) -> bool:
    """Whether something is there, which is no folder."""
    try:
        there, folder = path.exists(), path.is_dir()
    except OSError:
        # Not ours to see: connecting says why.
        return True
    if folder:
        raise LedgerUrlInvalid(f"the ledger's URL names a folder, {path}; name a file in it")
    return there
