"""How fast one recorder records, whether it keeps up, and what memory it takes: a real `pointsman recorder`."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from arq import ArqRedis
from audit_records import accepted, final, finished, started

from benchmarks import rig
from pointsman_audit import Ledger
from pointsman_queue import Outbox, connect, encode_envelope, keys
from pointsman_routes import Job

from .databases import Database

_JOB = b"@JOB@"
_KEPT = rig.table()
"""Under this policy what is asked and answered is kept."""
_JOB_LINE = Job.model_validate(
    {
        "custom_id": "@JOB@",
        "class": "bench",
        "messages": [{"role": "user", "content": "Is this a bug report, a question or a complaint? One word. " * 10}],
    }
)
_ENVELOPE = encode_envelope(_JOB_LINE, 0, salt="0123456789abcdefghijkl")
_RESULT = b'{"id":"@JOB@","response":{"status_code":200,"body":{"choices":["' + b"a question " * 50 + b'"]}}}'
_LIFE = tuple(
    record.model_copy(update={"policy_digest": _KEPT.policy_digest, "task_class": "bench"}).model_dump_json().encode()
    for record in (accepted("@JOB@"), started("@JOB@"), finished("@JOB@"), final("@JOB@"))
)
"""The records of a job that its primary answers."""
RECORDS_OF_JOB = len(_LIFE)
_JOBS_AT_ONCE = 250
_LIVE = 1_000_000_000
"""Numbers of jobs from here on are not used by rounds."""
_RESULT_S = 600
_LOOK_S = 0.05
_TICK_S = 0.02
_PATIENCE_S = 900.0


@dataclass(slots=True, kw_only=True)
class Recorded:
    """What a recorder did."""

    records: int = 0
    seconds: float = 0
    resident: list[int] = field(default_factory=list)
    """Megabytes after each round."""

    @property
    def per_second(self) -> float:
        """Records a second."""
        return self.records / self.seconds


async def sustained(
    database: Database, redis_url: str, *, rounds: int, records: int, contents: bool = False
) -> Recorded:
    """Record rounds of records that wait in the outbox; the clock runs from the first commit of a round to its last.

    Args:
        database: where to; the ledger grows from round to round.
        redis_url: an empty Redis.
        rounds: how often the outbox is filled.
        records: in each round.
        contents: whether each job has a prompt and an answer, about 600 bytes each, that are kept.
    """
    found = Recorded()
    async with _recorder(database, redis_url, contents=contents) as (redis, ledger, process):
        for number in range(rounds):
            # Stopped, not ended: what it has learnt and allocated stays.
            os.kill(process, signal.SIGSTOP)
            await _fill(redis, number * records, records, contents=contents)
            before = await ledger.head()
            os.kill(process, signal.SIGCONT)
            await _until(ledger, before + 1)
            first, begun = await ledger.head(), time.perf_counter()
            await _until(ledger, before + records)
            found.seconds += time.perf_counter() - begun
            found.records += before + records - first
            found.resident.append(_resident(process))
    return found


async def live(database: Database, redis_url: str, *, jobs_per_s: int, seconds: float) -> list[int]:
    """Let jobs live at a rate and look how many of their records wait.

    Returns:
        Records in the outbox, twenty times a second.
    """
    waiting: list[int] = []
    async with _recorder(database, redis_url, contents=True) as (redis, ledger, _):
        begun, told, before = time.perf_counter(), 0, await ledger.head()
        while (now := time.perf_counter() - begun) < seconds:
            due = int(now * jobs_per_s)
            if due > told:
                await _tell(redis, _LIVE + told, due - told, contents=True)
                told = due
            waiting.append(await redis.xlen(keys.OUTBOX))
            await asyncio.sleep(_TICK_S)
        await _until(ledger, before + told * RECORDS_OF_JOB)
    return waiting


@asynccontextmanager
async def _recorder(
    database: Database, redis_url: str, *, contents: bool
) -> AsyncIterator[tuple[ArqRedis, Ledger, int]]:
    environment = {
        **os.environ,
        "POINTSMAN_REDIS_URL": redis_url,
        "POINTSMAN_LEDGER_URL": database.url,
        "POINTSMAN_HOME": str(database.folder),
        "POINTSMAN_CONFIG": str(database.folder / "none.toml"),
    }
    log = Path(database.folder) / "recorder.log"
    redis = await connect(redis_url)
    await redis.flushall()
    async with Ledger.open(database.url, make=True) as ledger:
        with rig.running([sys.executable, "-m", "pointsman_console", "recorder"], env=environment, log=log) as process:
            try:
                before = await ledger.head()
                if contents:
                    await Outbox(redis).announce("producer", _KEPT, "bench")
                    await _until(ledger, before + 1)
                yield redis, ledger, process.pid
            finally:
                await redis.aclose(close_connection_pool=True)


async def _fill(redis: ArqRedis, first: int, records: int, *, contents: bool) -> None:
    for job in range(0, records // RECORDS_OF_JOB, _JOBS_AT_ONCE):
        await _tell(redis, first + job, min(_JOBS_AT_ONCE, records // RECORDS_OF_JOB - job), contents=contents)


async def _tell(redis: ArqRedis, first: int, jobs: int, *, contents: bool) -> None:
    """Write the records of some jobs into the outbox, and their prompts and answers beside it."""
    at = time.time_ns() // 1000
    async with redis.pipeline(transaction=False) as pipe:
        for number in range(first, first + jobs):
            job_id = f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}{number:08x}".encode()
            for step, record in enumerate(_LIFE):
                pipe.xadd(keys.OUTBOX, {"at": at + step, "record": record.replace(_JOB, job_id)})
            if contents:
                pipe.set(keys.ENVELOPE.encode() + job_id, _ENVELOPE.replace(_JOB, job_id))
                pipe.set(keys.RESULT.encode() + job_id, _RESULT.replace(_JOB, job_id), ex=_RESULT_S)
        await pipe.execute()


async def _until(ledger: Ledger, seq: int) -> None:
    async with asyncio.timeout(_PATIENCE_S):
        while await ledger.head() < seq:  # noqa: ASYNC110 - another process is waited for
            await asyncio.sleep(_LOOK_S)


def _resident(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) // 1024
