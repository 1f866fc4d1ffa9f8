"""Runs the migrations on the connection it is handed, inside the transaction that the caller has begun."""

from __future__ import annotations

from alembic import context

from storage.sql.tables import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,  # SQLite cannot alter a table in place
)
with context.begin_transaction():
    context.run_migrations()
