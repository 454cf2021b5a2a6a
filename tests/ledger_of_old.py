"""A ledger as the first release of the schema left it: version 0001, with rows as the recorder of that time wrote them.

await make_old(url, bodies)     a ledger of version 0001 with these records, and answers of jobs that succeeded
old_bodies(seed, jobs)          what was recorded of some jobs
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from alembic import command
from ledger_model import history
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from pointsman_audit import migration
from pointsman_audit.address import LedgerAddress
from pointsman_audit.engine import build_engine, for_writing, keep_write_ahead_log
from pointsman_audit.schema import VERSION_TABLE, metadata

TIMES = {"accepted": "accepted_at", "attempt_started": "started_at", "attempt_finished": "finished_at"}
TIMES |= {"moved": "at", "held": "at", "final": "finished_at", "switch": "at"}
"""Kinds of records there were, and what their own time is called."""
_NEWER = ("owner", "duration_us", "redriven", "response_region", "upstream", "service_tier", "cache_write_tokens")
_TRACKS = {"accepted": "requested_tier", "moved": "from_tier", "switch": "scope"}
_COLUMNS = (
    "seq", "kind", "at", "job_id", "batch_id", "custom_id", "task_class", "tier", "model", "state", "outcome",
    "attempt", "fence", "fallback", "downgraded", "mismatch", "body",
)  # fmt: skip
_INSERT = f"INSERT INTO records ({', '.join(_COLUMNS)}) VALUES ({', '.join(f':{name}' for name in _COLUMNS)})"
LATE = 2**53 - 1
"""When answers are over."""


def old_bodies(seed: int, jobs: int) -> list[dict[str, Any]]:
    """What was recorded of some jobs, in order."""
    bodies = []
    for known in history(seed, jobs):
        body = dict(known.body)
        kind = body["kind"]
        if kind not in TIMES:
            continue
        if kind not in ("accepted", "final"):
            body.pop("batch_id", None)
        for name in _NEWER:
            body.pop(name, None)
        bodies.append({**body, TIMES[kind]: known.at})
    return bodies


def old_row(seq: int, body: dict[str, Any]) -> dict[str, Any]:
    """A row of the old table."""
    kind = body["kind"]
    side = "served" if body.get("served_tier") is not None else "requested"
    final = kind == "final"
    return {
        **{name: body.get(name) for name in _COLUMNS},
        "seq": seq,
        "at": body[TIMES[kind]],
        "tier": body[f"{side}_tier"] if final else body.get(_TRACKS.get(kind, "tier")),
        "model": body[f"{side}_model"] if final else body.get("model"),
        "fallback": body.get("fallback_reason") is not None if final else body.get("hop", 0) > 0,
        "downgraded": body.get("downgraded", False),
        "mismatch": body.get("mismatch", False) or body.get("outcome") == "misrouted",
        "body": json.dumps(body, sort_keys=True, separators=(",", ":")),
    }


async def make_old(url: str, bodies: Sequence[dict[str, Any]]) -> None:
    """Make a ledger of version 0001."""
    address = LedgerAddress.parse(url)
    if address.path is not None:
        address.path.parent.mkdir(exist_ok=True)
    async with written(url) as connection:
        await connection.run_sync(_first_version)
        rows = [old_row(seq, body) for seq, body in enumerate(bodies, start=1)]
        if rows:
            await connection.execute(text(_INSERT), rows)
        await connection.execute(text("UPDATE ledger_head SET last_seq = :last"), {"last": len(rows)})
        answers = {
            row["job_id"]: {"job": row["job_id"], "result": f"answer of {row['job_id']}", "at": row["at"], "late": LATE}
            for row in rows
            if row["state"] == "succeeded"
        }
        if answers:
            insert = "INSERT INTO answers (job_id, result, stored_at, expires_at) VALUES (:job, :result, :at, :late)"
            await connection.execute(text(insert), list(answers.values()))
        await connection.execute(text("INSERT INTO outbox_cursor (source, entry_id) VALUES ('outbox', '7-0')"))


@asynccontextmanager
async def written(url: str) -> AsyncIterator[AsyncConnection]:
    """A transaction on a ledger's database, past the ledger; its file has a write-ahead log, as every ledger's."""
    address = LedgerAddress.parse(url)
    busy = timedelta(seconds=5)
    engine = build_engine(address, busy_timeout=busy, statement_s=None)
    try:
        if address.path is not None:
            await keep_write_ahead_log(engine, busy_timeout=busy)
        async with for_writing(engine).begin() as connection:
            yield connection
    finally:
        await engine.dispose()


def _first_version(connection: Connection) -> None:
    config = migration._config()
    config.attributes.update(connection=connection, metadata=metadata, version_table=VERSION_TABLE)
    command.upgrade(config, "0001")
