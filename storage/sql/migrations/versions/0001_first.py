"""Studies, analyses, trials, results, measurements, the front and events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """From nothing."""
    op.create_table(
        "studies",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("config_json", sa.Text, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("stage", sa.String, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.Column("error", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_studies"),
        sa.UniqueConstraint("name", name="uq_studies_name"),
    )
    op.create_table(
        "analyses",
        sa.Column("study_id", sa.Integer, nullable=False),
        sa.Column("space_json", sa.Text, nullable=False),
        sa.Column("library", sa.String, nullable=False),
        sa.Column("dense_json", sa.Text, nullable=False),
        sa.Column("hardware", sa.Text, nullable=False),
        sa.Column("workload", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("study_id", name="pk_analyses"),
        _to_study("analyses"),
    )
    op.create_table(
        "trials",
        sa.Column("study_id", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("levels", sa.Text, nullable=False),
        sa.Column("weights", sa.String, nullable=False),
        sa.Column("origin", sa.String, nullable=False),
        sa.Column("baseline", sa.String),
        sa.Column("error", sa.Text),
        sa.PrimaryKeyConstraint("study_id", "number", name="pk_trials"),
        _to_study("trials"),
    )
    op.create_table(
        "results",
        sa.Column("study_id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("rung", sa.String, nullable=False),
        sa.Column("per_image", sa.LargeBinary),
        sa.Column("artifact", sa.String),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("study_id", "number", "rung", name="pk_results"),
        sa.ForeignKeyConstraint(
            ["study_id", "number"],
            ["trials.study_id", "trials.number"],
            name="fk_results_trials",
            ondelete="CASCADE",
        ),
    )
    op.create_table(
        "measurements",
        sa.Column("study_id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("rung", sa.String, nullable=False),
        sa.Column("objective", sa.String, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("value", sa.Double, nullable=False),
        sa.Column("unit", sa.String, nullable=False),
        sa.Column("direction", sa.String, nullable=False),
        sa.Column("samples", sa.Integer, nullable=False),
        sa.Column("low", sa.Double),
        sa.Column("high", sa.Double),
        sa.PrimaryKeyConstraint("study_id", "number", "rung", "objective", name="pk_measurements"),
        _to_result("measurements"),
    )
    op.create_table(
        "front_rows",
        sa.Column("study_id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("rung", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("study_id", "position", name="pk_front_rows"),
        sa.UniqueConstraint("study_id", "number", name="uq_front_rows_study_id_number"),
        _to_result("front_rows"),
    )
    op.create_table(
        "events",
        sa.Column("study_id", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("time", sa.Double, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("study_id", "number", name="pk_events"),
        _to_study("events"),
    )


def _to_study(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=f"fk_{table}_studies", ondelete="CASCADE")


def _to_result(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["study_id", "number", "rung"],
        ["results.study_id", "results.number", "results.rung"],
        name=f"fk_{table}_results",
        ondelete="CASCADE",
    )
