"""A copy of a ledger in memory, to be changed behind its back, and what an examination says of it.

made(url, records, rng)      an honest ledger, written by the sequencer, read back as a copy
copy.verdict()               the verifier's, without a database
Workplace                    a database without triggers, into which copies are put
"""

import hashlib
import random
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Self

from audit_records import DIGEST, NOON, accepted, entry, final, finished, held, moved, started, switched
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pointsman_audit import (
    Batch,
    Checkpoint,
    Checkpoints,
    Head,
    Ledger,
    SigningKey,
    Verdict,
    Verifier,
    Witnesses,
    examine,
)
from pointsman_audit.address import LedgerAddress
from pointsman_audit.columns import Facet
from pointsman_audit.engine import build_engine
from pointsman_audit.intake import read_entry
from pointsman_audit.ledger import BUSY_TIMEOUT
from pointsman_audit.schema import APPEND_ONLY, facets, ledger_head, policies, records
from pointsman_routes import PolicyRecord, Wire

KEY = SigningKey.generate()
"""Signs the checkpoints of every copy."""
TABLES = {table.name: [column.name for column in table.columns] for table in (records, facets, policies, ledger_head)}
FACET_ID = TABLES["records"].index("facet_id")
HASH = TABLES["records"].index("record_hash")
BODY = TABLES["records"].index("body")


@dataclass(kw_only=True)
class Copy:
    """Everything in a ledger that an examination looks at; rows are lists, in the columns' order."""

    records: list[list[Any]]
    facets: list[list[Any]]
    policies: list[list[Any]]
    ledger_head: list[list[Any]]
    checkpoints: list[Checkpoint] = field(default_factory=list)

    def twin(self) -> Self:
        """Another copy, to be changed."""
        return deepcopy(self)

    @property
    def ledger_id(self) -> str:
        """Whose copy it is."""
        return str(self.ledger_head[0][1])

    @property
    def signed(self) -> list[int]:
        """Numbers that checkpoints vouch for, ascending."""
        return sorted(checkpoint.seq for checkpoint in self.checkpoints)

    def sign(self, seqs: Sequence[int]) -> None:
        """Make checkpoints of these records."""
        for seq in seqs:
            head = Head(seq, self.records[seq - 1][HASH])
            at = "2026-01-01T12:00:00.000000Z"
            self.checkpoints.append(Checkpoint.sign(KEY, ledger_id=self.ledger_id, head=head, at=at))

    def meant(self) -> dict[int, tuple[Any, ...]]:
        """Every record by its number, with the words of its facet."""
        words = {row[0]: tuple(row[1:]) for row in self.facets}
        return {row[0]: (*row, words.get(row[FACET_ID])) for row in self.records}

    def first_bad(self, changed: "Copy") -> int | None:
        """The lowest number at which a changed copy has another record than this one, or none."""
        mine, theirs = self.meant(), changed.meant()
        return min((seq for seq in mine.keys() | theirs.keys() if mine.get(seq) != theirs.get(seq)), default=None)

    def verdict(self) -> Verdict:
        """What the verifier says, fed with it."""
        known: dict[int, Facet | None] = {}
        for number, key, *words in self.facets:
            facet = Facet(*words)
            known[number] = facet if facet.key == key else None
        witnesses = Witnesses([self.file], [KEY.public], self.ledger_id)
        verifier = Verifier(self.ledger_id, witnesses, known)
        verifier.feed(sorted(self.records, key=lambda row: row[0]))
        _, _, last_seq, last_hash = self.ledger_head[0]
        return verifier.finish(Head(last_seq, last_hash), [(row[0], row[1], row[2]) for row in self.policies])

    @property
    def file(self) -> Checkpoints:
        """The checkpoints as a file has them."""
        return Checkpoints(found=tuple(self.checkpoints))


class Workplace:
    """A ledger's database whose triggers are gone."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine: AsyncEngine = build_engine(LedgerAddress.parse(url), busy_timeout=BUSY_TIMEOUT)

    async def open_to_changes(self) -> None:
        """Drop the triggers."""
        async with self._engine.begin() as connection:
            for table in APPEND_ONLY:
                if connection.dialect.name == "sqlite":
                    await connection.execute(text(f"DROP TRIGGER {table}_no_update"))
                    await connection.execute(text(f"DROP TRIGGER {table}_no_delete"))
                    await connection.execute(text(f"DROP TRIGGER {table}_no_replace"))
                else:
                    await connection.execute(text(f"DROP TRIGGER {table}_append_only ON {table}"))

    async def read(self) -> Copy:
        """What is in it."""
        async with self._engine.connect() as connection:
            tables: dict[str, Any] = {name: await _rows(connection, name) for name in TABLES}
        copy = Copy(**tables)
        for row in copy.facets:
            # SQLite has no flags, only numbers.
            row[-3:] = [bool(flag) for flag in row[-3:]]
        return copy

    async def put(self, copy: Copy) -> None:
        """Put a copy in the place of what is there."""
        async with self._engine.begin() as connection:
            for name, columns in TABLES.items():
                await connection.execute(text(f"DELETE FROM {name}"))
                rows = [dict(zip(columns, row, strict=True)) for row in getattr(copy, name)]
                places = ", ".join(f":{column}" for column in columns)
                if rows:
                    await connection.execute(text(f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({places})"), rows)

    async def verdict(self, copy: Copy) -> Verdict:
        """What an examination of the database says, once the copy is in it."""
        await self.put(copy)
        return await self.examined(copy)

    async def examined(self, copy: Copy) -> Verdict:
        """What an examination says of what is in the database, with the copy's checkpoints."""
        ledger = Ledger(self.url)
        try:
            return await examine(ledger, [copy.file], [KEY.public])
        finally:
            await ledger.close()

    async def close(self) -> None:
        """Let go of the database."""
        await self._engine.dispose()


async def made(url: str, count: int, rng: random.Random) -> Copy:
    """Write an honest ledger of that many records, in batches, and copy it; some of its records are signed."""
    async with Ledger.open(url) as ledger:
        written = 0
        while written < count:
            size = min(count - written, rng.randint(1, 40))
            await ledger.append(batch_of([_record(rng) for _ in range(size)], after=written))
            written += size
    place = Workplace(url)
    copy = await place.read()
    await place.close()
    steps = range(rng.randint(3, 20), count + 1, rng.randint(7, 40))
    copy.sign(list(steps) or [count])
    return copy


def batch_of(written: Sequence[Wire | bytes], *, after: int = 0, source: str = "outbox") -> Batch:
    """A batch of these records, as the recorder makes it; `after` is how many the outbox has had before."""
    last = after + len(written)
    return Batch(
        source=source,
        after=f"{after}-0",
        until=f"{last}-0",
        entries=tuple(
            read_entry(entry(record, at=NOON + number, entry_id=f"{number}-0"))
            for number, record in enumerate(written, start=after + 1)
        ),
    )


async def _rows(connection: AsyncConnection, table: str) -> list[list[Any]]:
    rows = await connection.execute(text(f"SELECT {', '.join(TABLES[table])} FROM {table} ORDER BY 1"))
    return [list(row) for row in rows.all()]


def _record(rng: random.Random) -> Wire | bytes:
    job_id = f"job-{rng.randint(1, 30)}{rng.choice(['', 'é', chr(0x1F600), chr(0)])}"
    tier = rng.choice(["openai/fast", "anthropic/fast", "ollama/small"])
    tokens = {"input_tokens": rng.choice([None, 0, rng.randint(1, 10**6)]), "cost_microusd": rng.randint(0, 10**9)}
    policy = f'{{"rate":{rng.randint(1, 3)}}}'
    policy_digest = hashlib.sha256(policy.encode()).hexdigest()
    kinds: list[Wire | bytes] = [
        accepted(job_id, requested_tier=tier),
        started(job_id, tier=tier, attempt=rng.randint(1, 4), fence=rng.randint(1, 99)),
        finished(job_id, tier=tier, duration_us=rng.choice([None, rng.randint(1, 10**8)]), retry_after_s=0.1, **tokens),
        final(job_id, served_tier=tier, downgraded=rng.random() < 0.5, **tokens),
        moved(job_id),
        held(job_id),
        switched(reason=rng.choice(["quota", "bad answers", "Größe"])),
        PolicyRecord(role="worker", policy_digest=policy_digest, previous_digest=DIGEST, by="w1", policy=policy),
        b"no record" + rng.randbytes(8),
    ]
    weights = [6, 6, 6, 6, 2, 1, 1, 1, 1]
    return rng.choices(kinds, weights)[0]
