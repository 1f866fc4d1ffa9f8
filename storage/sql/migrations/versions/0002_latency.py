"""The latency table of a study, and timings of its front on any machine."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """From 0001."""
    with op.batch_alter_table("analyses") as batch:
        batch.add_column(sa.Column("latency_json", sa.Text))
    op.create_table(
        "timings",
        sa.Column("study_id", sa.Integer, nullable=False),
        sa.Column("session", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("runtime", sa.String, nullable=False),
        sa.Column("hardware", sa.Text, nullable=False),
        sa.Column("threads", sa.Integer, nullable=False),
        sa.Column("batch", sa.Integer, nullable=False),
        sa.Column("latency_ms", sa.Double, nullable=False),
        sa.Column("speedup", sa.Double, nullable=False),
        sa.Column("speedup_low", sa.Double, nullable=False),
        sa.Column("speedup_high", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("study_id", "session", "number", name="pk_timings"),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_timings_studies", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["study_id", "number"],
            ["trials.study_id", "trials.number"],
            name="fk_timings_trials",
            ondelete="CASCADE",
        ),
    )
