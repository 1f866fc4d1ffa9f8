"""What every store decides in the same way about the queue and leases."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from storage.errors import FixInputError, LeaseLostError, StoreConflictError, StoreLockedError, StudyStateError
from storage.notes import STEPS, Note, change_notes, extended_note
from storage.records.lease import Lease, Submission, shown_owner
from storage.records.study import EXTENDED, Event, Study, StudyState
from storage.rules import TRANSITIONS, illegal

# Processes that may die of a study one after the other, none of which got on with it: then it is at fault.
MOST_DEATHS = 5
MOST_REFUSALS = 5  # processes that may give a study back, likewise: then it waits for nothing that comes by itself
OVER = (StudyState.SUCCEEDED, StudyState.CANCELLED)


def check_free(study: Study, now: float) -> None:
    """StoreLockedError while a lease holds."""
    if study.is_leased(now) and study.owner is not None:
        left = (study.lease_until or now) - now
        raise StoreLockedError(
            f"study {study.name} is run by {shown_owner(study.owner)}: wait for it to end, or `slimfront cancel "
            f"{study.name}`; if that process has died, the study is free in {left:.0f} s"
        )


def claimed(study: Study, owner: str, seconds: float, now: float) -> tuple[Study, tuple[Note, ...]]:
    """The study with a new lease, with the events of it. StudyStateError if it may not run."""
    if study.state is not StudyState.RUNNING and StudyState.RUNNING not in TRANSITIONS[study.state]:
        raise StudyStateError(illegal(study.name, study.state, StudyState.RUNNING))
    new = replace(
        study,
        state=StudyState.RUNNING,
        attempt=study.attempt + 1,
        error=None,
        owner=owner,
        lease_until=now + seconds,
        progress="",
        updated_at=now,
    )
    return new, change_notes(study, new)


def taken_over(study: Study, deaths: int, owner: str, seconds: float, now: float) -> tuple[Study, tuple[Note, ...]]:
    """What becomes of a study that is next in the queue: claimed, or cancelled or failed, where it is to be."""
    if study.state is StudyState.CANCELLING:
        return ended(study, StudyState.CANCELLED, None, now)
    if deaths >= MOST_DEATHS:
        text = (
            f"{deaths} processes have died of it, one after the other, none of which got on with it: look at their "
            f"machines' memory and logs, then `slimfront resume {study.name}`"
        )
        return ended(study, StudyState.FAILED, text, now)
    return claimed(study, owner, seconds, now)


def ended(study: Study, state: StudyState, error: str | None, now: float) -> tuple[Study, tuple[Note, ...]]:
    """The study in a state in which nobody owns it."""
    new = replace(study, state=state, error=error, owner=None, lease_until=None, progress="", updated_at=now)
    return new, change_notes(study, new)


def cancelled(study: Study, now: float) -> tuple[Study, tuple[Note, ...]]:
    """The study after `StudyQueue.cancel`. StudyStateError if it is over."""
    if study.state in (*OVER, StudyState.FAILED):
        raise StudyStateError(
            f"study {study.name} is {study.state}, there is nothing to cancel: `slimfront front {study.name}` shows "
            f"what it has found, `slimfront delete {study.name}` removes it"
        )
    if not study.is_leased(now):
        return ended(study, StudyState.CANCELLED, None, now)
    new = replace(study, state=StudyState.CANCELLING, updated_at=now)
    return new, change_notes(study, new)


def requeued(study: Study, now: float) -> tuple[Study, tuple[Note, ...]]:
    """The study after `StudyQueue.requeue`."""
    check_free(study, now)
    if study.state is StudyState.SUCCEEDED:
        raise StudyStateError(illegal(study.name, study.state, StudyState.QUEUED))
    if study.queued_at is None:
        raise FixInputError(
            f"study {study.name} was not submitted, and may need files that only you have: resume it without --queue"
        )
    return ended(study, StudyState.QUEUED, None, now)


def is_holder(study: Study, owner: str) -> bool:
    """Whether `owner`, a text that nobody else has, holds the study already: it was not told that its claim landed."""
    return study.state is StudyState.RUNNING and study.owner == owner


def extended(
    study: Study, old_json: str, config_json: str, text: str, data: str, now: float
) -> tuple[Study, tuple[Note, ...]]:
    """The study after `StudyStore.extend_study`."""
    check_free(study, now)
    if study.config_json != old_json:
        raise StoreConflictError(f"study {study.name} was changed by somebody else: look at it, then try again")
    new, notes = ended(study, StudyState.INTERRUPTED, None, now)
    return replace(new, config_json=config_json), (extended_note(text, data), *notes)


def check_lease(study: Study, lease: Lease) -> None:
    """LeaseLostError if it is another's by now."""
    if (study.owner, study.attempt) != (lease.owner, lease.attempt):
        by = f" by {shown_owner(study.owner)}" if study.owner is not None else ""
        raise LeaseLostError(
            f"study {study.name} was taken over{by}, or ended, since this process last said that it lives: it writes "
            f"nothing more; `slimfront watch {study.name}` shows how it goes on"
        )


def is_next(study: Study, now: float, trusts_code: bool) -> bool:
    """Whether whoever looks for work may have it."""
    if study.queued_at is None or (study.runs_code and not trusts_code):
        return False
    return study.state is StudyState.QUEUED or (study.is_owned and not study.is_leased(now))


def deaths(events: Sequence[Event]) -> int:
    """How many owners in a row have died without getting on with a study, by its events, oldest first."""
    count = 0
    for event in reversed(events):
        if event.kind in STEPS or event.kind in _BREAKS:
            break
        count += event.kind == StudyState.RUNNING
    return count


def refusals(events: Sequence[Event]) -> int:
    """How many processes in a row have given a study back for a reason, without getting on with it."""
    count = 0
    for event in reversed(events):
        if event.kind in STEPS or event.kind in _BREAKS - {StudyState.QUEUED.value}:
            break
        count += event.kind == StudyState.QUEUED and "error" in json.loads(event.data)
    return count


_BREAKS = frozenset({state.value for state in StudyState} - {StudyState.RUNNING.value}) | {EXTENDED}


def same_submission(stored: Study, name: str, submission: Submission) -> Study:
    """The stored study of a key if it is the same again, else FixInputError."""
    if (stored.name, stored.content, stored.workload) != (name, submission.content, submission.workload):
        changed = "name" if stored.name != name else "data" if stored.content == submission.content else "content"
        raise FixInputError(
            f"key {submission.key} was given to study {stored.name}, which has another {changed}: choose another key "
            "for another study, or give the same study file"
        )
    return stored
