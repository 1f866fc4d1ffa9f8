"""Studies from one database to another: the rows as they are, under new keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Table, insert, select

from storage.errors import StudyExistsError
from storage.sql import tables
from storage.sql.store import SqlStore

ROWS = 1000  # of one statement
MOST_NAMED = 5


def copy_studies(source: SqlStore, target: SqlStore) -> tuple[str, ...]:
    """Copies every study of `source`, the oldest first, and returns their names.

    All of them or none; readers and writers of `source` are not disturbed, and what is copied is one moment of it.
    StudyExistsError if `target` has a study of one of the names.
    """
    with source.database.reading() as reading, target.database.writing() as writing:
        found = reading.execute(select(tables.studies).order_by(tables.studies.c.id)).all()
        _check_new([row.name for row in found], writing)
        keys = {row.id: _copy_study(row, writing) for row in found}
        for table in tables.metadata.sorted_tables:
            if table is not tables.studies:
                _copy_rows(table, keys, reading, writing)
    return tuple(row.name for row in found)


def _check_new(names: Sequence[str], writing: Connection) -> None:
    known = set(writing.execute(select(tables.studies.c.name)).scalars())
    taken = [name for name in names if name in known]
    if taken:
        more = f" and {len(taken) - MOST_NAMED} more" if len(taken) > MOST_NAMED else ""
        raise StudyExistsError(
            f"both databases have studies called {', '.join(taken[:MOST_NAMED])}{more}: delete them in one of the two, "
            "or copy into an empty database"
        )


def _copy_study(row: Row[Any], writing: Connection) -> int:
    """The key of the copy."""
    values = {name: value for name, value in row._mapping.items() if name != "id"}
    done = writing.execute(insert(tables.studies), values)
    assert done.inserted_primary_key is not None
    return int(done.inserted_primary_key[0])


def _copy_rows(table: Table, keys: Mapping[int, int], reading: Connection, writing: Connection) -> None:
    found = reading.execute(select(table).order_by(*table.primary_key.columns)).mappings()
    for part in found.partitions(ROWS):
        writing.execute(insert(table), [{**row, "study_id": keys[row["study_id"]]} for row in part])
