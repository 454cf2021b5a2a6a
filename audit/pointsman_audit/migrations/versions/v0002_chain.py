"""The chain: records get hashes and facets, content gets salts, policies are kept, and nothing recorded can be changed.

Records of the first schema are chained as they stand, under the numbers they have. One that today's ledger cannot
express (a whole number beyond 2^53, which canonical JSON has no word for) is put aside as the recorder would put it
aside: its text goes to the quarantine as it is, and under its number stands a record of that. Answers move to the
content table; they had no salt, so nothing can be proven of them.
"""

import hashlib
import json
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa
from alembic import context, op

from pointsman_audit.chain import GENESIS, Head, expressible, link
from pointsman_audit.columns import Columns, Facet, Unreadable, columns_of
from pointsman_audit.errors import LedgerBroken
from pointsman_routes import RecordKind

if TYPE_CHECKING:
    from pointsman_audit.migration import Done

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Written out, not taken from schema.py: a released step must not change when the schema does.
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_APPEND_ONLY = ("records", "facets", "policies")
_PAGE = 1000
_SOURCE = "schema 0001"
"""What a record of something put aside names as its outbox: the old table."""


def upgrade() -> None:
    """Make the new tables, chain what is there, and close them to changes."""
    for name in ("job", "kind", "class", "tier", "time", "batch", "state"):
        op.drop_index(f"records_by_{name}", "records")
    op.execute("ALTER TABLE records RENAME TO records_0001")
    if op.get_bind().dialect.name == "postgresql":
        # The constraint keeps its name otherwise, and the new table wants it.
        op.execute("ALTER INDEX records_pkey RENAME TO records_0001_pkey")
    tables = _Tables(
        _create_records(), _create_facets(), _create_open_jobs(), _create_open_attempts(), _quarantine_table()
    )
    op.create_table(
        "policies",
        sa.Column("digest", sa.Text(), primary_key=True),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("first_seq", sa.BigInteger(), nullable=False),
    )
    head = _chain(tables, context.config.attributes["done"])
    op.drop_table("records_0001")
    # Now: an index is made faster than it is kept, and the answers are looked up by one of them.
    _index_records()
    _create_content()
    _create_head(head)
    for table in _APPEND_ONLY:
        _close(table)


class _Tables(NamedTuple):
    records: sa.Table
    facets: sa.Table
    open_jobs: sa.Table
    open_attempts: sa.Table
    quarantine: sa.TableClause


def _create_records() -> sa.Table:
    return op.create_table(
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


def _index_records() -> None:
    op.create_index("records_by_facet", "records", ["facet_id", "at", "seq"])
    op.create_index("records_by_time", "records", ["at", "seq"])
    for name, columns in (
        ("records_by_job", ["job_id", "seq"]),
        ("records_by_batch", ["batch_id", "facet_id", "at", "seq"]),
        ("records_by_custom_id", ["custom_id", "at", "seq"]),
    ):
        there = sa.text(f"{columns[0]} IS NOT NULL")
        op.create_index(name, "records", columns, sqlite_where=there, postgresql_where=there)


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


def _create_open_jobs() -> sa.Table:
    table = op.create_table(
        "open_jobs",
        sa.Column("job_id", sa.Text(), primary_key=True),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
    )
    op.create_index("open_jobs_by_time", "open_jobs", ["at", "job_id"])
    return table


def _create_open_attempts() -> sa.Table:
    table = op.create_table(
        "open_attempts",
        sa.Column("seq", _SERIAL, primary_key=True, autoincrement=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
    )
    op.create_index("open_attempts_by_call", "open_attempts", ["job_id", "attempt", "fence"], unique=True)
    return table


def _quarantine_table() -> sa.TableClause:
    return sa.table("quarantine", *(sa.column(name) for name in ("source", "entry_id", "at", "reason", "raw")))


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
        " SELECT answers.job_id, coalesce((SELECT facets.task_class FROM records JOIN facets ON facets.id = facet_id"
        " WHERE records.job_id = answers.job_id AND facets.kind = 'final' ORDER BY seq DESC LIMIT 1), '-'),"
        " result, stored_at, expires_at FROM answers"
    )
    op.drop_table("answers")
    op.create_index("content_by_expiry", "content", ["expires_at"])
    somebody = sa.text("subject IS NOT NULL")
    op.create_index("content_by_subject", "content", ["subject"], sqlite_where=somebody, postgresql_where=somebody)


def _chain(tables: _Tables, done: "Done") -> Head:
    """Copy every record into the chain, and see which jobs and calls have no end."""
    connection, head, facets, work = op.get_bind(), Head(0, GENESIS), _Facets(), _OpenWork()
    total = connection.execute(sa.text("SELECT last_seq FROM ledger_head")).scalar_one()
    page = sa.text(
        "SELECT seq, kind, at, job_id, attempt, fence, body FROM records_0001"
        " WHERE seq > :after ORDER BY seq LIMIT :most"
    )
    while found := connection.execute(page, {"after": head.seq, "most": _PAGE}).all():
        rows: list[dict[str, Any]] = []
        aside: list[dict[str, Any]] = []
        for row in found:
            if row.seq != head.seq + 1:
                break
            columns, body = _read(row, aside)
            added = link(head, body)
            head = added.head
            named = columns._asdict()
            del named["facet"]
            text = {"record_hash": added.hash, "body": added.text}
            rows.append({"seq": added.seq, "facet_id": facets.number(columns.facet), **named, **text})
            work.follow(row)
        if head.seq != found[-1].seq:
            break
        connection.execute(sa.insert(tables.records), rows)
        _insert(tables.facets, facets.take_new())
        _insert(tables.quarantine, aside)
        done.records += len(rows)
        done.put_aside.extend(int(entry["entry_id"]) for entry in aside)
        done.progress(done.records, total)
    if head.seq != total or found:
        raise LedgerBroken(
            f"the ledger says that its last record is {total}, and record {head.seq + 1} is missing or was never "
            "written: somebody else has changed it; nothing was migrated, go back to a copy of it that is whole"
        )
    _insert(tables.open_jobs, list(work.jobs.values()))
    _insert(tables.open_attempts, list(work.attempts.values()))
    return head


def _read(row: Any, aside: list[dict[str, Any]]) -> tuple[Columns, dict[str, Any]]:
    """A record as today's ledger takes it, or else a record that it was put aside."""
    try:
        body = json.loads(row.body)
        kind = RecordKind(body["kind"])
        columns = columns_of(kind, body)
        reason = None if expressible(body) else "a number is too large"
    except Unreadable as problem:
        reason = str(problem)
    if reason is None:
        return columns, body
    told = {
        "kind": "quarantined",
        "at": row.at,
        "reason": reason,
        "source": _SOURCE,
        "entry_id": str(row.seq),
        "raw_digest": hashlib.sha256(row.body.encode()).hexdigest(),
        "job_id": row.job_id,
    }
    aside.append({"raw": row.body, **{name: told[name] for name in ("source", "entry_id", "at", "reason")}})
    return columns_of(RecordKind.QUARANTINED, told), told


class _Facets:
    """The facets of the records so far."""

    def __init__(self) -> None:
        self._numbers: dict[Facet, int] = {}
        self._new: list[dict[str, Any]] = []

    def number(self, facet: Facet) -> int:
        """The facet's number; the next one for a new facet."""
        if facet not in self._numbers:
            self._numbers[facet] = len(self._numbers) + 1
            self._new.append({"id": len(self._numbers), "key": facet.key, **facet._asdict()})
        return self._numbers[facet]

    def take_new(self) -> list[dict[str, Any]]:
        """The rows of those that have not been taken yet."""
        new, self._new = self._new, []
        return new


class _OpenWork:
    """Jobs accepted and not ended since, calls begun and not ended. In the order of the records: ends come later."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.attempts: dict[tuple[str, int, int], dict[str, Any]] = {}

    def follow(self, row: Any) -> None:
        """Take the next record, as its old columns tell it: also one that was put aside has happened."""
        call = (row.job_id, row.attempt, row.fence)
        if row.kind == "accepted":
            self.jobs.setdefault(row.job_id, {"job_id": row.job_id, "seq": row.seq, "at": row.at})
        elif row.kind == "final":
            self.jobs.pop(row.job_id, None)
        elif row.kind == "attempt_started" and None not in call:
            begun = {"seq": row.seq, "job_id": row.job_id, "attempt": row.attempt, "fence": row.fence}
            self.attempts.setdefault(call, begun)
        elif row.kind == "attempt_finished":
            self.attempts.pop(call, None)


def _insert(table: sa.TableClause, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        op.get_bind().execute(sa.insert(table), rows)


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
    if op.get_bind().dialect.name == "sqlite":
        _close_in_sqlite(table)
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


_NEW_IN_SQLITE = {
    # Of records the number after the last one, which is found as fast as whether a number is there.
    "records": "NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM records)",
    "facets": "EXISTS (SELECT 1 FROM facets WHERE id = NEW.id OR key = NEW.key)",
    "policies": "EXISTS (SELECT 1 FROM policies WHERE digest = NEW.digest)",
}


def _close_in_sqlite(table: str) -> None:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    for action in ("UPDATE", "DELETE"):
        op.execute(f"CREATE TRIGGER {table}_no_{action.lower()} BEFORE {action} ON {table} {refuse}")
    # INSERT OR REPLACE deletes the row that is there, and no trigger for deletes is asked.
    op.execute(f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN {_NEW_IN_SQLITE[table]} {refuse}")
