"""The ledger's tables. What stands in a database is made by the migrations; a test holds the two together.

Moments are BIGINT microseconds since the epoch. Records, facets and policies are only ever added: triggers refuse
anything else. What else is here is made from the records, or lives for a time.
"""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, Integer, MetaData, Table, Text

VERSION_TABLE = "ledger_version"
"""Where Alembic keeps the schema's version. Not its default name: the database may be shared."""
APPEND_ONLY = ("records", "facets", "policies")
"""Tables whose rows nobody may change or remove."""

metadata = MetaData()

Serial = BigInteger().with_variant(Integer(), "sqlite")
"""On SQLite, INTEGER as a primary key is the row's own number, so a page of rows is read in place."""

records = Table(
    "records",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=False),
    Column("facet_id", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("job_id", Text),
    Column("batch_id", Text),
    Column("custom_id", Text),
    Column("input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("cost_microusd", BigInteger),
    Column("duration_us", BigInteger),
    Column("record_hash", Text, nullable=False),
    Column("body", Text, nullable=False),
    Index("records_by_facet", "facet_id", "at", "seq"),
    Index("records_by_time", "at", "seq"),
)
"""Every audit record, numbered from 1 without a gap. What it says is in `body`, canonical JSON; `record_hash` is the
SHA-256 of that; the other columns are made from it, for finding and adding up."""

for _name, _columns in (
    ("records_by_job", ("job_id", "seq")),
    ("records_by_batch", ("batch_id", "facet_id", "at", "seq")),
    ("records_by_custom_id", ("custom_id", "at", "seq")),
):
    # Not every record has one; an entry for those without would cost every insertion.
    _there = records.c[_columns[0]].is_not(None)
    Index(_name, *(records.c[column] for column in _columns), sqlite_where=_there, postgresql_where=_there)

facets = Table(
    "facets",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("key", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("task_class", Text),
    Column("tier", Text),
    Column("provider", Text),
    Column("owner", Text),
    Column("model", Text),
    Column("region", Text),
    Column("state", Text),
    Column("outcome", Text),
    Column("reason", Text),
    Column("error_code", Text),
    Column("usage_source", Text),
    Column("fallback", Boolean, nullable=False),
    Column("downgraded", Boolean, nullable=False),
    Column("mismatch", Boolean, nullable=False),
)
"""Every combination of words that records are found by; see `columns.Facet`."""

policies = Table(
    "policies",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("policy", Text, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
)
"""Every configuration that was in force, once; its SHA-256 is its key."""

ledger_head = Table(
    "ledger_head",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="ledger_head_is_one_row"), primary_key=True),
    Column("ledger_id", Text, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("last_hash", Text, nullable=False),
)
"""One row: which ledger this is, and where its chain ends."""

outbox_cursor = Table(
    "outbox_cursor",
    metadata,
    Column("source", Text, primary_key=True),
    Column("entry_id", Text, nullable=False),
)
"""How far each outbox has been recorded; moves in the transaction that appends."""

open_jobs = Table(
    "open_jobs",
    metadata,
    Column("job_id", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("open_jobs_by_time", "at", "job_id"),
)
"""Jobs with an accepted record and no final one since; `seq` and `at` of the accepted record."""

open_attempts = Table(
    "open_attempts",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=False),
    Column("job_id", Text, nullable=False),
    Column("attempt", BigInteger, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Index("open_attempts_by_call", "job_id", "attempt", "fence", unique=True),
)
"""Calls that have begun and not ended; `seq` of the record of the beginning."""

content = Table(
    "content",
    metadata,
    Column("job_id", Text, primary_key=True),
    Column("task_class", Text, nullable=False),
    Column("subject", Text),
    Column("salt", Text),
    Column("job", Text),
    Column("answer", Text),
    Column("stored_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index("content_by_expiry", "expires_at"),
)
"""What was asked and answered, for a time: the job's line, the result's line, the salt of their digests. The only
place with either."""

_about_somebody = content.c.subject.is_not(None)
Index("content_by_subject", content.c.subject, sqlite_where=_about_somebody, postgresql_where=_about_somebody)

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
