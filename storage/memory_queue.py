"""Who runs what in a store that lives in this process."""

from __future__ import annotations

import copy
import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Self

from storage.leases import cancelled, check_free, check_lease, claimed, deaths, is_holder, is_next, requeued, taken_over
from storage.notes import Note
from storage.records.candidate import Trial
from storage.records.lease import Lease
from storage.records.look import Look
from storage.records.measurement import Result
from storage.records.study import Analysis, Event, FrontRow, Study, StudyState
from storage.records.timing import Timing
from storage.rules import no_study_error


@dataclass
class Shelf:
    """Everything of one study. The values are frozen records, so that handing them out needs no copies."""

    study: Study
    analysis: Analysis | None = None
    trials: dict[int, Trial] = field(default_factory=dict)
    results: dict[tuple[int, str], Result] = field(default_factory=dict)
    front: tuple[FrontRow, ...] = ()
    events: list[Event] = field(default_factory=list)
    timings: list[Timing] = field(default_factory=list)


class MemoryQueue:
    """The part of a MemoryStore that StudyQueue describes."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """`clock` returns seconds since the epoch, UTC."""
        self._clock = clock
        self._lock = threading.RLock()
        self._shelves: dict[str, Shelf] = {}
        self._looks: list[Look] = []  # beside the shelves: they stay when a study goes
        self._lease: Lease | None = None
        self._identity = secrets.token_hex()

    def under(self, lease: Lease) -> Self:
        """See StudyQueue."""
        view = copy.copy(self)
        view._lease = lease
        return view

    def now(self) -> float:
        """See StudyQueue."""
        return self._clock()

    def claim(self, name: str, owner: str, seconds: float) -> Lease:
        """See StudyQueue."""
        with self._changing(name) as shelf:
            now = self._clock()
            if is_holder(shelf.study, owner):
                return Lease(name, owner, shelf.study.attempt, seconds)
            check_free(shelf.study, now)
            shelf.study, notes = claimed(shelf.study, owner, seconds, now)
            self._note(shelf, *notes)
            return Lease(name, owner, shelf.study.attempt, seconds)

    def claim_next(self, owner: str, seconds: float, trusts_code: bool, without: Collection[str] = ()) -> Lease | None:
        """See StudyQueue."""
        with self._lock:
            for shelf in self._shelves.values():
                if is_holder(shelf.study, owner):
                    return Lease(shelf.study.name, owner, shelf.study.attempt, seconds)
            while True:
                now = self._clock()
                waiting = [
                    shelf
                    for name, shelf in self._shelves.items()
                    if name not in without and is_next(shelf.study, now, trusts_code)
                ]
                if not waiting:
                    return None
                shelf = min(waiting, key=lambda item: (-item.study.priority, item.study.queued_at))
                shelf.study, notes = taken_over(shelf.study, deaths(shelf.events), owner, seconds, now)
                self._note(shelf, *notes)
                if shelf.study.state is StudyState.RUNNING:
                    return Lease(shelf.study.name, owner, shelf.study.attempt, seconds)

    def renew(self, lease: Lease, progress: str) -> StudyState:
        """See StudyQueue."""
        with self.under(lease)._changing(lease.study) as shelf:
            until = self._clock() + lease.seconds
            shelf.study = replace(shelf.study, lease_until=until, progress=progress)
            return shelf.study.state

    def requeue(self, name: str) -> Study:
        """See StudyQueue."""
        with self._changing(name) as shelf:
            shelf.study, notes = requeued(shelf.study, self._clock())
            self._note(shelf, *notes)
            return shelf.study

    def identity(self) -> str:
        """See StudyQueue."""
        return self._identity

    def check_writable(self) -> None:
        """See StudyQueue."""

    def cancel(self, name: str) -> Study:
        """See StudyQueue."""
        with self._changing(name) as shelf:
            shelf.study, notes = cancelled(shelf.study, self._clock())
            self._note(shelf, *notes)
            return shelf.study

    @contextmanager
    def _shelf(self, name: str) -> Iterator[Shelf]:
        with self._lock:
            if name not in self._shelves:
                raise no_study_error(name, tuple(self._shelves))
            yield self._shelves[name]

    @contextmanager
    def _changing(self, name: str) -> Iterator[Shelf]:
        """A study that this block may write. LeaseLostError without the lease that we are under."""
        with self._shelf(name) as shelf:
            if self._lease is not None and self._lease.study == name:
                check_lease(shelf.study, self._lease)
            yield shelf

    def _note(self, shelf: Shelf, *notes: Note) -> None:
        for note in notes:
            shelf.events.append(Event(len(shelf.events) + 1, self._clock(), note.kind, note.text, note.data))
