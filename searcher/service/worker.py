"""`slimfront work`: claims the study whose turn it is, lets a process run it, and sees to what becomes of both."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from searcher.service.order import Order
from storage.errors import LeaseLostError, NotFoundError, StudyStateError
from storage.home import Home
from storage.liveness import release_dead
from storage.patient import patient
from storage.records.lease import DEFAULT_LEASE_SECONDS, Lease, new_process, owner_text
from storage.records.study import StudyState
from storage.store import StudyStore

POLL_SECONDS = 1.0  # between two looks at the queue, and at a study that runs
CANCEL_SECONDS = 8.0  # that a study has to end by itself: `cancel` promises ten
STOP_SECONDS = 10.0  # that it has where the loop is stopped
PAUSE_SECONDS = 2.0  # after a process that has died, so that a broken machine does not spin
Log = Callable[[str, str], None]  # a study's name, or nothing, and a line of what has happened


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


class Worker:
    """One loop. It runs one study at a time; several loops share a queue."""

    def __init__(self, store: StudyStore, home: Home, terms: Terms, log: Log) -> None:
        self._store = patient(store, lambda text: log("", text))
        self._home = home
        self._terms = terms
        self._log = log
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Ends `run` soon; the study that runs goes back into the queue. Also from a signal's handler."""
        self._stopping.set()

    def run(self) -> None:
        """Works until it is stopped, or until nothing is queued where the terms say so. FixInputError for a store that
        may not be written, StoreLostError for one that stays away."""
        self._home.prepare()
        self._store.check_writable()
        while not self._stopping.is_set():
            self._release()
            owner = owner_text(self._home.place, new_process())
            lease = self._store.claim_next(owner, self._terms.lease_seconds, self._terms.trusts_code)
            if lease is not None:
                self._take(lease)
            elif self._terms.until_empty:
                return
            else:
                self._stopping.wait(POLL_SECONDS)

    def _release(self) -> None:
        """Frees what processes of this home have left that are gone."""
        for study in self._store.studies():
            if study.is_owned:
                release_dead(self._store, self._home, study)

    def _take(self, lease: Lease) -> None:
        """Runs one study to its end, or until it is taken away."""
        name = lease.study
        self._log(name, f"claimed, attempt {lease.attempt}")
        with _Process(self._order(lease), self._terms.command, lambda line: self._log(name, line)) as process:
            self._watch(lease, process)
        state = self._settle(lease)
        self._log(name, f"{state}, its process ended with code {process.code}")
        if state == LOST:
            self._stopping.wait(PAUSE_SECONDS)

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

    def _watch(self, lease: Lease, process: _Process) -> None:
        """Returns when the process has ended; ends it where it does not obey."""
        since: float | None = None  # when it was to end
        while not process.ended(POLL_SECONDS):
            if self._stopping.is_set():
                process.stop(STOP_SECONDS)
                return
            if self._is_wanted(lease):
                continue
            since = time.monotonic() if since is None else since
            if time.monotonic() - since > CANCEL_SECONDS:
                process.kill()

    def _is_wanted(self, lease: Lease) -> bool:
        """Whether the study is still ours to run."""
        try:
            study = self._store.study(lease.study)
        except NotFoundError:
            return False
        return study.state is StudyState.RUNNING and (study.owner, study.attempt) == (lease.owner, lease.attempt)

    def _settle(self, lease: Lease) -> str:
        """What has become of the study whose process has ended; where it has not said so, that is done for it."""
        try:
            study = self._store.study(lease.study)
            if (study.owner, study.attempt) != (lease.owner, lease.attempt):
                return study.state.value if study.attempt == lease.attempt else TAKEN
            if study.state is StudyState.CANCELLING:
                self._store.under(lease).update_study(lease.study, state=StudyState.CANCELLED)
                return StudyState.CANCELLED.value
            self._store.renew(replace(lease, seconds=0.0), study.progress)
        except NotFoundError:
            return "deleted"
        except (LeaseLostError, StudyStateError):
            return TAKEN
        return LOST


LOST = "its process has died: the study is free"
TAKEN = "taken over"


class _Process:
    """A process that runs a study. It ends with us: the end of its stdin tells it."""

    def __init__(self, order: Order, command: Sequence[str], line: Callable[[str], None]) -> None:
        self._order = order
        self._command = command
        self._line = line

    def __enter__(self) -> _Process:
        self._process = subprocess.Popen(
            list(self._command),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C is for us, who pass it on
            env=dict(os.environ),
        )
        self._reader = threading.Thread(target=self._read, name="slimfront-study-log", daemon=True)
        self._reader.start()
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has died at once
            self._process.stdin.write(self._order.to_line())
            self._process.stdin.flush()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.stop(STOP_SECONDS)
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._reader.join(STOP_SECONDS)
        assert self._process.stderr is not None
        self._process.stderr.close()

    @property
    def code(self) -> int | None:
        """How it has ended: an exit code, or the number of a signal, negative."""
        return self._process.poll()

    def ended(self, seconds: float) -> bool:
        """Waits for its end, so long at most."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self, seconds: float) -> None:
        """Asks it to end, and makes it do so after that time."""
        self._process.terminate()
        if not self.ended(seconds):
            self.kill()

    def kill(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait()

    def _read(self) -> None:
        assert self._process.stderr is not None
        with suppress(ValueError):  # closed, where somebody else holds its other end
            for line in self._process.stderr:
                self._line(line.rstrip())
