"""The chain: records get hashes and facets, content gets salts, policies are kept, and nothing recorded can be changed.

Records of the first schema are chained as they stand, under the numbers they have. Answers move to the content table;
they had no salt, so nothing can be proven of them.
"""

import hashlib
import json
import secrets
from typing import Any

import sqlalchemy as sa
from alembic import op

from pointsman_audit.chain import GENESIS, Head, link
from pointsman_audit.columns import Facet, columns_of
from pointsman_routes import RecordKind

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Written out, not taken from schema.py: a released step must not change when the schema does.
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_APPEND_ONLY = ("records", "facets", "policies")
_PAGE = 1000


def upgrade() -> None:
    """Make the new tables, chain what is there, and close them to changes."""
    for name in ("job", "kind", "class", "tier", "time", "batch", "state"):
        op.drop_index(f"records_by_{name}", "records")
    op.execute("ALTER TABLE records RENAME TO records_0001")
    if op.get_bind().dialect.name == "postgresql":
        # The constraint keeps its name otherwise, and the new table wants it.
        op.execute("ALTER INDEX records_pkey RENAME TO records_0001_pkey")
    records, facets = _create_records(), _create_facets()
    op.create_table(
        "policies",
        sa.Column("digest", sa.Text(), primary_key=True),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("first_seq", sa.BigInteger(), nullable=False),
    )
    _create_open()
    _create_content()
    head = _chain(records, facets)
    op.execute(f"INSERT INTO open_jobs (job_id, seq, at) {_OPEN_JOBS}")
    op.execute(f"INSERT INTO open_attempts (seq, job_id, attempt, fence) {_OPEN_ATTEMPTS}")
    op.drop_table("records_0001")
    _create_head(head)
    for table in _APPEND_ONLY:
        _close(table)


_OPEN_JOBS = """
SELECT job_id, min(seq), min(at) FROM records_0001 AS accepted
WHERE kind = 'accepted' AND NOT EXISTS (
  SELECT 1 FROM records_0001 AS final WHERE final.kind = 'final' AND final.job_id = accepted.job_id)
GROUP BY job_id"""
_OPEN_ATTEMPTS = """
SELECT max(seq), job_id, attempt, fence FROM records_0001 AS began
WHERE kind = 'attempt_started' AND NOT EXISTS (
  SELECT 1 FROM records_0001 AS ended WHERE ended.kind = 'attempt_finished'
  AND ended.job_id = began.job_id AND ended.attempt = began.attempt AND ended.fence = began.fence)
GROUP BY job_id, attempt, fence"""


def _create_records() -> sa.Table:
    records = op.create_table(
        "records",
        sa.Column("seq", _SERIAL, primary_key=True, autoincrement=False),
        sa.Column("facet_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("job_id", sa.Text()),
        sa.Column("batch_id", sa.Text()),
        sa.Column("custom_id", sa.Text()),
        sa.Column("input_tokens", sa.BigInteger()),
        sa.Column("output_tokens", sa.BigInteger()),
        sa.Column("cost_microusd", sa.BigInteger()),
        sa.Column("duration_us", sa.BigInteger()),
        sa.Column("record_hash", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_index("records_by_facet", "records", ["facet_id", "at", "seq"])
    op.create_index("records_by_time", "records", ["at", "seq"])
    for name, columns in (
        ("records_by_job", ["job_id", "seq"]),
        ("records_by_batch", ["batch_id", "facet_id", "at", "seq"]),
        ("records_by_custom_id", ["custom_id", "at", "seq"]),
    ):
        there = sa.text(f"{columns[0]} IS NOT NULL")
        op.create_index(name, "records", columns, sqlite_where=there, postgresql_where=there)
    return records


def _create_facets() -> sa.Table:
    words = ("task_class", "tier", "provider", "owner", "model", "region", "state", "outcome", "reason", "error_code")
    return op.create_table(
        "facets",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("key", sa.Text(), nullable=False, unique=True),
        sa.Column("kind", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Text()) for name in (*words, "usage_source")),
        *(sa.Column(name, sa.Boolean(), nullable=False) for name in ("fallback", "downgraded", "mismatch")),
    )


def _create_open() -> None:
    op.create_table(
        "open_jobs",
        sa.Column("job_id", sa.Text(), primary_key=True),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
    )
    op.create_index("open_jobs_by_time", "open_jobs", ["at", "job_id"])
    op.create_table(
        "open_attempts",
        sa.Column("seq", _SERIAL, primary_key=True, autoincrement=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
    )
    op.create_index("open_attempts_by_call", "open_attempts", ["job_id", "attempt", "fence"], unique=True)


def _create_content() -> None:
    op.create_table(
        "content",
        sa.Column("job_id", sa.Text(), primary_key=True),
        sa.Column("task_class", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text()),
        sa.Column("salt", sa.Text()),
        sa.Column("job", sa.Text()),
        sa.Column("answer", sa.Text()),
        sa.Column("stored_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
    )
    op.execute(
        "INSERT INTO content (job_id, task_class, answer, stored_at, expires_at)"
        " SELECT answers.job_id, coalesce((SELECT min(task_class) FROM records_0001"
        " WHERE records_0001.job_id = answers.job_id AND kind = 'final'), '-'), result, stored_at, expires_at"
        " FROM answers"
    )
    op.drop_table("answers")
    op.create_index("content_by_expiry", "content", ["expires_at"])
    somebody = sa.text("subject IS NOT NULL")
    op.create_index("content_by_subject", "content", ["subject"], sqlite_where=somebody, postgresql_where=somebody)


def _chain(records: sa.Table, facets: sa.Table) -> Head:
    """Copy every record into the chain."""
    connection, head = op.get_bind(), Head(0, GENESIS)
    known: dict[Facet, int] = {}
    page = sa.text("SELECT body FROM records_0001 WHERE seq > :after ORDER BY seq LIMIT :most")
    while bodies := connection.execute(page, {"after": head.seq, "most": _PAGE}).scalars().all():
        rows: list[dict[str, Any]] = []
        new: list[dict[str, Any]] = []
        for text in bodies:
            body = json.loads(text)
            columns = columns_of(RecordKind(body["kind"]), body)
            if columns.facet not in known:
                known[columns.facet] = len(known) + 1
                new.append({"id": len(known), "key": columns.facet.key, **columns.facet._asdict()})
            added = link(head, body)
            head = added.head
            named = columns._asdict()
            del named["facet"]
            rows.append(
                {
                    "seq": added.seq,
                    "facet_id": known[columns.facet],
                    **named,
                    "record_hash": added.hash,
                    "body": added.text,
                }
            )
        if new:
            connection.execute(sa.insert(facets), new)
        connection.execute(sa.insert(records), rows)
    return head


def _create_head(head: Head) -> None:
    op.drop_table("ledger_head")
    table = op.create_table(
        "ledger_head",
        sa.Column("id", sa.Integer(), sa.CheckConstraint("id = 1", name="ledger_head_is_one_row"), primary_key=True),
        sa.Column("ledger_id", sa.Text(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("last_hash", sa.Text(), nullable=False),
    )
    name = hashlib.sha256(secrets.token_bytes(32)).hexdigest()[:16]
    op.bulk_insert(table, [{"id": 1, "ledger_id": name, "last_seq": head.seq, "last_hash": head.hash}])


def _close(table: str) -> None:
    """Let rows be added to a table and nothing else."""
    message = f"{table} is append-only"
    if op.get_bind().dialect.name == "sqlite":
        for action in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{action.lower()} BEFORE {action} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
            )
        return
    if table == _APPEND_ONLY[0]:
        op.execute(
            "CREATE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
        )
    op.execute(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only()"
    )
