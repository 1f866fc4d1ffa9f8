"""The store of studies in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from types import EllipsisType

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from storage.errors import FixInputError
from storage.leases import check_free, extended, same_submission
from storage.notes import (
    Note,
    analysis_note,
    created_note,
    failed_note,
    one_line,
    results_note,
    timing_note,
    trials_note,
)
from storage.records.candidate import Proposal, Trial
from storage.records.lease import Submission
from storage.records.measurement import Result, Rung
from storage.records.study import Analysis, Event, FrontRow, Study, StudyState
from storage.records.timing import Timing
from storage.rules import (
    analysis_conflict,
    changed_study,
    check_new_name,
    checked_front,
    checked_result,
    checked_timing,
    exists_error,
    new_study,
    no_trial_error,
    numbered,
    timed_study,
    unstored_trials,
)
from storage.sql import rows, tables
from storage.sql.engine import SqliteDatabase, path_of
from storage.sql.ledger import SqlLedger
from storage.sql.queries import (
    count_trials,
    insert_results,
    recorded_keys,
    replace_front,
    stored_analysis,
    stored_results,
    study_row,
)
from storage.sql.queue import SqlQueue


class SqlStore(SqlLedger, SqlQueue):
    """StudyStore over a database at the current revision."""

    def create_study(self, name: str, config_json: str, submission: Submission | None = None) -> Study:
        """See StudyStore."""
        check_new_name(name)
        try:
            with self.database.writing() as connection:
                before = self._of_key(connection, name, submission)
                if before is not None:
                    return before
                study = new_study(name, config_json, submission, self._now(connection))
                connection.execute(insert(tables.studies), rows.study_values(study))
                self._note(connection, study_row(connection, name).id, created_note())
        except IntegrityError as error:  # of its name, or somebody has just used the key
            with self.database.reading() as connection:
                before = self._of_key(connection, name, submission)
            if before is not None:
                return before
            raise exists_error(name) from error
        return study

    def _of_key(self, connection: Connection, name: str, submission: Submission | None) -> Study | None:
        if submission is None or submission.key is None:
            return None
        table = tables.studies
        row = connection.execute(select(table).where(table.c.idempotency_key == submission.key)).first()
        return None if row is None else same_submission(rows.study_from(row), name, submission)

    def study(self, name: str) -> Study:
        """See StudyStore."""
        with self.database.reading() as connection:
            return rows.study_from(study_row(connection, name))

    def studies(self) -> tuple[Study, ...]:
        """See StudyStore."""
        with self.database.reading() as connection:
            found = connection.execute(select(tables.studies).order_by(tables.studies.c.id))
            return tuple(map(rows.study_from, found))

    def delete_study(self, name: str) -> None:
        """See StudyStore."""
        with self._changing(name) as (connection, row):
            check_free(rows.study_from(row), self._now(connection))
            connection.execute(delete(tables.studies).where(tables.studies.c.id == row.id))

    def extend_study(self, name: str, old_json: str, config_json: str, text: str, data: str) -> Study:
        """See StudyStore."""
        with self._changing(name) as (connection, row):
            new, notes = extended(rows.study_from(row), old_json, config_json, text, data, self._now(connection))
            results = tables.results
            these = (results.c.study_id == row.id) & (results.c.rung == Rung.TIMED.value)
            connection.execute(delete(results).where(these))
            return self._replace(connection, row, new, notes)

    def update_study(
        self,
        name: str,
        *,
        state: StudyState | None = None,
        stage: str | None = None,
        seconds: float | None = None,
        error: str | EllipsisType | None = ...,
        attempt: int | None = None,
    ) -> Study:
        """See StudyStore."""
        with self._changing(name) as (connection, row):
            new, notes = changed_study(
                rows.study_from(row),
                self._now(connection),
                state=state,
                stage=stage,
                seconds=seconds,
                error=error,
                attempt=attempt,
            )
            return self._replace(connection, row, new, notes)

    def save_analysis(self, name: str, analysis: Analysis) -> None:
        """See StudyStore."""
        with self._changing(name) as (connection, row):
            stored = stored_analysis(connection, row.id)
            if stored is None:
                connection.execute(insert(tables.analyses), {"study_id": row.id, **asdict(analysis)})
                self._note(connection, row.id, analysis_note())
            elif stored != analysis:
                raise analysis_conflict(name)

    def analysis(self, name: str) -> Analysis | None:
        """See StudyStore."""
        with self.database.reading() as connection:
            return stored_analysis(connection, study_row(connection, name).id)

    def add_trials(self, name: str, first_number: int, proposals: Sequence[Proposal]) -> tuple[Trial, ...]:
        """See StudyStore."""
        with self._changing(name) as (connection, row):
            count = count_trials(connection, row.id)
            wanted = numbered(first_number, proposals, count)
            table = tables.trials
            these = table.c.number.between(first_number, first_number + len(proposals) - 1)
            those = select(table).where(table.c.study_id == row.id, these)
            found = connection.execute(those) if first_number <= count else ()
            stored = {trial.number: trial for trial in map(rows.trial_from, found)}
            new = unstored_trials(name, wanted, stored)
            if new:
                connection.execute(insert(table), [rows.trial_values(row.id, trial) for trial in new])
                self._note(connection, row.id, trials_note(new))
            return tuple(stored.get(trial.number, trial) for trial in wanted)

    def trials(self, name: str) -> tuple[Trial, ...]:
        """See StudyStore."""
        table = tables.trials
        with self.database.reading() as connection:
            study_id = study_row(connection, name).id
            found = connection.execute(select(table).where(table.c.study_id == study_id).order_by(table.c.number))
            return tuple(map(rows.trial_from, found))

    def record(
        self, name: str, result: Result, front: Sequence[FrontRow] | None = None, seconds: float | None = None
    ) -> None:
        """See StudyStore."""
        self.record_batch(name, (result,), front, seconds)

    def record_batch(
        self,
        name: str,
        results: Sequence[Result],
        front: Sequence[FrontRow] | None = None,
        seconds: float | None = None,
    ) -> None:
        """See StudyStore."""
        with self._changing(name) as (connection, row):
            count = count_trials(connection, row.id)
            named = {item.number for item in results} | {item.number for item in front or ()}
            recorded = recorded_keys(connection, row.id, [number for number in named if 1 <= number <= count])
            new: dict[tuple[int, str], Result] = {}
            for result in map(checked_result, results):
                if not 1 <= result.number <= count:
                    raise no_trial_error(name, result.number, count)
                key = (result.number, result.rung.value)
                if key not in recorded:
                    new.setdefault(key, result)
            if results and not new:
                return
            checked = None if front is None else checked_front(front, recorded | new.keys())
            if seconds is not None:
                study = timed_study(rows.study_from(row), self._now(connection), seconds)
                table = tables.studies
                connection.execute(update(table).where(table.c.id == row.id), rows.study_values(study))
            insert_results(connection, row.id, tuple(new.values()))
            if checked is not None:
                replace_front(connection, row.id, checked)
            if new or checked is not None:
                self._note(connection, row.id, results_note(tuple(new.values()), checked))

    def fail_trial(self, name: str, number: int, error: str) -> None:
        """See StudyStore."""
        reason = one_line(error)
        table = tables.trials
        with self._changing(name) as (connection, row):
            this = (table.c.study_id == row.id) & (table.c.number == number)
            found = connection.execute(select(table.c.error).where(this)).first()
            if found is None:
                raise no_trial_error(name, number, count_trials(connection, row.id))
            if found.error != reason:
                connection.execute(update(table).where(this).values(error=reason))
                self._note(connection, row.id, failed_note(number, reason))

    def add_timing(self, name: str, timing: Timing) -> None:
        """See StudyStore."""
        kept, table = checked_timing(timing), tables.timings
        with self._changing(name) as (connection, row):
            count = count_trials(connection, row.id)
            for item in kept.rows:
                if not 1 <= item.number <= count:
                    raise no_trial_error(name, item.number, count)
            last = connection.execute(select(func.max(table.c.session)).where(table.c.study_id == row.id)).scalar()
            connection.execute(insert(table), rows.timing_values(row.id, (last or 0) + 1, kept))
            self._note(connection, row.id, timing_note(kept))

    def timings(self, name: str) -> tuple[Timing, ...]:
        """See StudyStore."""
        table = tables.timings
        with self.database.reading() as connection:
            these = select(table).where(table.c.study_id == study_row(connection, name).id)
            return rows.timings_from(connection.execute(these.order_by(table.c.session, table.c.number)))

    def results(self, name: str, rung: Rung | None = None) -> tuple[Result, ...]:
        """See StudyStore."""
        with self.database.reading() as connection:
            return stored_results(connection, study_row(connection, name).id, rung)

    def front(self, name: str) -> tuple[FrontRow, ...]:
        """See StudyStore."""
        table = tables.front_rows
        with self.database.reading() as connection:
            study_id = study_row(connection, name).id
            found = connection.execute(select(table).where(table.c.study_id == study_id).order_by(table.c.position))
            return tuple(map(rows.front_row_from, found))

    def add_event(self, name: str, kind: str, text: str, data: str = "{}") -> Event:
        """See StudyStore."""
        with self._changing(name) as (connection, row):
            return self._note(connection, row.id, Note(one_line(kind), one_line(text), data))[-1]

    def events(self, name: str, after: int = 0) -> tuple[Event, ...]:
        """See StudyStore."""
        table = tables.events
        with self.database.reading() as connection:
            study_id = study_row(connection, name).id
            these = (table.c.study_id == study_id) & (table.c.number > after)
            found = connection.execute(select(table).where(these).order_by(table.c.number))
            return tuple(map(rows.event_from, found))


def open_postgres(url: str, busy_seconds: float) -> SqlStore:
    """The store in the PostgreSQL database that `url` names; see `storage.open.open_store`.

    FixInputError if the driver is not installed.
    """
    try:
        from storage.sql.postgres import PostgresDatabase
    except ImportError as error:
        if (error.name or "psycopg").split(".")[0] != "psycopg":  # without a libpq it names nothing
            raise
        raise FixInputError(
            "a store on PostgreSQL needs a package that is not installed: pip install 'slimfront[postgres]'"
        ) from error
    return SqlStore(PostgresDatabase(url, busy_seconds))


def open_sqlite(url: str, busy_seconds: float) -> SqlStore:
    """The store in the SQLite file that `url` names; see `storage.open.open_store`."""
    return SqlStore(SqliteDatabase(path_of(url), busy_seconds))
