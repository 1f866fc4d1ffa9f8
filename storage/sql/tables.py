"""The schema as it is now. A change here needs a migration beside it and a new HEAD; a test compares the two.

Times are seconds since the epoch, UTC, in every database. Keys are natural except for a study's, whose name
may change, and a look's.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

HEAD = "0005"  # the newest migration's revision
VERSION_TABLE = "slimfront_version"  # not Alembic's default: other programs' databases have that too

# Batch migrations drop constraints by name, so every one needs one.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _study_id() -> Column[int]:
    return Column("study_id", Integer, ForeignKey("studies.id", ondelete="CASCADE"), primary_key=True)


studies = Table(
    "studies",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("config_json", Text, nullable=False),
    Column("state", String, nullable=False),
    Column("stage", String, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("error", Text),
    Column("owner", Text),  # of the lease, as is what follows
    Column("lease_until", Double),
    Column("progress", Text, nullable=False, server_default=""),
    Column("queued_at", Double),  # NULL: not in the queue
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("runs_code", Boolean, nullable=False, server_default=false()),
    Column("workload", String),
    Column("content", String),
    Column("idempotency_key", String, unique=True),
)

identity = Table(
    "identity",
    metadata,
    Column("token", String, primary_key=True),  # random, of the one row: which database this is, by whatever URL
)

analyses = Table(
    "analyses",
    metadata,
    _study_id(),
    Column("space_json", Text, nullable=False),
    Column("library", String, nullable=False),
    Column("dense_json", Text, nullable=False),
    Column("hardware", Text, nullable=False),
    Column("workload", String, nullable=False),
    Column("latency_json", Text),
)

trials = Table(
    "trials",
    metadata,
    _study_id(),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("levels", Text, nullable=False),  # compact JSON, such as [0,3,2]
    Column("weights", String, nullable=False),
    Column("origin", String, nullable=False),
    Column("baseline", String),
    Column("error", Text),
    Column("parent", Integer),  # number of the trial whose weights it was trained further from
)

results = Table(
    "results",
    metadata,
    Column("study_id", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("rung", String, primary_key=True),
    Column("per_image", LargeBinary),
    Column("artifact", String),
    Column("seconds", Double, nullable=False),
    ForeignKeyConstraint(["study_id", "number"], ["trials.study_id", "trials.number"], ondelete="CASCADE"),
)

measurements = Table(
    "measurements",
    metadata,
    Column("study_id", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("rung", String, primary_key=True),
    Column("objective", String, primary_key=True),
    Column("position", Integer, nullable=False),  # place among the result's measurements
    Column("value", Double, nullable=False),
    Column("unit", String, nullable=False),
    Column("direction", String, nullable=False),
    Column("samples", Integer, nullable=False),
    Column("low", Double),
    Column("high", Double),
    ForeignKeyConstraint(
        ["study_id", "number", "rung"],
        ["results.study_id", "results.number", "results.rung"],
        ondelete="CASCADE",
    ),
)

front_rows = Table(
    "front_rows",
    metadata,
    Column("study_id", Integer, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, nullable=False),
    Column("rung", String, nullable=False),
    UniqueConstraint("study_id", "number"),
    ForeignKeyConstraint(
        ["study_id", "number", "rung"],
        ["results.study_id", "results.number", "results.rung"],
        ondelete="CASCADE",
    ),
)

timings = Table(
    "timings",
    metadata,
    _study_id(),
    Column("session", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("runtime", String, nullable=False),
    Column("hardware", Text, nullable=False),
    Column("threads", Integer, nullable=False),
    Column("batch", Integer, nullable=False),
    Column("latency_ms", Double, nullable=False),
    Column("speedup", Double, nullable=False),
    Column("speedup_low", Double, nullable=False),
    Column("speedup_high", Double, nullable=False),
    Column("speedup_error", Double),
    ForeignKeyConstraint(["study_id", "number"], ["trials.study_id", "trials.number"], ondelete="CASCADE"),
)

events = Table(
    "events",
    metadata,
    _study_id(),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("time", Double, nullable=False),
    Column("kind", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("data", Text, nullable=False, server_default="{}"),  # a JSON object
)

looks = Table(
    "looks",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("split", String, nullable=False),
    Column("study", String, nullable=False),  # no key of studies: the look stays when the study goes
    Column("created_at", Double, nullable=False),  # of the study
    Column("time", Double, nullable=False),
    Column("images", Integer, nullable=False),
    Column("again", Boolean, nullable=False),
)
