"""What is recorded cannot be changed or taken away, not even by the owner of the tables, without dropping triggers."""

import hashlib
from typing import Any

import pytest
from audit_records import NOON
from ledger_model import Known, history, write
from ledger_of_old import written
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from pointsman_audit import Ledger, examine
from pointsman_routes import PolicyRecord

POLICY = PolicyRecord(role="worker", policy_digest=hashlib.sha256(b"{}").hexdigest(), policy="{}", by="w1")
HISTORY = [known for known in history(11, jobs=10) if known.record.kind != "policy_change"]
HISTORY.append(Known(seq=0, at=NOON, record=POLICY))
TABLES = ("records", "facets", "policies")
_ROWS = {table: f"SELECT * FROM {table} ORDER BY 1" for table in TABLES}
_CLONE = "seq, facet_id, at, job_id, batch_id, custom_id, input_tokens, output_tokens, cost_microusd, duration_us"
_FACET = "id, key, kind, fallback, downgraded, mismatch"
_HELD = f"{_CLONE}, record_hash, body"

_INSTEAD = "ON CONFLICT (seq) DO UPDATE SET body = excluded.body"

ANYWHERE = (
    "UPDATE records SET body = '{}' WHERE seq = 3",
    "UPDATE records SET seq = 1000 WHERE seq = 3",
    "UPDATE records SET cost_microusd = 0",
    "DELETE FROM records WHERE seq = 3",
    "DELETE FROM records",
    f"INSERT INTO records SELECT {_CLONE}, record_hash, '{{}}' FROM records WHERE seq = 3 {_INSTEAD}",
    "UPDATE facets SET tier = 'x' WHERE id = 1",
    "DELETE FROM facets WHERE id = 1",
    "UPDATE policies SET policy = 'x'",
    "DELETE FROM policies",
)
IN_POSTGRESQL = (
    "TRUNCATE records",
    "TRUNCATE facets",
    "TRUNCATE policies",
    "MERGE INTO records USING (SELECT 3 AS seq) AS other ON records.seq = other.seq WHEN MATCHED THEN DELETE",
)
IN_SQLITE = (
    f"REPLACE INTO records SELECT {_CLONE}, record_hash, '{{}}' FROM records WHERE seq = 3",
    f"INSERT OR REPLACE INTO records SELECT {_CLONE}, record_hash, '{{}}' FROM records WHERE seq = 3",
    "INSERT OR REPLACE INTO records SELECT * FROM records",
    f"INSERT OR IGNORE INTO records SELECT {_CLONE}, record_hash, '{{}}' FROM records WHERE seq = 3",
    "UPDATE OR REPLACE records SET seq = 4 WHERE seq = 3",
    "REPLACE INTO records (facet_id, at, record_hash, body) VALUES (1, 1, 'x', '{}'), (1, 1, 'x', '{}')",
    f"INSERT INTO records SELECT seq + 1000, {_HELD.removeprefix('seq, ')} FROM records WHERE seq = 3",
    f"INSERT INTO records SELECT -seq, {_HELD.removeprefix('seq, ')} FROM records WHERE seq = 3",
    "REPLACE INTO facets SELECT * FROM facets WHERE id = 1",
    f"REPLACE INTO facets ({_FACET}) SELECT 1, 'k', 'final', 0, 0, 0",
    f"REPLACE INTO facets ({_FACET}) SELECT 1000, key, 'x', 0, 0, 0 FROM facets WHERE id = 1",
    "REPLACE INTO policies SELECT digest, 'x', first_seq FROM policies",
)


async def filled(url: str) -> dict[str, list[Any]]:
    """A ledger with some records and a policy; says what is in it."""
    async with Ledger.open(url, make=True) as ledger:
        await write(ledger, HISTORY)
    return await held(url)


async def held(url: str) -> dict[str, list[Any]]:
    """What is in the tables that are only added to."""
    async with written(url) as connection:
        return {table: [*(await connection.execute(text(query))).all()] for table, query in _ROWS.items()}


@pytest.mark.parametrize("statement", [*ANYWHERE, *IN_POSTGRESQL])
async def test_owner_of_postgresql(postgres_url: str, statement: str) -> None:
    """On PostgreSQL neither update, delete, truncate, merge nor an insert that updates gets past the triggers."""
    await refused(postgres_url, statement)


@pytest.mark.parametrize("recursive", [False, True])
@pytest.mark.parametrize("statement", [*ANYWHERE, *IN_SQLITE])
async def test_owner_of_sqlite(tmp_path: Any, statement: str, *, recursive: bool) -> None:
    """On SQLite neither update, delete, replace nor an insert anywhere but after the last record gets through.

    REPLACE deletes what is there, and unless a connection asks for it no trigger for deletes hears of that.
    """
    await refused(f"sqlite:///{tmp_path / 'ledger.db'}", statement, f"PRAGMA recursive_triggers = {int(recursive)}")


async def refused(url: str, statement: str, before: str = "SELECT 1") -> None:
    """Try a statement; it is refused with the reason, and nothing has changed."""
    whole = await filled(url)
    with pytest.raises(DBAPIError, match=r"(records|facets|policies) is append-only"):
        await attempt(url, before, statement)
    assert await held(url) == whole
    async with Ledger.open(url) as ledger:
        assert (await examine(ledger, [], [])).ok


async def attempt(url: str, *statements: str) -> None:
    """Run statements in a transaction."""
    async with written(url) as connection:
        for statement in statements:
            await connection.execute(text(statement))
