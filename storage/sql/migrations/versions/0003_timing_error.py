"""How well a speed-up is known; not told of what was timed before."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """From 0002."""
    with op.batch_alter_table("timings") as batch:
        batch.add_column(sa.Column("speedup_error", sa.Double))
