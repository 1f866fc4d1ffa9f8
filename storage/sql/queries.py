"""The statements of SqlStore that are longer than a line, on a connection that the caller holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select

from storage.records.measurement import Measurement, Result, Rung
from storage.records.study import Analysis, FrontRow
from storage.rules import no_study_error, result_order
from storage.sql import rows, tables

MOST_NAMED = 1000  # numbers in one statement; databases bound its parameters


def study_row(connection: Connection, name: str, *, lock: bool = False) -> Row[Any]:
    """The row of the study, held against other writers if `lock`. NotFoundError if there is none."""
    table = tables.studies
    # A name that cannot be stored cannot be found either; the drivers would fail on it.
    query = select(table).where(table.c.name == name.encode("utf-8", "replace").decode("utf-8").replace("\0", "?"))
    # SQLite has no row locks and leaves FOR UPDATE out: its transaction holds the whole database.
    row = connection.execute(query.with_for_update() if lock else query).first()
    if row is None:
        known = connection.execute(select(table.c.name).order_by(table.c.id)).scalars().all()
        raise no_study_error(name, known)
    return row


def stored_analysis(connection: Connection, study_id: int) -> Analysis | None:
    """The study's analysis, or None."""
    table = tables.analyses
    row = connection.execute(select(table).where(table.c.study_id == study_id)).first()
    return None if row is None else rows.analysis_from(row)


def count_trials(connection: Connection, study_id: int) -> int:
    """How many trials the study has; their numbers are 1 to this. The last number is found without counting."""
    table = tables.trials
    last = connection.execute(select(func.max(table.c.number)).where(table.c.study_id == study_id)).scalar()
    return int(last or 0)


def recorded_keys(connection: Connection, study_id: int, numbers: Collection[int]) -> set[tuple[int, str]]:
    """(number, rung) of every result of the study's trials called `numbers`."""
    table = tables.results
    these = table.c.study_id == study_id
    if len(numbers) <= MOST_NAMED:
        these &= table.c.number.in_(sorted(numbers))
    found = connection.execute(select(table.c.number, table.c.rung).where(these))
    return {(row.number, row.rung) for row in found}


def insert_results(connection: Connection, study_id: int, results: Sequence[Result]) -> None:
    """Store results that are not there yet, with their measurements."""
    if results:
        connection.execute(insert(tables.results), [rows.result_values(study_id, item) for item in results])
    measurements = [values for item in results for values in rows.measurement_values(study_id, item)]
    if measurements:
        connection.execute(insert(tables.measurements), measurements)


def replace_front(connection: Connection, study_id: int, front: Sequence[FrontRow]) -> None:
    """Store `front` in place of the one that is there."""
    table = tables.front_rows
    connection.execute(delete(table).where(table.c.study_id == study_id))
    if front:
        connection.execute(insert(table), [rows.front_row_values(study_id, row) for row in front])


def stored_results(connection: Connection, study_id: int, rung: Rung | None) -> tuple[Result, ...]:
    """The results at `rung`, or at all rungs, in the order of StudyStore.results."""
    result, measurement = tables.results, tables.measurements
    these = select(result).where(result.c.study_id == study_id)
    those = select(measurement).where(measurement.c.study_id == study_id).order_by(measurement.c.position)
    if rung is not None:
        these = these.where(result.c.rung == rung.value)
        those = those.where(measurement.c.rung == rung.value)
    measured: dict[tuple[int, str], list[Measurement]] = defaultdict(list)
    for row in connection.execute(those):
        measured[row.number, row.rung].append(rows.measurement_from(row))
    found = (rows.result_from(row, measured[row.number, row.rung]) for row in connection.execute(these))
    return tuple(sorted(found, key=result_order))
