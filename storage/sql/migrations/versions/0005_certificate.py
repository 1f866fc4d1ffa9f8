"""Which trial's weights were trained further, and who has looked at which test split."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """From 0004."""
    with op.batch_alter_table("trials") as batch:
        batch.add_column(sa.Column("parent", sa.Integer))
    op.create_table(
        "looks",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("split", sa.String, nullable=False),
        sa.Column("study", sa.String, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("time", sa.Double, nullable=False),
        sa.Column("images", sa.Integer, nullable=False),
        sa.Column("again", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_looks"),
    )
