"""Studies from one database to another: the rows as they are, under new keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, RowMapping, insert, select
from sqlalchemy.exc import IntegrityError

from storage.errors import StudyExistsError
from storage.records.look import Look
from storage.records.study import StudyState
from storage.sql import tables
from storage.sql.ledger import hold_ledger, stored_looks
from storage.sql.rows import look_values
from storage.sql.store import SqlStore

ROWS = 1000  # of one statement
MOST_NAMED = 5


def copy_studies(source: SqlStore, target: SqlStore, also: Callable[[str], None] = lambda _: None) -> tuple[str, ...]:
    """Copies every study of `source`, the oldest first, with all looks at test splits, and returns the studies' names.

    All of them or none; readers and writers of `source` are not disturbed, and what is copied is one moment of it, held
    in memory. `also` is called with each name before the rows are there for others. StudyExistsError if `target` has a
    study of one of the names.
    """
    others = [table for table in tables.metadata.sorted_tables if "study_id" in table.c]
    with source.database.reading() as reading:
        studies = reading.execute(select(tables.studies).order_by(tables.studies.c.id)).all()
        rows = {
            table: reading.execute(select(table).order_by(*table.primary_key.columns)).mappings().all()
            for table in others
        }
        looks = stored_looks(reading)
    names = tuple(row.name for row in studies)
    try:
        with target.database.writing() as writing:
            _check_new(names, set(writing.execute(select(tables.studies.c.name)).scalars()))
            keys = {row.id: _copy_study(row, writing) for row in studies}
            for table in others:
                for part in _parts(rows[table]):
                    writing.execute(insert(table), [{**row, "study_id": keys[row["study_id"]]} for row in part])
            for name in names:
                also(name)
                writing.execute(select(1))  # a server ends a transaction that is idle for a minute
            _copy_looks(looks, writing)  # at last: until the end nobody looks at a test split of the target
    except IntegrityError as error:  # somebody has made one of them meanwhile
        raise _exists(names) from error
    return names


def _check_new(names: Sequence[str], known: set[str]) -> None:
    if taken := [name for name in names if name in known]:
        raise _exists(taken)


def _exists(names: Sequence[str]) -> StudyExistsError:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return StudyExistsError(
        f"the target has studies of the same names already ({', '.join(names[:MOST_NAMED])}{more}): copy into an empty "
        "database, or delete them there"
    )


def _copy_study(row: Row[Any], writing: Connection) -> int:
    """The key of the copy."""
    values = {name: value for name, value in row._mapping.items() if name != "id"}
    values |= {"owner": None, "lease_until": None}  # whoever runs it writes the other one
    if row.owner is not None:
        values["state"] = StudyState.INTERRUPTED.value  # and no worker is to begin with this one
    done = writing.execute(insert(tables.studies), values)
    assert done.inserted_primary_key is not None
    return int(done.inserted_primary_key[0])


def _copy_looks(looks: Sequence[Look], writing: Connection) -> None:
    """Those that the target has not: databases that were copied before share some."""
    hold_ledger(writing)
    known = set(stored_looks(writing))
    if new := [look_values(look) for look in looks if look not in known]:
        writing.execute(insert(tables.looks), new)


def _parts(rows: Sequence[RowMapping]) -> Iterable[Sequence[RowMapping]]:
    return (rows[start : start + ROWS] for start in range(0, len(rows), ROWS))
