"""Says in the store that a study's controller lives, and hears there that it is to end."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from searcher.interruption import Interruption
from searcher.progress import Progress
from storage.errors import LeaseLostError, NotFoundError, SlimfrontError, StudyCancelledError
from storage.records.lease import Lease
from storage.records.study import Step, StudyState
from storage.store import StudyStore

SHARE = 3  # beats in the time of a lease: two may be late
JOIN_SECONDS = 10.0  # for a beat that is under way; one that waits for a lost server is left to end by itself
LONGEST_PAUSE = 2.0  # seconds after which a study that is cancelled knows it


class Heartbeat(AbstractContextManager["Heartbeat"]):
    """Renews a lease from a thread of its own while the block runs, which it ends where the study is cancelled, deleted
    or taken over. Passes a study's progress on, and keeps its last line for those who watch from elsewhere."""

    def __init__(self, store: StudyStore, lease: Lease, interruption: Interruption, progress: Progress) -> None:
        self._store = store
        self._lease = lease
        self._interruption = interruption
        self._progress = progress
        self._step: Step | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="slimfront-heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(JOIN_SECONDS)

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        """See searcher.progress.Progress."""
        self._interruption.check()
        self._step = Step(stage, done, total, note)
        self._progress.update(stage, done, total, note)

    def event(self, text: str) -> None:
        """See searcher.progress.Progress."""
        self._interruption.check()
        self._progress.event(text)

    def check(self) -> None:
        """Raises whatever should have ended the study: libraries turn interrupts into errors of all kinds."""
        self._interruption.check()
        self._progress.check()

    def _beat(self) -> None:
        name = self._lease.study
        while not self._over.wait(min(self._lease.seconds / SHARE, LONGEST_PAUSE)):
            try:
                state = self._store.renew(self._lease, "" if self._step is None else self._step.to_json())
            except LeaseLostError as error:
                self._interruption.end(error)
            except NotFoundError as error:
                self._interruption.end(LeaseLostError(f"study {name} was deleted while it ran ({error})"))
            except SlimfrontError:
                continue  # the study's own writes tell whether this lasts
            else:
                if state is StudyState.CANCELLING:
                    text = f"study {name} was cancelled; what it has found is kept: `slimfront resume {name}` goes on"
                    self._interruption.end(StudyCancelledError(text))
