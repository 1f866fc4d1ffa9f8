"""A store that waits for its server: what was cut short there is done again."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_exponential

from storage.errors import RetryError, StoreLockedError, StoreLostError
from storage.records.lease import Lease
from storage.store import StudyStore

PATIENCE_SECONDS = 60.0  # a server that restarts is back by then
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds between two tries

REFUSING = frozenset({"claim", "delete_study", "extend_study", "requeue"})  # where somebody runs the study
Note = Callable[[str], None]  # one line for the user


class _PatientStore:
    """Hands every call on. Methods of a StudyStore may be repeated when it is not known whether they have landed."""

    def __init__(self, store: StudyStore, note: Note, seconds: float) -> None:
        self._store = store
        self._note = note
        self._seconds = seconds

    def under(self, lease: Lease) -> StudyStore:
        return patient(self._store.under(lease), self._note, self._seconds)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        @wraps(method)
        def call(*arguments: Any, **options: Any) -> Any:
            again = Retrying(
                retry=retry_if_exception(lambda error: _passes(error, name)),
                wait=wait_exponential(FIRST_PAUSE, LONGEST_PAUSE),
                stop=stop_after_delay(self._seconds),
                before_sleep=self._tell,
                reraise=True,
            )
            return again(method, *arguments, **options)

        return call

    def _tell(self, state: RetryCallState) -> None:
        if state.attempt_number == 1 and state.outcome is not None:
            self._note(f"{state.outcome.exception()}; trying for {self._seconds:.0f} s")


def _passes(error: BaseException, method: str) -> bool:
    """Whether the same call may succeed in a moment: the server is away, or others hold what it needs."""
    if isinstance(error, StoreLockedError):
        return method not in REFUSING
    return isinstance(error, StoreLostError) or type(error) is RetryError


def patient(store: StudyStore, note: Note, seconds: float = PATIENCE_SECONDS) -> StudyStore:
    """`store` for those who run studies: a call that is cut short by its server is made again, for `seconds` at most.

    Where it had landed all the same, claims give the same lease and results stay as they are; a study may have an event
    twice, and its end is refused, as its lease is gone: see `Controller`. A look with `again` may be noted twice.
    """
    return cast(StudyStore, _PatientStore(store, note, seconds))
