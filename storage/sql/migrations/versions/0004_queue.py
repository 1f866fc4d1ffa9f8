"""The queue, leases, what events say to programs, and which database this is."""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None
TOKEN_BYTES = 16


def upgrade() -> None:
    """From 0003."""
    with op.batch_alter_table("studies") as batch:
        batch.add_column(sa.Column("owner", sa.Text))
        batch.add_column(sa.Column("lease_until", sa.Double))
        batch.add_column(sa.Column("progress", sa.Text, nullable=False, server_default=""))
        batch.add_column(sa.Column("queued_at", sa.Double))
        batch.add_column(sa.Column("priority", sa.Integer, nullable=False, server_default="0"))
        batch.add_column(sa.Column("runs_code", sa.Boolean, nullable=False, server_default=sa.false()))
        batch.add_column(sa.Column("workload", sa.String))
        batch.add_column(sa.Column("content", sa.String))
        batch.add_column(sa.Column("idempotency_key", sa.String))
        batch.create_unique_constraint("uq_studies_idempotency_key", ["idempotency_key"])
    with op.batch_alter_table("events") as batch:
        batch.add_column(sa.Column("data", sa.Text, nullable=False, server_default="{}"))
    op.create_table("identity", sa.Column("token", sa.String), sa.PrimaryKeyConstraint("token", name="pk_identity"))
    op.bulk_insert(sa.table("identity", sa.column("token", sa.String)), [{"token": secrets.token_hex(TOKEN_BYTES)}])
