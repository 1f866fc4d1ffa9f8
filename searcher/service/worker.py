"""`slimfront work`: claims the study whose turn it is, lets a process run it, and sees to what becomes of both."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from searcher.service.order import Order
from searcher.service.process import ERROR, StudyProcess
from storage.errors import (
    DiskFullError,
    FixInputError,
    LeaseLostError,
    NotFoundError,
    StudyStateError,
)
from storage.home import Home
from storage.liveness import is_held, release_dead
from storage.patient import patient
from storage.records.lease import DEFAULT_LEASE_SECONDS, Lease, new_process, owner_text
from storage.records.study import PROCESS_DIED, Study, StudyState
from storage.store import StudyStore

POLL_SECONDS = 1.0  # between two looks at the queue, and at a study that runs
RELEASE_SECONDS = 5.0  # between two looks for what processes of this home have left
CANCEL_SECONDS = 8.0  # that a study has to end by itself: `cancel` promises ten
PAUSE_SECONDS = 2.0  # after a process that has died, so that a broken machine does not spin
SICK_SECONDS = 30.0  # between two looks at what this machine lacks; at first, for a study that could not be run here
LONGEST_LEAVE_SECONDS = 3600.0  # for such a study: whoever mends the machine by then need not start the loop anew
BAD_INPUT = 2  # exit code of a process that cannot work on such terms as it has got
REFUSALS = (1, BAD_INPUT)  # exit codes of a process that says why it ends


class Log(Protocol):
    """Where a loop says what happens."""

    def __call__(self, study: str, text: str, level: int = logging.INFO) -> None:
        """A line about a study, or about the loop itself if `study` is empty; `level` is one of logging."""
        ...


@dataclass(frozen=True)
class Terms:
    """How a loop works."""

    command: Sequence[str]  # starts a process that reads an Order
    trusts_code: bool = False
    workers: int | None = None
    inline: bool = False
    ray_address: str | None = None
    gpus: float = 0.0
    lease_seconds: float = DEFAULT_LEASE_SECONDS
    until_empty: bool = False  # end where nothing is queued
    lacks: Callable[[], str | None] = lambda: None  # what this machine needs and has not got, such as its Ray


@dataclass(frozen=True)
class _Left:
    """A study that is left to others."""

    until: float  # time.monotonic
    seconds: float


class Worker:
    """One loop. It runs one study at a time; several loops share a queue."""

    def __init__(self, store: StudyStore, home: Home, terms: Terms, log: Log) -> None:
        self._store = patient(store, lambda text: log("", text, logging.WARNING))
        self._home = home
        self._terms = terms
        self._log = log
        self._stopping = threading.Event()
        self._released = float("-inf")  # time.monotonic of the last look
        self._owned: set[str] = set()  # studies that somebody ran then
        self._left: dict[str, _Left] = {}  # studies that could not be run here

    def stop(self) -> None:
        """Ends `run` soon; the study that runs goes back into the queue. Also from a signal's handler."""
        self._stopping.set()

    def run(self) -> None:
        """Works until it is stopped, or until nothing is queued where the terms say so. FixInputError for a store that
        may not be written and for terms on which no study can be run, StoreLostError for a store that stays away."""
        self._home.prepare()
        self._store.check_writable()
        while not self._stopping.is_set():
            if (lack := self._lack()) is not None:
                self._log("", f"{lack}; nothing is claimed until then", logging.WARNING)
                self._stopping.wait(SICK_SECONDS)
                continue
            self._release()
            owner = owner_text(self._home.place, new_process())
            now = time.monotonic()
            left = {name for name, item in self._left.items() if now < item.until}
            lease = self._store.claim_next(owner, self._terms.lease_seconds, self._terms.trusts_code, left)
            if lease is not None:
                self._take(lease)
            elif self._terms.until_empty and not left:
                return
            else:
                self._stopping.wait(POLL_SECONDS)

    def _lack(self) -> str | None:
        """Why this machine should leave the queue to others."""
        try:
            self._home.check_space()
        except DiskFullError as error:
            return str(error)
        return self._terms.lacks()

    def _release(self) -> None:
        """Frees what processes of this home have left that are gone."""
        if time.monotonic() - self._released < RELEASE_SECONDS:
            return
        owned, queued = set(), set()
        for study in self._store.studies():
            if study.state is StudyState.QUEUED:
                queued.add(study.name)
            if study.is_owned:
                owned.add(study.name)
                release_dead(self._store, self._home, study)
            elif study.name in self._owned and study.state is StudyState.FAILED:  # by whoever has claimed it
                self._log(study.name, f"failed: {study.error}", logging.WARNING)
        self._owned = owned
        self._left = {name: item for name, item in self._left.items() if name in queued}  # others have run the rest
        self._released = time.monotonic()

    def _take(self, lease: Lease) -> None:
        """Runs one study to its end, or until it is taken away."""
        name = lease.study
        if is_held(name, self._home):  # by a process that was stopped (Ctrl-Z), say, and has lost its lease
            self._give_back(lease, "a process of this home still has its lock")
            self._leave(name)
            return
        self._log(name, f"claimed, attempt {lease.attempt}")

        def say(line: str) -> None:
            self._log(name, line, logging.WARNING if line.startswith(ERROR) else logging.INFO)

        with StudyProcess(self._order(lease), self._terms.command, say) as process:
            self._watch(lease, process)
        self._released = float("-inf")
        self._settle(lease, process)

    def _order(self, lease: Lease) -> Order:
        terms = self._terms
        return Order(
            lease=lease,
            store=self._home.store,
            trusts_code=terms.trusts_code,
            workers=terms.workers,
            inline=terms.inline,
            ray_address=terms.ray_address,
            gpus=terms.gpus,
        )

    def _watch(self, lease: Lease, process: StudyProcess) -> None:
        """Returns when the process has ended; ends it where it does not obey."""
        since: float | None = None  # when it was to end
        ours = self._renewed(lease)
        while not process.ended(POLL_SECONDS):
            if self._stopping.is_set():
                process.stop()
                return
            study = self._still_ours(lease)
            if study is not None and study.state is StudyState.RUNNING:
                if ours is not None:  # until the process is up, and renews the lease itself
                    ours = self._renewed(lease) if study.lease_until == ours else None
                continue
            since = time.monotonic() if since is None else since
            if time.monotonic() - since > CANCEL_SECONDS:
                process.kill()

    def _renewed(self, lease: Lease) -> float | None:
        """Until when the lease holds that we have renewed; None if it is lost."""
        try:
            self._store.renew(lease, "")
            return self._store.study(lease.study).lease_until
        except (LeaseLostError, NotFoundError):
            return None

    def _still_ours(self, lease: Lease) -> Study | None:
        try:
            study = self._store.study(lease.study)
        except NotFoundError:
            return None
        return study if (study.owner, study.attempt) == (lease.owner, lease.attempt) else None

    def _settle(self, lease: Lease, process: StudyProcess) -> None:
        """Says what has become of the study whose process has ended; where that has not said so, it is done for it."""
        name, code = lease.study, process.code
        study = self._still_ours(lease)
        if study is None:
            fate = self._fate(lease)
            level = logging.WARNING if code in REFUSALS else logging.INFO
            self._log(name, f"{fate}, its process ended with code {code}", level)
            if code in REFUSALS and fate == StudyState.QUEUED:  # this machine has no workers for it, say
                self._leave(name)
        elif study.state is StudyState.CANCELLING:
            self._write(lease, StudyState.CANCELLED)
            self._log(name, f"cancelled, its process ended with code {code}")
        elif self._stopping.is_set():  # it had not come to hear that it was to end
            self._give_back(lease, "its worker was stopped")
        elif code in REFUSALS and process.error is not None:
            # It has not begun: what the study itself does wrong, its controller stores.
            self._give_back(lease, process.error)
            if code == BAD_INPUT:
                raise FixInputError(f"study {name} cannot be run here: {process.error}")
            self._leave(name)
        else:
            self._free(lease, study)
            text = f"its process has died with code {code}: the study is free"
            self._log(name, text, logging.WARNING)
            self._keep(name, text, code)
            self._stopping.wait(PAUSE_SECONDS)

    def _leave(self, name: str) -> None:
        """Lets others have it for a while, longer each time."""
        before = self._left.get(name)
        seconds = SICK_SECONDS if before is None else min(2 * before.seconds, LONGEST_LEAVE_SECONDS)
        self._left[name] = _Left(time.monotonic() + seconds, seconds)

    def _keep(self, name: str, text: str, code: int | None) -> None:
        """Notes a death with the study, for those who see no log of this machine."""
        try:
            self._store.add_event(name, PROCESS_DIED, text, json.dumps({"code": code, "place": self._home.place}))
        except NotFoundError:  # deleted
            return

    def _fate(self, lease: Lease) -> str:
        try:
            study = self._store.study(lease.study)
        except NotFoundError:
            return "deleted"
        return study.state.value if study.attempt == lease.attempt else "taken over"

    def _give_back(self, lease: Lease, why: str) -> None:
        """Puts a study back into the queue that could not be begun here."""
        self._write(lease, StudyState.QUEUED, why)
        self._log(lease.study, f"given back: {why}", logging.WARNING)

    def _write(self, lease: Lease, state: StudyState, error: str | None = None) -> None:
        try:
            self._store.under(lease).update_study(lease.study, state=state, error=error)
        except (LeaseLostError, NotFoundError, StudyStateError) as lost:
            self._log(lease.study, str(lost), logging.WARNING)

    def _free(self, lease: Lease, study: Study) -> None:
        try:
            self._store.renew(replace(lease, seconds=0.0), study.progress)
        except (LeaseLostError, NotFoundError) as lost:
            self._log(lease.study, str(lost), logging.WARNING)
