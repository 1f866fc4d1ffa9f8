"""A store that lives in this process: for tests, notebooks and whoever wants to leave no trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import EllipsisType

from storage.leases import check_free, extended, same_submission
from storage.looks import looked
from storage.memory_queue import MemoryQueue, Shelf
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
from storage.records.look import Look
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
    result_order,
    timed_study,
    unstored_trials,
)


class MemoryStore(MemoryQueue):
    """StudyStore without a file. Threads may share it; processes cannot."""

    def create_study(self, name: str, config_json: str, submission: Submission | None = None) -> Study:
        """See StudyStore."""
        check_new_name(name)
        with self._lock:
            if submission is not None and submission.key is not None:
                for shelf in self._shelves.values():
                    if shelf.study.idempotency_key == submission.key:
                        return same_submission(shelf.study, name, submission)
            if name in self._shelves:
                raise exists_error(name)
            shelf = self._shelves[name] = Shelf(new_study(name, config_json, submission, self._clock()))
            self._note(shelf, created_note())
            return shelf.study

    def study(self, name: str) -> Study:
        """See StudyStore."""
        with self._shelf(name) as shelf:
            return shelf.study

    def studies(self) -> tuple[Study, ...]:
        """See StudyStore."""
        with self._lock:
            return tuple(shelf.study for shelf in self._shelves.values())

    def delete_study(self, name: str) -> None:
        """See StudyStore."""
        with self._changing(name) as shelf:
            check_free(shelf.study, self._clock())
            del self._shelves[name]

    def extend_study(self, name: str, old_json: str, config_json: str, text: str, data: str) -> Study:
        """See StudyStore."""
        with self._changing(name) as shelf:
            shelf.study, notes = extended(shelf.study, old_json, config_json, text, data, self._clock())
            shelf.results = {key: item for key, item in shelf.results.items() if item.rung is not Rung.TIMED}
            self._note(shelf, *notes)
            return shelf.study

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
        with self._changing(name) as shelf:
            shelf.study, notes = changed_study(
                shelf.study,
                self._clock(),
                state=state,
                stage=stage,
                seconds=seconds,
                error=error,
                attempt=attempt,
            )
            self._note(shelf, *notes)
            return shelf.study

    def save_analysis(self, name: str, analysis: Analysis) -> None:
        """See StudyStore."""
        with self._changing(name) as shelf:
            if shelf.analysis is None:
                shelf.analysis = analysis
                self._note(shelf, analysis_note())
            elif shelf.analysis != analysis:
                raise analysis_conflict(name)

    def analysis(self, name: str) -> Analysis | None:
        """See StudyStore."""
        with self._shelf(name) as shelf:
            return shelf.analysis

    def add_trials(self, name: str, first_number: int, proposals: Sequence[Proposal]) -> tuple[Trial, ...]:
        """See StudyStore."""
        with self._changing(name) as shelf:
            wanted = numbered(first_number, proposals, len(shelf.trials))
            new = unstored_trials(name, wanted, shelf.trials)
            shelf.trials.update({trial.number: trial for trial in new})
            if new:
                self._note(shelf, trials_note(new))
            return tuple(shelf.trials[trial.number] for trial in wanted)

    def trials(self, name: str) -> tuple[Trial, ...]:
        """See StudyStore."""
        with self._shelf(name) as shelf:
            return tuple(shelf.trials.values())

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
        with self._changing(name) as shelf:
            new: dict[tuple[int, str], Result] = {}
            for result in map(checked_result, results):
                if result.number not in shelf.trials:
                    raise no_trial_error(name, result.number, len(shelf.trials))
                key = (result.number, result.rung.value)
                if key not in shelf.results:
                    new.setdefault(key, result)
            if results and not new:
                return
            rows = None if front is None else checked_front(front, shelf.results.keys() | new.keys())
            if seconds is not None:
                shelf.study = timed_study(shelf.study, self._clock(), seconds)
            shelf.results.update(new)
            if rows is not None:
                shelf.front = rows
            if new or rows is not None:
                self._note(shelf, results_note(tuple(new.values()), rows))

    def fail_trial(self, name: str, number: int, error: str) -> None:
        """See StudyStore."""
        reason = one_line(error)
        with self._changing(name) as shelf:
            trial = shelf.trials.get(number)
            if trial is None:
                raise no_trial_error(name, number, len(shelf.trials))
            if trial.error != reason:
                shelf.trials[number] = replace(trial, error=reason)
                self._note(shelf, failed_note(number, reason))

    def add_timing(self, name: str, timing: Timing) -> None:
        """See StudyStore."""
        kept = checked_timing(timing)
        with self._changing(name) as shelf:
            for row in kept.rows:
                if row.number not in shelf.trials:
                    raise no_trial_error(name, row.number, len(shelf.trials))
            shelf.timings.append(kept)
            self._note(shelf, timing_note(kept))

    def timings(self, name: str) -> tuple[Timing, ...]:
        """See StudyStore."""
        with self._shelf(name) as shelf:
            return tuple(shelf.timings)

    def results(self, name: str, rung: Rung | None = None) -> tuple[Result, ...]:
        """See StudyStore."""
        with self._shelf(name) as shelf:
            chosen = [result for result in shelf.results.values() if rung is None or result.rung == rung]
            return tuple(sorted(chosen, key=result_order))

    def front(self, name: str) -> tuple[FrontRow, ...]:
        """See StudyStore."""
        with self._shelf(name) as shelf:
            return shelf.front

    def look(self, name: str, split: str, images: int, again: bool = False) -> Look:
        """See StudyStore."""
        with self._changing(name) as shelf:
            made, notes = looked(shelf.study, self.looks(split), split, images, again, self._clock())
            if notes:
                self._looks.append(made)
                shelf.results = {key: item for key, item in shelf.results.items() if item.rung is not Rung.TESTED}
                self._note(shelf, *notes)
            return made

    def looks(self, split: str) -> tuple[Look, ...]:
        """See StudyStore."""
        with self._lock:
            return tuple(sorted((item for item in self._looks if item.split == split), key=lambda item: item.time))

    def add_event(self, name: str, kind: str, text: str, data: str = "{}") -> Event:
        """See StudyStore."""
        with self._changing(name) as shelf:
            self._note(shelf, Note(one_line(kind), one_line(text), data))
            return shelf.events[-1]

    def events(self, name: str, after: int = 0) -> tuple[Event, ...]:
        """See StudyStore."""
        with self._shelf(name) as shelf:
            return tuple(event for event in shelf.events if event.number > after)

    def close(self) -> None:
        """See StudyStore."""


def open_memory(url: str, busy_seconds: float) -> MemoryStore:
    """A new, empty store. Both arguments are those of every opener in STORES; neither matters here."""
    del url, busy_seconds
    return MemoryStore()
