"""The outbox: the Redis stream that feeds the ledger."""

import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from arq import ArqRedis
from redis.asyncio.client import Pipeline
from redis.exceptions import ExecAbortError, OutOfMemoryError

from pointsman_routes import (
    ConfigError,
    JobState,
    PolicyRecord,
    Problem,
    QueueFull,
    Record,
    RouteTable,
    ServiceUnavailable,
)

from . import keys
from .connection import redis_errors

START = "0-0"
"""The cursor before the first entry."""
LONGEST_RECORD = 1_000_000
"""Bytes; the ledger takes no longer one."""
_ROLES: tuple[Literal["producer", "worker"], ...] = ("producer", "worker")
_LONGEST_AT = 20
"""Digits of a moment."""
_NO_ROOM = (OutOfMemoryError, ExecAbortError)
"""What a full Redis says: to a command, or to the end of a transaction with a refused one in it."""


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """One record on its way to the ledger."""

    entry_id: str
    """The stream's own id; grows within one source."""
    at: int
    """When it was written: microseconds since the epoch, by the Redis server's clock."""
    record: bytes
    """JSON, as in `pointsman_routes.record`; not yet parsed, so garbage reaches the reader as it is."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the outbox is written and recorded."""

    life: str
    """Of the data: another one once Redis was emptied, began anew or was taken over by a replica. Each of these may
    have cost it what it took in last."""
    written: str
    """The newest entry that ever was, also when it is dropped by now."""
    recorded: str
    """The entry up to which the ledger has committed."""


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

    async def announce(self, role: Literal["producer", "worker"], table: RouteTable, by: str) -> bool:
        """Tell the ledger by which policy somebody works, if it is another than the role's last one.

        Whoever decides calls it first: what is decided under a policy that the ledger has never seen cannot be
        explained. Digest and record are written in one step, or neither is.

        Weakness: two processes of a role with different policies, starting by turns, leave a record each time.

        Args:
            role: who works by it.
            table: the configuration.
            by: the process, as in `PolicyRecord.by`.

        Returns:
            Whether a record was written.

        Raises:
            ConfigError: the configuration is longer than the ledger takes.
            QueueFull: Redis has no room for the record.
            ServiceUnavailable: Redis does not answer; the record may or may not be there.
        """
        key = keys.POLICY + role

        async def step(pipe: Pipeline) -> bool:
            last = await pipe.get(key)
            previous = None if last is None else last.decode()
            changed: bool = previous != table.policy_digest
            seconds, micros = await pipe.time() if changed else (0, 0)
            pipe.multi()  # type: ignore[no-untyped-call]
            if changed:
                record = _policy_record(role, table, previous, by)
                pipe.xadd(keys.OUTBOX, {"at": seconds * 1_000_000 + micros, "record": record})
                pipe.set(key, table.policy_digest)
            return changed

        with redis_errors():
            try:
                return bool(await self._redis.transaction(step, key, value_from_callable=True))
            except _NO_ROOM:
                raise QueueFull(
                    "Redis has no room for the record of a changed configuration; start `pointsman recorder`, "
                    "wait for the workers, or raise maxmemory"
                ) from None

    async def forget_announcement(self, digest: str) -> None:
        """Have a policy announced once more when somebody next starts under it: the ledger does not have it.

        Raises:
            ServiceUnavailable: Redis does not answer.
        """
        for role in _ROLES:
            key = keys.POLICY + role

            async def step(pipe: Pipeline, key: str = key) -> None:
                last = await pipe.get(key)
                pipe.multi()  # type: ignore[no-untyped-call]
                if last == digest.encode():
                    pipe.delete(key)

            with redis_errors():
                await self._redis.transaction(step, key)

    async def standing(self) -> Standing:
        """How far the outbox is written and recorded.

        Raises:
            ServiceUnavailable: Redis does not answer.
        """
        with redis_errors():
            found = await self._standing()
            if found is None:
                await self.source()
                found = await self._standing()
        if found is None:
            raise ServiceUnavailable("Redis is being emptied; try again")
        return found

    async def _standing(self) -> Standing | None:
        # No transaction: a full Redis refuses those. The order makes up for it: the mark is read before the stream it
        # must not be ahead of, and the life last, so that what was read before is of this life or of one before it.
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.get(keys.RECORDED)
            pipe.xinfo_stream(keys.OUTBOX)
            pipe.get(keys.OUTBOX_SOURCE)
            pipe.info("replication")
            recorded, stream, source, replication = await pipe.execute(raise_on_error=False)
        # Without an entry so far there is no stream, which Redis calls an error.
        for reply in (recorded, source, replication):
            if isinstance(reply, Exception):
                raise reply
        if source is None:
            return None
        written = stream["last-generated-id"].decode() if isinstance(stream, dict) else START
        mark = recorded.decode() if recorded is not None else START
        return Standing(
            # A server takes a new id when it starts and when it becomes a master.
            life=f"{source.decode()} {replication['master_replid']}",
            written=written,
            # A mark ahead of the stream is of another life of it: nothing that is written now is behind it.
            recorded=mark if entry_order(mark) <= entry_order(written) else START,
        )

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
        except _NO_ROOM:
            # A full Redis refuses the mark, and with it the whole step: first there must be room again.
            dropped = await self._redis.xtrim(keys.OUTBOX, minid=first_kept, approximate=False)
            with suppress(*_NO_ROOM):
                await self._redis.transaction(step, keys.RECORDED)
        return int(dropped)

    async def go_on_after(self, committed: str) -> bool:
        """Have what is written from now on come after `committed`, which the ledger has of this outbox.

        A Redis that came back without its last entries, or a replica that never had them, on a machine whose clock is
        behind, would number new ones like those that are recorded: no recorder would ever read them.

        Weakness: what was written since then and before this is not read.

        Returns:
            Whether the outbox was behind.

        Raises:
            ServiceUnavailable: Redis does not answer.
        """

        async def step(pipe: Pipeline) -> bool:
            behind = entry_order(await _last_generated(pipe)) < entry_order(committed)
            pipe.multi()  # type: ignore[no-untyped-call]
            if behind:
                pipe.xadd(keys.OUTBOX, {"at": 0}, id=committed)
                pipe.xdel(keys.OUTBOX, committed)
            return behind

        with redis_errors(), suppress(*_NO_ROOM):
            return entry_order(await _last_generated(self._redis)) < entry_order(committed) and bool(
                await self._redis.transaction(step, keys.OUTBOX, value_from_callable=True)
            )
        return True

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

    async def sizes(self, asked: Sequence[str], answered: Sequence[str]) -> tuple[dict[str, int], dict[str, int]]:
        """How many bytes the envelopes of some jobs have, and the results of others, by job id.

        Raises:
            ServiceUnavailable: Redis does not answer.
        """
        names = [*(keys.ENVELOPE + job_id for job_id in asked), *(keys.RESULT + job_id for job_id in answered)]
        if not names:
            return {}, {}
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.strlen(name)
                replies = await pipe.execute(raise_on_error=False)
        sizes = [size if isinstance(size, int) else 0 for size in replies]
        return (
            dict(zip(asked, sizes, strict=False)),
            dict(zip(answered, sizes[len(asked) :], strict=True)),
        )

    async def drop_envelopes(self, job_ids: Sequence[str]) -> None:
        """Drop the envelopes of some jobs, unless they have been taken in anew and are to be claimed."""
        if not job_ids:
            return
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for job_id in job_ids:
                    pipe.hget(keys.JOB + job_id, "state")
                states = await pipe.execute()
            over = [job_id for job_id, state in zip(job_ids, states, strict=True) if state is None or _is_final(state)]
            if over:
                await self._redis.unlink(*(keys.ENVELOPE + job_id for job_id in over))


async def _last_generated(redis: ArqRedis | Pipeline) -> str:
    """The newest entry that ever was; the start where there is no stream."""
    if not await redis.exists(keys.OUTBOX):
        return START
    stream = await redis.xinfo_stream(keys.OUTBOX)
    return str(stream["last-generated-id"].decode())


def _is_final(state: bytes) -> bool:
    return any(state == known.value.encode() for known in JobState if known.final)


def _policy_record(role: Literal["producer", "worker"], table: RouteTable, previous: str | None, by: str) -> str:
    record = PolicyRecord(
        role=role, policy_digest=table.policy_digest, previous_digest=previous, by=by, policy=table.policy
    ).model_dump_json()
    size = len(record.encode())
    if size > LONGEST_RECORD:
        problem = f"written out it has {size:,} bytes; the ledger takes a policy of up to {LONGEST_RECORD:,}"
        raise ConfigError([Problem("the configuration", problem, "split it into several")])
    return record


def entry_order(entry_id: str) -> tuple[int, int]:
    """What entry ids compare by: as texts, 9-0 would come after 10-0."""
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence)


def _entry(entry_id: bytes, fields: dict[bytes, bytes]) -> OutboxEntry:
    at = fields.get(b"at", b"")
    # Python reads no number of thousands of digits.
    moment = int(at) if at.isdigit() and len(at) <= _LONGEST_AT else 0
    return OutboxEntry(entry_id=entry_id.decode(), at=moment, record=fields.get(b"record", b""))
