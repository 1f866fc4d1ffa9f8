"""Who has looked at which test split, in SQL."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from storage.looks import looked
from storage.records.look import Look
from storage.records.measurement import Rung
from storage.sql import rows, tables
from storage.sql.base import SqlBase


class SqlLedger(SqlBase):
    """The part of a StudyStore that notes looks at test splits."""

    def looks(self, split: str) -> tuple[Look, ...]:
        """See StudyStore."""
        with self.database.reading() as connection:
            return stored_looks(connection, split)

    def look(self, name: str, split: str, images: int, again: bool = False) -> Look:
        """See StudyStore."""
        with self._changing(name) as (connection, row):
            hold_ledger(connection)
            before, now = stored_looks(connection, split), self._now(connection)
            made, notes = looked(rows.study_from(row), before, split, images, again, now)
            if notes:
                connection.execute(insert(tables.looks), rows.look_values(made))
                results = tables.results
                these = (results.c.study_id == row.id) & (results.c.rung == Rung.TESTED.value)
                connection.execute(delete(results).where(these))
                self._note(connection, row.id, *notes)
            return made


def hold_ledger(connection: Connection) -> None:
    """Until the transaction ends nobody else looks at a test split.

    The lock on a study's row does not hold up another study, which must not find the same split unused. The one row of
    `identity` is always there, and nobody changes it.
    """
    connection.execute(select(tables.identity.c.token).with_for_update()).all()


def stored_looks(connection: Connection, split: str | None = None) -> tuple[Look, ...]:
    """The looks at a test split, or at all, oldest first."""
    table = tables.looks
    # By time first: those that were copied from another database have later keys.
    query = select(table).order_by(table.c.time, table.c.id)
    found = connection.execute(query if split is None else query.where(table.c.split == split))
    return tuple(map(rows.look_from, found))
