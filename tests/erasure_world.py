"""Jobs that lived in a real Redis and were recorded, and a search for what is left of their texts."""

import json
import re
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
from arq import ArqRedis
from audit_records import final, put
from route_cases import make_table
from sqlalchemy import text

from pointsman_audit import ErasureOrder, Ledger, Recorder
from pointsman_audit.address import LedgerAddress
from pointsman_producer import JobEncoder
from pointsman_queue import JobQueue, Outbox, decode_envelope, keys
from pointsman_routes import Job, JobState, RouteTable, salted_digest

ORDER = ErasureOrder("job", "asked for in letter 12", "ann")
KEEP = timedelta(days=7)


def keeping(keep_content: str = "1d") -> RouteTable:
    """A configuration whose class `triage` keeps content for so long."""
    return make_table(task_class={"keep_content": keep_content})


def make_job(name: str, prompt: str, subject: str | None = None) -> Job:
    """A job about somebody."""
    metadata = {"subject": subject} if subject else {}
    raw = {"custom_id": name, "class": "triage", "messages": [{"role": "user", "content": prompt}]}
    return Job.model_validate({**raw, "metadata": metadata})


async def accept(redis: ArqRedis, *jobs: Job, batch: str = "batch", keep_content: str = "1d") -> list[str]:
    """Take jobs in as a producer does; their ids."""
    table, queue = keeping(keep_content), JobQueue(redis, keep_results=KEEP)
    await queue.announce(table, "p1")
    encoder = JobEncoder(table)
    new = [encoder.encode(batch, job, 0) for job in jobs]
    await queue.enqueue(batch, new)
    return [job.job_id for job in new]


def result_line(job_id: str, answer: str) -> str:
    """A line of an output file."""
    message = {"role": "assistant", "content": answer}
    return json.dumps(
        {
            "id": job_id,
            "custom_id": "t",
            "response": {
                "status_code": 200,
                "request_id": None,
                "body": {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]},
            },
            "error": None,
            "pointsman": {
                "state": "succeeded",
                "class": "triage",
                "requested": {"tier": "openai/fast", "model": "gpt-5-mini"},
            },
        }
    )


async def finish(redis: ArqRedis, job_id: str, answer: str, state: JobState = JobState.SUCCEEDED) -> None:
    """Let a job end as a worker does, as far as what is kept is concerned."""
    opened = decode_envelope(await redis.get(keys.ENVELOPE + job_id) or b"")
    assert opened is not None
    assert opened.salt is not None
    await redis.hset(keys.JOB + job_id, "state", state.value)  # type: ignore[misc]  # typed for both clients
    await redis.set(keys.RESULT + job_id, result_line(job_id, answer))
    record = final(
        job_id,
        state=state,
        policy_digest=keeping().policy_digest,
        prompt_digest=salted_digest(opened.salt, opened.job.asked()),
        response_digest=salted_digest(opened.salt, answer),
    )
    # Now: what ended long ago would not be kept any more.
    await put(redis, [record], at=time.time_ns() // 1000)


async def record(redis: ArqRedis, ledger: Ledger) -> None:
    """Bring the outbox into the ledger."""
    await Recorder(Outbox(redis), ledger).drain()


async def found_in_redis(redis: ArqRedis, *needles: str) -> set[str]:
    """The keys in which one of some texts stands."""
    return {name async for name, value in _values(redis) if any(needle in value for needle in needles)}


async def _values(redis: ArqRedis) -> AsyncIterator[tuple[str, str]]:
    readers: dict[bytes, Any] = {
        b"string": redis.get,
        b"hash": redis.hgetall,
        b"set": redis.smembers,
        b"zset": lambda name: redis.zrange(name, 0, -1),
        b"stream": redis.xrange,
    }
    async for name in redis.scan_iter():
        value = await readers[await redis.type(name)](name)
        yield name.decode(), value.decode() if isinstance(value, bytes) else str(value)


async def found_in_tables(ledger: Ledger, *needles: str) -> set[str]:
    """The tables in which one of some texts stands."""
    listing = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table'",
        "postgresql": "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
    }
    found = set()
    async with ledger.reading() as connection:
        names = (await connection.execute(text(listing[connection.dialect.name]))).scalars().all()
        for name in names:
            rows = (await connection.execute(text(f'SELECT * FROM "{name}"'))).all()
            # Not the rows' own spelling, in which a quotation mark is escaped.
            values = [str(value) for row in rows for value in row]
            if any(needle in value for needle in needles for value in values):
                found.add(name)
    return found


def found_in_files(url: str, *needles: str) -> set[str]:
    """The texts that stand somewhere in SQLite's files; PostgreSQL's pages are not looked into."""
    data = _bytes(url)
    return {needle for needle in needles if needle.encode() in data}


def names_in_files(url: str) -> set[str]:
    """The jobs of which SQLite's files hold a text that says `SUBJ`, `SALT`, `PROMPT` or `ANSWER`, and whose it is."""
    return {name.decode() for name in re.findall(rb"(?:SUBJ|SALT|PROMPT|ANSWER)-([0-9a-f]{24})", _bytes(url))}


def _bytes(url: str) -> bytes:
    path = LedgerAddress.parse(url).path
    if path is None:
        return b""
    files = [Path(f"{path}{ending}") for ending in ("", "-wal", "-shm", "-journal")]
    return b"".join(file.read_bytes() for file in files if file.exists())


async def vacuums(url: str) -> int:
    """How often PostgreSQL's content table was vacuumed by hand."""
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval("SELECT vacuum_count FROM pg_stat_user_tables WHERE relname = 'content'"))
    finally:
        await connection.close()
