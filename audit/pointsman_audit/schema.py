"""The ledger's tables. What stands in a database is made by the migrations; a test holds the two together.

Moments are BIGINT microseconds since the epoch. The columns of `records` beside `body` are there for finding;
what a record says is in its `body`.
"""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, Integer, MetaData, Table, Text

VERSION_TABLE = "ledger_version"
"""Where Alembic keeps the schema's version. Not its default name: the database may be shared."""

metadata = MetaData()

Serial = BigInteger().with_variant(Integer(), "sqlite")
"""On SQLite, INTEGER as a primary key is the row's own number, so a page of rows is read in place."""

records = Table(
    "records",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("job_id", Text),
    Column("batch_id", Text),
    Column("custom_id", Text),
    Column("task_class", Text),
    Column("tier", Text),
    Column("model", Text),
    Column("state", Text),
    Column("outcome", Text),
    Column("attempt", BigInteger),
    Column("fence", BigInteger),
    Column("fallback", Boolean, nullable=False),
    Column("downgraded", Boolean, nullable=False),
    Column("mismatch", Boolean, nullable=False),
    Column("body", Text, nullable=False),
    Index("records_by_job", "job_id", "seq"),
    Index("records_by_kind", "kind", "seq"),
    Index("records_by_class", "kind", "task_class", "seq"),
    Index("records_by_tier", "kind", "tier", "seq"),
    Index("records_by_time", "kind", "at"),
)
"""Every audit record, numbered from 1 without a gap."""

for _name, _column in (("records_by_batch", "batch_id"), ("records_by_state", "state")):
    # Most records have neither; an entry for each would cost every insertion.
    _there = records.c[_column].is_not(None)
    Index(_name, records.c[_column], records.c.seq, sqlite_where=_there, postgresql_where=_there)

ledger_head = Table(
    "ledger_head",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="ledger_head_is_one_row"), primary_key=True),
    Column("last_seq", BigInteger, nullable=False),
)
"""One row: the number of the last record. Whoever appends holds its lock."""

outbox_cursor = Table(
    "outbox_cursor",
    metadata,
    Column("source", Text, primary_key=True),
    Column("entry_id", Text, nullable=False),
)
"""How far each outbox has been recorded; moves in the transaction that appends."""

answers = Table(
    "answers",
    metadata,
    Column("job_id", Text, primary_key=True),
    Column("result", Text, nullable=False),
    Column("stored_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index("answers_by_expiry", "expires_at"),
)
"""The result lines of succeeded jobs, for a time. The only place with what a model said."""

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("source", Text, nullable=False),
    Column("entry_id", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("raw", Text, nullable=False),
)
"""Entries of the outbox that are no records."""
