"""Ledgers of any size for benchmarks and plans, filled past the recorder, the chain and the columns as it makes them.

await fill(url, 5_000_000, seed=1)     months of a busy house; about 40,000 records a second
first_page_filters(filled)             what an auditor may ask of it
"""

import gc
import hashlib
import multiprocessing
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import asyncpg
from audit_records import switched
from ledger_lives import OF_OLD, Life, Told, lives

from pointsman_audit import GENESIS, Head, Ledger, ListedKind, RecordFilter, canonical, draft_of, link
from pointsman_audit.address import LedgerAddress
from pointsman_audit.columns import Facet, columns_of
from pointsman_audit.moment import to_micros
from pointsman_audit.schema import metadata
from pointsman_routes import PolicyRecord, RecordKind

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
"""When the first job is accepted."""
SPAN = timedelta(days=180)
_KINDS_OF_LIFE = 10_000
_RECORDS_OF_LIFE = 4.2
_JOBS_AT_ONCE = 10_000
_CHUNK = 10_000
_TABLES = ("facets", "policies", "records", "open_jobs", "open_attempts")
_BATCH_GAP_US = 2_000
"""Between two jobs of a batch."""
_TAKEN_IN = 1_000
"""Jobs that are accepted at once, at the same moment."""
_STEP_US = 3_000_000
"""How far the clock goes back now and then: Redis moves to another machine."""
_STEP_EVERY = 250_000
_GREAT_BATCH = 0.3
"""The share of all jobs that is in one batch."""
_OLD_EVERY = 20
_OLD_SHARE = 0.02
"""The share of the ledger in which one class was still asked for."""
_POLICY_EVERY_US = 20 * 24 * 3600 * 1_000_000
_MICROSECOND = timedelta(microseconds=1)
_Row = tuple[Any, ...]


class Filled(NamedTuple):
    """What was put into a ledger, as far as questions want to name it."""

    records: int
    first: datetime
    last: datetime
    great_batch: str
    small_batch: str
    job_id: str
    custom_id: str


def first_page_filters(filled: Filled) -> dict[str, RecordFilter]:
    """Questions an auditor may ask, by name: alone and together, of what is common, rare, long ago, or not there."""
    early, late = filled.first + SPAN / 90, filled.last - SPAN / 90
    middle = filled.first + SPAN / 2
    attempt = {"kind": ListedKind.ATTEMPT}
    great = {"batch_id": filled.great_batch}
    asked: dict[str, dict[str, Any]] = {
        "newest ends": {},
        "newest calls": attempt,
        "everything": {"kind": ListedKind.ANY},
        "accepted": {"kind": ListedKind.ACCEPTED},
        "moved": {"kind": ListedKind.MOVED},
        "held": {"kind": ListedKind.HELD},
        "switched": {"kind": ListedKind.SWITCH},
        "erased: none": {"kind": ListedKind.ERASURE},
        "common class": {"task_class": "triage"},
        "rare class": {"task_class": "forensics"},
        "class of long ago": {"task_class": "legacy"},
        "class of nobody": {"task_class": "triag"},
        "tier": {"tier": "openai/fast"},
        "tier's calls": {**attempt, "tier": "anthropic/fast"},
        "provider": {"provider": "google"},
        "owner's calls": {**attempt, "owner": "search@example.com"},
        "model": {"model": "claude-sonnet-4-5-20250929"},
        "region": {"region": "local"},
        "failed": {"state": "failed"},
        "cancelled": {"state": "cancelled"},
        "throttled calls: none": {**attempt, "outcome": "throttled"},
        "misrouted calls": {**attempt, "outcome": "misrouted"},
        "rare reason": {"reason": "unsupported"},
        "error": {"error_code": "exhausted"},
        "estimated usage": {**attempt, "usage_source": "estimate"},
        "fallback": {"fallback": True},
        "no fallback": {"fallback": False},
        "downgraded": {"downgraded": True},
        "mismatch": {"mismatch": True},
        "class, tier, mismatch: none": {"task_class": "summary", "tier": "ollama/small", "mismatch": True},
        "class, tier, state": {"task_class": "triage", "tier": "openai/fast", "state": "expired"},
        "class, fallback, no mismatch": {"task_class": "synthesis", "fallback": True, "mismatch": False},
        "the first days": {"until": early},
        "failed in the first days": {"until": early, "state": "failed"},
        "a second in the middle": {**attempt, "since": middle, "until": middle + timedelta(seconds=1)},
        "class of long ago, lately: none": {"task_class": "legacy", "since": late},
        "everything long ago": {"kind": ListedKind.ANY, "until": filled.first + timedelta(hours=1)},
        "before the ledger: none": {"until": filled.first - timedelta(days=1)},
        "great batch": great,
        "failed of the great batch": {**great, "state": "failed"},
        "great batch's calls, misrouted": {**great, **attempt, "outcome": "misrouted"},
        "rare class of the great batch": {**great, "task_class": "forensics"},
        "everything of the great batch": {**great, "kind": ListedKind.ANY},
        "small batch": {"batch_id": filled.small_batch, "kind": ListedKind.ANY},
        "batch of nobody": {"batch_id": "batch-nobody"},
        "job": {"job_id": filled.job_id, "kind": ListedKind.ANY},
        "custom id": {"custom_id": filled.custom_id},
        "custom id's calls": {**attempt, "custom_id": filled.custom_id},
        "page back": {"before_seq": filled.records // 2},
        "page back, rare reason": {"before_seq": filled.records // 2, "reason": "unsupported"},
    }
    return {name: RecordFilter(**narrowed) for name, narrowed in asked.items()}


class _Chunk(NamedTuple):
    """Rows to be added in one transaction, by table, and where the chain ends then."""

    rows: dict[str, list[_Row]]
    head: Head


class _Sink(Protocol):
    """A database that takes rows in great numbers."""

    async def write(self, chunk: _Chunk) -> None:
        """Add rows to tables and move the head, in one transaction."""


async def fill(url: str, count: int, seed: int) -> Filled:
    """Put records into a ledger that is empty or not there.

    They are made in a process of their own while the last ones are written.

    Returns:
        What there is to ask for.
    """
    async with Ledger.open(url, make=True) as ledger:
        if await ledger.head():
            raise ValueError("the ledger has records already")
    address = LedgerAddress.parse(url)
    if address.path is not None:
        with closing(sqlite3.connect(address.path, isolation_level=None)) as file:
            filled = await _pour(_Sqlite(file), count, seed)
            file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return filled
    client = await asyncpg.connect(address.dsn)
    try:
        # Rows that may not be on the disk yet are not marked as visible to all, and index-only scans need that.
        await client.execute("SET synchronous_commit = on")
        filled = await _pour(_Postgres(client), count, seed)
        # What a server in use has done of its own accord.
        await client.execute("VACUUM ANALYZE")
    finally:
        await client.close()
    return filled


async def _pour(sink: _Sink, count: int, seed: int) -> Filled:
    # A new interpreter: this one may have threads, which a fork would break.
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    maker = context.Process(target=_make, args=(sender, count, seed), daemon=True)
    maker.start()
    sender.close()
    with closing(receiver):
        while not isinstance(found := receiver.recv(), Filled):
            await sink.write(found)
    maker.join()
    return found


def _make(sender: "Connection[Any, Any]", count: int, seed: int) -> None:
    # Nothing here is part of a cycle, and looking for some takes a fifth of the time.
    gc.disable()
    house = _House(chance=random.Random(seed), count=count)
    scribe = _Scribe()
    for chunk in scribe.write(house.told(), count):
        sender.send(chunk)
    filled = Filled(
        records=scribe.head.seq,
        first=FIRST,
        last=FIRST + scribe.last_at * _MICROSECOND,
        great_batch=house.great_batch,
        small_batch=house.small_batch,
        job_id=house.some_job,
        custom_id=f"custom-{house.some_job}",
    )
    sender.send(filled)


@dataclass(kw_only=True)
class _House:
    """Jobs come in, in batches, and live their lives; what is told comes out by time."""

    chance: random.Random
    count: int
    great_batch: str = "batch-great"
    small_batch: str = ""
    some_job: str = ""

    def told(self) -> Iterator[tuple[int, Told, dict[str, Any]]]:
        """Records without end: microseconds since the first moment, what is told, and the record without its time."""
        usual = lives(self.chance, _KINDS_OF_LIFE)
        waiting: list[tuple[int, int, Told, dict[str, Any]]] = []
        number = 0
        for at, batch_id, size in self._batches():
            for place in range(size):
                number += 1
                accepted_at = at + place // _TAKEN_IN * _TAKEN_IN * _BATCH_GAP_US
                life = usual[self._life(number)]
                waiting.extend(_lived(accepted_at, number, batch_id, self._job_id(number), life))
                if number % _JOBS_AT_ONCE == 0:
                    # Nothing that is told later is older than this acceptance.
                    waiting.sort()
                    until = next((n for n, told in enumerate(waiting) if told[0] >= accepted_at), len(waiting))
                    yield from ((told[0], told[2], told[3]) for told in waiting[:until])
                    del waiting[:until]

    def _batches(self) -> Iterator[tuple[int, str, int]]:
        """When a batch comes in, its name, and its jobs."""
        jobs = self.count / _RECORDS_OF_LIFE
        great = max(1, int(jobs * _GREAT_BATCH))
        gap = SPAN / _MICROSECOND / max(1.0, jobs - great)
        at, number, taken = 0.0, 0, 0
        while True:
            number += 1
            if great and taken > jobs / 3:
                name, size, great = self.great_batch, great, 0
            else:
                name = f"batch-{self.chance.randbytes(8).hex()}"
                size = min(int(self.chance.lognormvariate(4, 2)) + 1, max(1, int(jobs / 20)))
                self.small_batch = self.small_batch or name
            yield int(at), name, size
            taken += size
            at += size * (gap if name != self.great_batch else _BATCH_GAP_US) + _BATCH_GAP_US

    def _life(self, number: int) -> int:
        if number % _OLD_EVERY == 0 and number * _RECORDS_OF_LIFE < self.count * _OLD_SHARE:
            return OF_OLD
        return int(self.chance.random() * (_KINDS_OF_LIFE - 1)) + 1

    def _job_id(self, number: int) -> str:
        job_id = self.chance.randbytes(16).hex()
        if number * _RECORDS_OF_LIFE < self.count / 2:
            self.some_job = job_id
        return job_id


def _lived(
    accepted_at: int, number: int, batch_id: str, job_id: str, life: Life
) -> Iterator[tuple[int, int, Told, dict[str, Any]]]:
    """The records of a job, each with a number of its own that keeps their order at one moment."""
    digest = (job_id * 2)[::-1]
    fence = number * 8
    for place, told in enumerate(life):
        body = {**told.body, "job_id": job_id, "batch_id": batch_id}
        if "custom_id" in body:
            body["custom_id"] = f"custom-{job_id}"
            body["prompt_digest"] = digest
        if "fence" in body:
            body["fence"] = fence + body["attempt"]
        if "accepted_at" in body:
            body["accepted_at"] = accepted_at
            body["response_digest"] = digest if body["served_tier"] else None
        if "started_at" in body:
            body["started_at"] = accepted_at + life[place - 1].after
        yield accepted_at + told.after, number * 64 + place, told, body


@dataclass(kw_only=True)
class _Scribe:
    """Chains what is told and hands it on in chunks, with what the ledger keeps beside the records."""

    head: Head = field(default_factory=lambda: Head(0, GENESIS))
    last_at: int = 0
    policy_digest: str = ""
    rows: dict[str, list[_Row]] = field(default_factory=lambda: {name: [] for name in _TABLES})
    facet_ids: dict[Facet, int] = field(default_factory=dict)
    jobs: dict[str, _Row] = field(default_factory=dict)
    calls: dict[_Row, int] = field(default_factory=dict)

    def write(self, told: Iterator[tuple[int, Told, dict[str, Any]]], count: int) -> Iterator[_Chunk]:
        """Write so many records."""
        next_policy = 0
        for at, what, body in told:
            self.last_at = max(self.last_at, at)
            now = to_micros(FIRST) + at - self.head.seq // _STEP_EVERY * _STEP_US
            if at >= next_policy:
                next_policy += _POLICY_EVERY_US
                self._change_policy(now)
            if self.head.seq >= count:
                break
            body["policy_digest"] = self.policy_digest
            for name in ("accepted_at", "started_at"):
                if name in body:
                    body[name] += now - at
            body[what.time] = now
            self._add(what.kind, body)
            if len(self.rows["records"]) >= _CHUNK:
                yield self._chunk()
        self.rows["open_jobs"] = [(job_id, *found) for job_id, found in self.jobs.items()]
        self.rows["open_attempts"] = [(seq, *call) for call, seq in self.calls.items()]
        yield self._chunk()

    def _change_policy(self, now: int) -> None:
        policy = canonical({"version": self.head.seq})
        self.policy_digest = hashlib.sha256(policy.encode()).hexdigest()
        self.rows["policies"].append((self.policy_digest, policy, self.head.seq + 1))
        record = PolicyRecord(role="worker", policy_digest=self.policy_digest, by="w1")
        for told in (record, switched(action="disable"), switched(action="enable")):
            draft = draft_of(told, now)
            draft.body.pop("policy", None)
            self._add(draft.kind, draft.body)

    def _add(self, kind: RecordKind, body: dict[str, Any]) -> None:
        columns = columns_of(kind, body)
        facet_id = self.facet_ids.get(columns.facet)
        if facet_id is None:
            facet_id = self.facet_ids[columns.facet] = len(self.facet_ids) + 1
            self.rows["facets"].append((facet_id, columns.facet.key, *columns.facet))
        added = link(self.head, body)
        self.head = added.head
        self.rows["records"].append((added.seq, facet_id, *columns[1:], added.hash, added.text))
        self._follow(kind, body, added.seq, columns.at)

    def _follow(self, kind: RecordKind, body: dict[str, Any], seq: int, at: int) -> None:
        if kind is RecordKind.ACCEPTED:
            self.jobs[body["job_id"]] = (seq, at)
        elif kind is RecordKind.FINAL:
            del self.jobs[body["job_id"]]
        elif kind is RecordKind.ATTEMPT_STARTED:
            self.calls[body["job_id"], body["attempt"], body["fence"]] = seq
        elif kind is RecordKind.ATTEMPT_FINISHED:
            del self.calls[body["job_id"], body["attempt"], body["fence"]]

    def _chunk(self) -> _Chunk:
        rows, self.rows = self.rows, {name: [] for name in _TABLES}
        return _Chunk(rows, self.head)


class _Sqlite:
    """A SQLite file that is written without waiting for the disk."""

    def __init__(self, file: sqlite3.Connection) -> None:
        self._file = file
        file.execute("PRAGMA synchronous = OFF")
        file.execute("PRAGMA cache_size = -262144")

    async def write(self, chunk: _Chunk) -> None:
        self._file.execute("BEGIN IMMEDIATE")
        for name, rows in chunk.rows.items():
            marks = ", ".join("?" for _ in metadata.tables[name].c)
            self._file.executemany(f"INSERT INTO {name} VALUES ({marks})", rows)
        self._file.execute("UPDATE ledger_head SET last_seq = ?, last_hash = ?", chunk.head)
        self._file.execute("COMMIT")


class _Postgres:
    """A PostgreSQL database that is written with COPY."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def write(self, chunk: _Chunk) -> None:
        async with self._client.transaction():
            for name, rows in chunk.rows.items():
                names = [column.name for column in metadata.tables[name].c]
                await self._client.copy_records_to_table(name, records=rows, columns=names)
            await self._client.execute("UPDATE ledger_head SET last_seq = $1, last_hash = $2", *chunk.head)
