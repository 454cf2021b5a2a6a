"""The outbox: the Redis stream that feeds the ledger."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from arq import ArqRedis

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
        """Drop entries up to and including `committed`; call it only after the ledger has committed them."""
        milliseconds, _, sequence = committed.partition("-")
        dropped = await self._redis.xtrim(keys.OUTBOX, minid=f"{milliseconds}-{int(sequence) + 1}", approximate=False)
        return int(dropped)

    async def length(self) -> int:
        """Records not yet in the ledger."""
        return int(await self._redis.xlen(keys.OUTBOX))

    async def results(self, job_ids: Sequence[str]) -> dict[str, bytes]:
        """The result lines that are still here, by job id."""
        if not job_ids:
            return {}
        lines = await self._redis.mget([keys.RESULT + job_id for job_id in job_ids])
        return {job_id: line for job_id, line in zip(job_ids, lines, strict=True) if line is not None}


def _entry(entry_id: bytes, fields: dict[bytes, bytes]) -> OutboxEntry:
    at = fields.get(b"at", b"")
    return OutboxEntry(entry_id=entry_id.decode(), at=int(at) if at.isdigit() else 0, record=fields.get(b"record", b""))
