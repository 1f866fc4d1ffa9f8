"""What all parts of the SQL store stand on: a database, its clock, and a transaction that holds a study's row."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from typing import Any, Protocol, Self

from sqlalchemy import Connection, Row, func, insert, select, update

from storage.errors import StoreLockedError
from storage.leases import check_lease
from storage.notes import Note
from storage.records.lease import Lease
from storage.records.study import Event, Study
from storage.sql import rows, tables
from storage.sql.queries import study_row


class Database(Protocol):
    """What the store needs of an engine; errors are Slimfront's already."""

    def reading(self) -> AbstractContextManager[Connection]:
        """A connection that sees one moment of the database."""
        ...

    def writing(self) -> AbstractContextManager[Connection]:
        """A connection in a transaction that is durable when the block ends well."""
        ...

    def now(self, connection: Connection) -> float:
        """Seconds since the epoch, UTC, by the one clock that all who use the database share."""
        ...

    def close(self) -> None:
        """Close every connection."""
        ...


class SqlBase:
    """A database at the current revision.

    A write first locks the study's row, so that writers of one study follow each other on every database and
    looking before inserting is safe.
    """

    def __init__(self, database: Database, clock: Callable[[], float] | None = None) -> None:
        """`clock` returns seconds since the epoch, UTC, in place of the database's own."""
        self.database = database
        self._clock = clock
        self._lease: Lease | None = None

    def under(self, lease: Lease) -> Self:
        """See StudyQueue."""
        view = copy.copy(self)
        view._lease = lease
        return view

    def now(self) -> float:
        """See StudyQueue."""
        if self._clock is not None:
            return self._clock()
        with self.database.reading() as connection:
            return self.database.now(connection)

    def close(self) -> None:
        """See StudyStore."""
        self.database.close()

    def _now(self, connection: Connection) -> float:
        return self.database.now(connection) if self._clock is None else self._clock()

    @contextmanager
    def _changing(self, name: str) -> Iterator[tuple[Connection, Row[Any]]]:
        """A transaction that holds the study's row, and that row. LeaseLostError if our lease, where we have one, is
        another's."""
        with self.database.writing() as connection:
            row = study_row(connection, name, lock=True)
            if self._lease is not None and self._lease.study == name:
                check_lease(rows.study_from(row), self._lease)
            yield connection, row

    def _replace(self, connection: Connection, row: Row[Any], new: Study, notes: tuple[Note, ...]) -> Study:
        """Writes a study in place of the one in its row, and the events of it."""
        table = tables.studies
        guard = (table.c.id == row.id) & (table.c.state == row.state) & (table.c.attempt == row.attempt)
        done = connection.execute(update(table).where(guard), rows.study_values(new))
        if done.rowcount != 1:  # cannot happen while the lock on the row holds; never lose it silently
            raise StoreLockedError(f"study {row.name} was changed by another process: try again")
        self._note(connection, row.id, *notes)
        return new

    def _note(self, connection: Connection, study_id: int, *notes: Note) -> tuple[Event, ...]:
        if not notes:
            return ()
        table = tables.events
        last = connection.execute(select(func.max(table.c.number)).where(table.c.study_id == study_id)).scalar()
        now = self._now(connection)
        made = tuple(
            Event(number, now, note.kind, note.text, note.data)
            for number, note in enumerate(notes, start=(last or 0) + 1)
        )
        connection.execute(insert(table), [{"study_id": study_id, **asdict(event)} for event in made])
        return made
