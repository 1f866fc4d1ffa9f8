"""The words of the events that every StudyStore writes with a change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from storage.records.candidate import Trial
from storage.records.measurement import Result
from storage.records.study import FrontRow, Study, StudyState
from storage.records.timing import Timing


@dataclass(frozen=True)
class Note:
    """An event before the store has given it a number and a time."""

    kind: str
    text: str


def one_line(text: str) -> str:
    """`text` on one line and in characters that every database stores: no NUL, no lone surrogates."""
    return " ".join(text.replace("\0", " ").encode("utf-8", "replace").decode("utf-8").split())


def timing_note(timing: Timing) -> Note:
    """The event of `add_timing`."""
    return Note("measured", f"{len(timing.rows)} files on {timing.runtime}: {timing.hardware}")


def created_note() -> Note:
    """The event of `create_study`."""
    return Note("created", StudyState.QUEUED.value)


def change_notes(old: Study, new: Study) -> tuple[Note, ...]:
    """The events of `update_study`; none when only the seconds change, as with every heartbeat."""
    notes = []
    if (new.state, new.attempt) != (old.state, old.attempt):
        reason = new.error if new.state is StudyState.FAILED else None
        notes.append(Note(new.state.value, reason or f"attempt {new.attempt}"))
    if new.stage != old.stage:
        notes.append(Note("stage", new.stage))
    return tuple(notes)


def analysis_note() -> Note:
    """The event of `save_analysis`."""
    return Note("analysed", "the model's sites, costs and level library are known")


def trials_note(trials: Sequence[Trial]) -> Note:
    """The event of `add_trials`; `trials`, those that are new, is not empty."""
    origins = ", ".join(dict.fromkeys(trial.origin for trial in trials))
    return Note("proposed", one_line(f"{_candidates([trial.number for trial in trials])} by {origins}"))


def results_note(results: Sequence[Result], front: Sequence[FrontRow] | None) -> Note:
    """The event of `record_batch`; `results` are those that are new."""
    parts = []
    if results:
        rungs = sorted({result.rung for result in results}, key=lambda rung: rung.order)
        parts.append(f"{_candidates([result.number for result in results])} at {', '.join(rungs)}")
    if front is not None:
        parts.append(f"front of {len(front)}")
    return Note("measured" if results else "front", "; ".join(parts))


def failed_note(number: int, error: str) -> Note:
    """The event of `fail_trial`; `error` is one line."""
    return Note("candidate failed", f"candidate {number}: {error}")


def _candidates(numbers: Sequence[int]) -> str:
    """The ends are enough: the numbers of one batch lie together."""
    low, high = min(numbers), max(numbers)
    return f"candidate {low}" if low == high else f"candidates {low} to {high}"
