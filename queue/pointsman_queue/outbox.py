"""The outbox: the Redis stream that feeds the ledger."""

import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from arq import ArqRedis
from redis.asyncio.client import Pipeline
from redis.exceptions import ExecAbortError, OutOfMemoryError

from pointsman_routes import Record

from . import keys
from .connection import redis_errors

START = "0-0"
"""The cursor before the first entry."""


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """One record on its way to the ledger."""

    entry_id: str
    """The stream's own id; grows within one source."""
    at: int
    """When it was written: microseconds since the epoch, by the Redis server's clock."""
    record: bytes
    """JSON, as in `pointsman_routes.record`; not yet parsed, so garbage reaches the reader as it is."""


class Outbox:
    """Reads and trims the stream. What scripts do they record themselves, in the same step."""

    def __init__(self, redis: ArqRedis) -> None:
        self._redis = redis

    async def source(self) -> str:
        """The name of this outbox in the ledger; made on first use, lost with the Redis data."""
        name = await self._redis.get(keys.OUTBOX_SOURCE)
        if name is None:
            # Only now: a full Redis refuses every SET, and nobody but the recorder makes room in it.
            await self._redis.set(keys.OUTBOX_SOURCE, uuid.uuid4().hex[:16], nx=True)
            name = await self._redis.get(keys.OUTBOX_SOURCE)
        return name.decode() if name is not None else ""

    async def append(self, record: Record) -> int:
        """Write a record of what no script does.

        Returns:
            Its moment: microseconds since the epoch, by the Redis server's clock.

        Raises:
            ServiceUnavailable: Redis does not answer or has no room; the record may or may not be there.
        """
        with redis_errors():
            seconds, micros = await self._redis.time()
            at = seconds * 1_000_000 + micros
            await self._redis.xadd(keys.OUTBOX, {"at": at, "record": record.model_dump_json()})
        return int(at)

    async def read(self, after: str, *, count: int, block_ms: int) -> list[OutboxEntry]:
        """Entries after a cursor, oldest first; waits up to `block_ms` if there are none."""
        reply = await self._redis.xread({keys.OUTBOX: after}, count=count, block=block_ms)
        return [_entry(entry_id, fields) for _, entries in reply for entry_id, fields in entries]

    async def trim(self, committed: str) -> int:
        """Drop entries up to and including `committed`; call it only after the ledger has committed them.

        In the same step the mark that producers wait for moves there, and never back: a recorder may come late.

        Returns:
            How many entries were dropped.
        """
        milliseconds, _, sequence = committed.partition("-")
        first_kept = f"{milliseconds}-{int(sequence) + 1}"

        async def step(pipe: Pipeline) -> None:
            mark = await pipe.get(keys.RECORDED)
            pipe.multi()  # type: ignore[no-untyped-call]
            if mark is None or entry_order(mark.decode()) < entry_order(committed):
                pipe.set(keys.RECORDED, committed)
            pipe.xtrim(keys.OUTBOX, minid=first_kept, approximate=False)

        try:
            *_, dropped = await self._redis.transaction(step, keys.RECORDED)
        except (OutOfMemoryError, ExecAbortError):
            # A full Redis refuses the mark, and with it the whole step: first there must be room again.
            dropped = await self._redis.xtrim(keys.OUTBOX, minid=first_kept, approximate=False)
            with suppress(OutOfMemoryError, ExecAbortError):
                await self._redis.transaction(step, keys.RECORDED)
        return int(dropped)

    async def first_id(self) -> str | None:
        """The id of the oldest entry; None when there is none."""
        with redis_errors():
            entries = await self._redis.xrange(keys.OUTBOX, count=1)
        return entries[0][0].decode() if entries else None

    async def last_id(self) -> str | None:
        """The id of the newest entry; None when there is none."""
        with redis_errors():
            entries = await self._redis.xrevrange(keys.OUTBOX, count=1)
        return entries[0][0].decode() if entries else None

    async def length(self) -> int:
        """Records not yet in the ledger."""
        return int(await self._redis.xlen(keys.OUTBOX))

    async def results(self, job_ids: Sequence[str]) -> dict[str, bytes]:
        """The result lines that are still here, by job id."""
        if not job_ids:
            return {}
        lines = await self._redis.mget([keys.RESULT + job_id for job_id in job_ids])
        return {job_id: line for job_id, line in zip(job_ids, lines, strict=True) if line is not None}

    async def envelopes(self, job_ids: Sequence[str]) -> dict[str, bytes]:
        """The envelopes that are still here, by job id."""
        if not job_ids:
            return {}
        with redis_errors():
            found = await self._redis.mget([keys.ENVELOPE + job_id for job_id in job_ids])
        return {job_id: envelope for job_id, envelope in zip(job_ids, found, strict=True) if envelope is not None}

    async def drop_envelopes(self, job_ids: Sequence[str]) -> None:
        """Drop the envelopes of some jobs; of none that may still be claimed."""
        if job_ids:
            with redis_errors():
                await self._redis.unlink(*(keys.ENVELOPE + job_id for job_id in job_ids))


def entry_order(entry_id: str) -> tuple[int, int]:
    """What entry ids compare by: as texts, 9-0 would come after 10-0."""
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence)


def _entry(entry_id: bytes, fields: dict[bytes, bytes]) -> OutboxEntry:
    at = fields.get(b"at", b"")
    return OutboxEntry(entry_id=entry_id.decode(), at=int(at) if at.isdigit() else 0, record=fields.get(b"record", b""))
