"""The first ledger: records, answers, cursor and quarantine."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Written out, not taken from schema.py: a released step must not change when the schema does.
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make every table; the head starts at 0, so the first record is number 1."""
    _create_records()
    _create_answers()
    op.create_table(
        "outbox_cursor",
        sa.Column("source", sa.Text(), primary_key=True),
        sa.Column("entry_id", sa.Text(), nullable=False),
    )
    op.create_table(
        "quarantine",
        sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("raw", sa.Text(), nullable=False),
    )
    head = op.create_table(
        "ledger_head",
        sa.Column("id", sa.Integer(), sa.CheckConstraint("id = 1", name="ledger_head_is_one_row"), primary_key=True),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
    )
    op.bulk_insert(head, [{"id": 1, "last_seq": 0}])


def _create_records() -> None:
    op.create_table(
        "records",
        sa.Column("seq", _SERIAL, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("job_id", sa.Text()),
        sa.Column("batch_id", sa.Text()),
        sa.Column("custom_id", sa.Text()),
        sa.Column("task_class", sa.Text()),
        sa.Column("tier", sa.Text()),
        sa.Column("model", sa.Text()),
        sa.Column("state", sa.Text()),
        sa.Column("outcome", sa.Text()),
        sa.Column("attempt", sa.BigInteger()),
        sa.Column("fence", sa.BigInteger()),
        sa.Column("fallback", sa.Boolean(), nullable=False),
        sa.Column("downgraded", sa.Boolean(), nullable=False),
        sa.Column("mismatch", sa.Boolean(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_index("records_by_job", "records", ["job_id", "seq"])
    op.create_index("records_by_kind", "records", ["kind", "seq"])
    op.create_index("records_by_class", "records", ["kind", "task_class", "seq"])
    op.create_index("records_by_tier", "records", ["kind", "tier", "seq"])
    op.create_index("records_by_time", "records", ["kind", "at"])
    for name, column in (("records_by_batch", "batch_id"), ("records_by_state", "state")):
        there = sa.text(f"{column} IS NOT NULL")
        op.create_index(name, "records", [column, "seq"], sqlite_where=there, postgresql_where=there)


def _create_answers() -> None:
    op.create_table(
        "answers",
        sa.Column("job_id", sa.Text(), primary_key=True),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("stored_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
    )
    op.create_index("answers_by_expiry", "answers", ["expires_at"])
