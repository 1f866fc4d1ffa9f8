"""What every StudyStore decides in the same way: transitions, checks, comparisons and its errors' words."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from types import EllipsisType, MappingProxyType

from storage.errors import (
    FixInputError,
    NotFoundError,
    StoreConflictError,
    StudyExistsError,
    StudyStateError,
)
from storage.notes import Note, change_notes, one_line
from storage.records.candidate import Candidate, Proposal, Trial
from storage.records.lease import Submission
from storage.records.measurement import Measurement, Result
from storage.records.study import FrontRow, Study, StudyState
from storage.records.timing import Timing

SUGGESTIONS = 5  # names in a NotFoundError: as many as fit on its line
NEW_STAGE = "new"

_S = StudyState
TRANSITIONS: Mapping[StudyState, frozenset[StudyState]] = MappingProxyType(
    {
        _S.QUEUED: frozenset({_S.RUNNING, _S.INTERRUPTED, _S.CANCELLING, _S.CANCELLED, _S.FAILED}),
        _S.RUNNING: frozenset({_S.QUEUED, _S.INTERRUPTED, _S.CANCELLING, _S.CANCELLED, _S.SUCCEEDED, _S.FAILED}),
        _S.INTERRUPTED: frozenset({_S.QUEUED, _S.RUNNING, _S.CANCELLING, _S.CANCELLED, _S.FAILED}),
        _S.CANCELLING: frozenset({_S.RUNNING, _S.CANCELLED, _S.INTERRUPTED, _S.SUCCEEDED, _S.FAILED}),
        _S.CANCELLED: frozenset({_S.QUEUED, _S.RUNNING, _S.INTERRUPTED}),
        _S.SUCCEEDED: frozenset({_S.INTERRUPTED}),
        _S.FAILED: frozenset({_S.QUEUED, _S.RUNNING}),
    }
)
"""Where a study may go from each state. Staying is always allowed: a killed study is found running."""


def check_new_name(name: str) -> None:
    """FixInputError unless `name` can stand in a command line, a database and a path of a page."""
    if not name or not name.isprintable() or "/" in name or any(letter.isspace() for letter in name):
        raise FixInputError(f"{name!r} cannot name a study: use letters, digits, '-', '_' and '.'")


def new_study(name: str, config_json: str, submission: Submission | None, now: float) -> Study:
    """The study as `create_study` stores it."""
    made = Study(name, config_json, StudyState.QUEUED, NEW_STAGE, 0.0, 0, now, now)
    if submission is None:
        return made
    return replace(
        made,
        queued_at=now,
        priority=submission.priority,
        runs_code=submission.runs_code,
        workload=submission.workload,
        content=submission.content,
        idempotency_key=submission.key,
    )


def exists_error(name: str) -> StudyExistsError:
    """The error for a name that is taken."""
    return StudyExistsError(
        f"study {name} exists already: `slimfront resume {name}` continues it, "
        f"`slimfront delete {name}` removes it, or choose another name"
    )


def no_study_error(name: str, known: Sequence[str]) -> NotFoundError:
    """The error for a name that is not stored; `known` are the names that are, oldest first."""
    start = f"there is no study {one_line(name)}"
    if not known:
        return NotFoundError(f"{start}, nor any other: `slimfront run study.toml` starts one")
    close = difflib.get_close_matches(name, known, n=SUGGESTIONS)
    if close:
        return NotFoundError(f"{start}; did you mean {' or '.join(close)}? `slimfront list` shows all")
    some = list(reversed(known))[:SUGGESTIONS]
    return NotFoundError(f"{start}; there is {', '.join(some)}; `slimfront list` shows all")


def checked_timing(timing: Timing) -> Timing:
    """The timing with its rows by trial number. ValueError for no rows, or for two of one trial."""
    numbers = [row.number for row in timing.rows]
    if not numbers or len(set(numbers)) != len(numbers):
        raise ValueError(f"a timing needs one row for each trial, not rows for {numbers}")
    return replace(timing, rows=tuple(sorted(timing.rows, key=lambda row: row.number)))


def no_trial_error(name: str, number: int, count: int) -> NotFoundError:
    """The error for a candidate's number that is not stored; `count` are."""
    have = f"it has 1 to {count}" if count else "it has none yet"
    return NotFoundError(f"study {name} has no candidate {number}: {have}; `slimfront front {name}` shows the best")


def changed_study(
    old: Study,
    now: float,
    *,
    state: StudyState | None,
    stage: str | None,
    seconds: float | None,
    error: str | EllipsisType | None,
    attempt: int | None,
) -> tuple[Study, tuple[Note, ...]]:
    """The study after `update_study` at the time `now`, with the events of it. StudyStateError if illegal."""
    if state is not None and state != old.state and state not in TRANSITIONS[old.state]:
        raise StudyStateError(illegal(old.name, old.state, state))
    if seconds is not None and not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError(f"seconds is {seconds}: the time spent is a finite number, 0 or more")
    new = replace(
        old,
        state=old.state if state is None else state,
        stage=old.stage if stage is None else one_line(stage),
        seconds=old.seconds if seconds is None else float(seconds),
        attempt=old.attempt if attempt is None else int(attempt),
        error=old.error if isinstance(error, EllipsisType) else None if error is None else one_line(error),
        updated_at=now,
    )
    new = new if new.is_owned else replace(new, owner=None, lease_until=None, progress="")
    return new, change_notes(old, new)


def timed_study(old: Study, now: float, seconds: float) -> Study:
    """The study after it has taken `seconds` in all. ValueError if that is no time."""
    return changed_study(old, now, state=None, stage=None, seconds=seconds, error=..., attempt=None)[0]


def numbered(first_number: int, proposals: Sequence[Proposal], count: int) -> tuple[Trial, ...]:
    """`proposals` as trials from `first_number` on, where `count` are stored. ValueError for a gap."""
    if not 1 <= first_number <= count + 1:
        raise ValueError(f"trials are numbered without gaps: the next number is {count + 1}, not {first_number}")
    return tuple(
        Trial(
            number=first_number + index,
            # int() also takes the numpy integers of a solver, which neither JSON nor SQL do
            candidate=Candidate(tuple(int(level) for level in item.candidate.levels), item.candidate.weights),
            origin=item.origin,
            baseline=item.baseline,
            parent=None if item.parent is None else int(item.parent),
        )
        for index, item in enumerate(proposals)
    )


def unstored_trials(name: str, wanted: Sequence[Trial], stored: Mapping[int, Trial]) -> tuple[Trial, ...]:
    """The part of `wanted` that is not stored yet. StoreConflictError if a number is taken."""
    for trial in wanted:
        there = stored.get(trial.number)
        if there is not None and replace(there, error=None) != trial:
            raise StoreConflictError(
                f"study {name} holds another candidate {trial.number} than this run proposes: it was begun "
                f"with other code, data or hardware; `slimfront delete {name}` and run it again"
            )
    return tuple(trial for trial in wanted if trial.number not in stored)


def checked_result(result: Result) -> Result:
    """`result` in plain Python numbers. ValueError for an objective twice or an interval that is NaN."""
    names = [item.objective for item in result.measurements]
    if len(set(names)) != len(names):
        raise ValueError(f"candidate {result.number} at rung {result.rung} measures something twice: {names}")
    for item in result.measurements:
        if any(bound is not None and math.isnan(bound) for bound in (item.low, item.high)):
            raise ValueError(f"the interval of {item.objective} of candidate {result.number} is not a number")
    return replace(
        result,
        number=int(result.number),
        seconds=float(result.seconds),
        measurements=tuple(_plain(item) for item in result.measurements),
    )


def checked_front(front: Sequence[FrontRow], recorded: Collection[tuple[int, str]]) -> tuple[FrontRow, ...]:
    """`front` by position. ValueError if it is none over `recorded`, the (number, rung) of all results."""
    rows = tuple(sorted((FrontRow(int(row.position), int(row.number), str(row.rung)) for row in front), key=_position))
    if [row.position for row in rows] != list(range(len(rows))):
        raise ValueError(f"the positions of a front run from 0 without gaps, not {[row.position for row in rows]}")
    if len({row.number for row in rows}) != len(rows):
        raise ValueError(f"a front names a candidate once, not {[row.number for row in rows]}")
    for row in rows:
        if (row.number, row.rung) not in recorded:
            raise ValueError(f"candidate {row.number} is in the front at rung {row.rung} but has no result there")
    return rows


def result_order(result: Result) -> tuple[int, int]:
    """Sort key of `StudyStore.results`."""
    return result.number, result.rung.order


def analysis_conflict(name: str) -> StoreConflictError:
    """The error for a second, different analysis of a study."""
    return StoreConflictError(
        f"study {name} was analysed with another model, data or machine: `slimfront delete {name}` and run it again"
    )


def illegal(name: str, old: StudyState, new: StudyState) -> str:
    """Why a study may not go from one state to another, and what to do."""
    start = f"study {name} is {old} and cannot become {new}"
    if old is StudyState.CANCELLED:
        return f"{start}: `slimfront resume {name}` goes on with it"
    if old is StudyState.SUCCEEDED:
        return f"{start}: `slimfront front {name}` shows its result"
    return f"{start}: `slimfront status {name}` shows what it is doing"


def _plain(item: Measurement) -> Measurement:
    return replace(
        item,
        value=float(item.value),
        samples=int(item.samples),
        low=None if item.low is None else float(item.low),
        high=None if item.high is None else float(item.high),
    )


def _position(row: FrontRow) -> int:
    return row.position
