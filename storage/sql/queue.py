"""Who runs what: the queue and the leases in SQL."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Row, Select, false, select, update

from storage.leases import cancelled, check_free, claimed, deaths, is_holder, is_next, requeued, taken_over
from storage.records.lease import Lease
from storage.records.study import Event, Study, StudyState
from storage.sql import rows, tables
from storage.sql.base import SqlBase


class SqlQueue(SqlBase):
    """The part of a StudyStore that StudyQueue describes."""

    def claim(self, name: str, owner: str, seconds: float) -> Lease:
        """See StudyQueue."""
        with self._changing(name) as (connection, row):
            study, now = rows.study_from(row), self._now(connection)
            if is_holder(study, owner):
                return _lease(study, owner, seconds)
            check_free(study, now)
            new, notes = claimed(study, owner, seconds, now)
            return _lease(self._replace(connection, row, new, notes), owner, seconds)

    def claim_next(self, owner: str, seconds: float, trusts_code: bool, without: Collection[str] = ()) -> Lease | None:
        """See StudyQueue."""
        before = self._of_owner(owner)
        if before is not None:
            return _lease(before, owner, seconds)
        while True:
            # A look that waits for nobody: those who have nothing to do must not hold up those who write.
            with self.database.reading() as connection:
                if connection.execute(_waiting(self._now(connection), trusts_code, without)).first() is None:
                    return None
            with self.database.writing() as connection:
                query = _waiting(self._now(connection), trusts_code, without)
                row = connection.execute(query.with_for_update(skip_locked=True)).first()
                if row is None:  # the others were faster
                    return None
                study, now = rows.study_from(row), self._now(connection)
                if not is_next(study, now, trusts_code):
                    continue
                new, notes = taken_over(study, deaths(_events(connection, row)), owner, seconds, now)
                self._replace(connection, row, new, notes)
            if new.state is StudyState.RUNNING:
                return _lease(new, owner, seconds)

    def renew(self, lease: Lease, progress: str) -> StudyState:
        """See StudyQueue."""
        with self.under(lease)._changing(lease.study) as (connection, row):
            table, until = tables.studies, self._now(connection) + lease.seconds
            values = {"lease_until": until, "progress": progress}
            connection.execute(update(table).where(table.c.id == row.id).values(values))
            return StudyState(row.state)

    def _of_owner(self, owner: str) -> Study | None:
        table = tables.studies
        with self.database.reading() as connection:
            row = connection.execute(select(table).where(table.c.owner == owner)).first()
        study = None if row is None else rows.study_from(row)
        return study if study is not None and is_holder(study, owner) else None

    def requeue(self, name: str) -> Study:
        """See StudyQueue."""
        with self._changing(name) as (connection, row):
            new, notes = requeued(rows.study_from(row), self._now(connection))
            return self._replace(connection, row, new, notes)

    def identity(self) -> str:
        """See StudyQueue."""
        with self.database.reading() as connection:
            return str(connection.execute(select(tables.identity.c.token)).scalar_one())

    def check_writable(self) -> None:
        """See StudyQueue."""
        with self.database.writing() as connection:
            connection.execute(update(tables.studies).where(false()).values(priority=0))

    def cancel(self, name: str) -> Study:
        """See StudyQueue."""
        with self._changing(name) as (connection, row):
            new, notes = cancelled(rows.study_from(row), self._now(connection))
            return self._replace(connection, row, new, notes)


def _lease(study: Study, owner: str, seconds: float) -> Lease:
    return Lease(study.name, owner, study.attempt, seconds)


def _waiting(now: float, trusts_code: bool, without: Collection[str]) -> Select[Any]:
    """The study that `storage.leases.is_next` is true of and whose turn it is."""
    table = tables.studies
    owned = table.c.state.in_([StudyState.RUNNING.value, StudyState.CANCELLING.value])
    free = table.c.lease_until.is_(None) | (table.c.lease_until <= now)
    found = select(table).where(
        table.c.queued_at.is_not(None), (table.c.state == StudyState.QUEUED.value) | (owned & free)
    )
    if not trusts_code:
        found = found.where(table.c.runs_code.is_(False))
    if without:
        found = found.where(table.c.name.not_in(sorted(without)))
    return found.order_by(table.c.priority.desc(), table.c.queued_at, table.c.id).limit(1)


def _events(connection: Connection, row: Row[Any]) -> list[Event]:
    table = tables.events
    found = connection.execute(select(table).where(table.c.study_id == row.id).order_by(table.c.number))
    return [rows.event_from(item) for item in found]
