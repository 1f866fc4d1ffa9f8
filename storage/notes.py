"""The words of the events that every StudyStore writes with a change."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from storage.records.candidate import Trial
from storage.records.look import Look
from storage.records.measurement import Result
from storage.records.study import EPOCH, EXTENDED, LOOKED, FrontRow, Study, StudyState
from storage.records.timing import Timing

ANALYSED, PROPOSED, MEASURED = "analysed", "proposed", "measured"
SHOWN_DIGITS = 12  # of a hash
STEPS = (ANALYSED, PROPOSED, MEASURED, EPOCH)  # kinds of events by which a study gets on


@dataclass(frozen=True)
class Note:
    """An event before the store has given it a number and a time."""

    kind: str
    text: str
    data: str = "{}"  # a JSON object


def one_line(text: str) -> str:
    """`text` on one line and in characters that every database stores: no NUL, no lone surrogates."""
    return " ".join(text.replace("\0", " ").encode("utf-8", "replace").decode("utf-8").split())


def timing_note(timing: Timing) -> Note:
    """The event of `add_timing`."""
    return Note(MEASURED, f"{len(timing.rows)} files on {timing.runtime}: {timing.hardware}")


def created_note() -> Note:
    """The event of `create_study`."""
    return Note("created", StudyState.QUEUED.value)


def extended_note(text: str, data: str) -> Note:
    """The event of `extend_study`."""
    return Note(EXTENDED, one_line(text), data)


def change_notes(old: Study, new: Study) -> tuple[Note, ...]:
    """The events of `update_study`; none when only the seconds change, as with every heartbeat."""
    notes = []
    if (new.state, new.attempt) != (old.state, old.attempt):
        reason = new.error if new.error != old.error else None
        by = {} if new.owner is None else {"owner": new.owner}
        why = {} if reason is None else {"error": reason}
        data = json.dumps({"state": new.state.value, "attempt": new.attempt, **by, **why})
        notes.append(Note(new.state.value, reason or f"attempt {new.attempt}", data))
    if new.stage != old.stage:
        notes.append(Note("stage", new.stage, json.dumps({"stage": new.stage})))
    return tuple(notes)


def analysis_note() -> Note:
    """The event of `save_analysis`."""
    return Note(ANALYSED, "the model's sites, costs and level library are known")


def trials_note(trials: Sequence[Trial]) -> Note:
    """The event of `add_trials`; `trials`, those that are new, is not empty."""
    origins = tuple(dict.fromkeys(trial.origin for trial in trials))
    numbers = [trial.number for trial in trials]
    data = json.dumps({"first": min(numbers), "last": max(numbers), "origins": origins})
    return Note(PROPOSED, one_line(f"{_candidates(numbers)} by {', '.join(origins)}"), data)


def results_note(results: Sequence[Result], front: Sequence[FrontRow] | None) -> Note:
    """The event of `record_batch`; `results` are those that are new."""
    parts: list[str] = []
    data: dict[str, object] = {}
    if results:
        rungs = sorted({result.rung for result in results}, key=lambda rung: rung.order)
        numbers = sorted(result.number for result in results)
        parts.append(f"{_candidates(numbers)} at {', '.join(rungs)}")
        rung_names = [rung.value for rung in rungs]
        data = {"first": numbers[0], "last": numbers[-1], "count": len(numbers), "rungs": rung_names}
    if front is not None:
        parts.append(f"front of {len(front)}")
    return Note(
        MEASURED if results else "front",
        "; ".join(parts),
        json.dumps({**data, **({} if front is None else {"front": len(front)})}),
    )


def failed_note(number: int, error: str) -> Note:
    """The event of `fail_trial`; `error` is one line."""
    return Note("candidate failed", f"candidate {number}: {error}", json.dumps({"candidate": number}))


def looked_note(look: Look) -> Note:
    """The event of `look`."""
    before = ", which had been used before" if look.again else ""
    data = json.dumps({"split": look.split, "images": look.images, "again": look.again})
    return Note(LOOKED, one_line(f"{look.images} images of test split {look.split[:SHOWN_DIGITS]}{before}"), data)


def _candidates(numbers: Sequence[int]) -> str:
    """The ends are enough: the numbers of one batch lie together."""
    low, high = min(numbers), max(numbers)
    return f"candidate {low}" if low == high else f"candidates {low} to {high}"
