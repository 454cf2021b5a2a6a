"""Runs the migrations over the connection it is handed, inside that connection's transaction."""

from alembic import context

# Alembic loads this file by its path, not as part of the package: what it needs is handed over.
handed = context.config.attributes

context.configure(
    connection=handed["connection"],
    target_metadata=handed["metadata"],
    version_table=handed["version_table"],
    # SQLite can roll back a CREATE TABLE; Alembic assumes it cannot.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
