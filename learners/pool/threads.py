"""Threads that take jobs where there are no workers: one that hangs is given up, and ends with the process at last."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import Any, Generic, TypeVar

POLL_SECONDS = 0.5  # between two looks at the clock
END_SECONDS = 5.0  # that threads have to end when they are told to

T = TypeVar("T")


class HangingError(Exception):
    """A job was given up: it has taken longer than it may."""


class Job(Generic[T]):
    """Something that runs on a thread, or waits for one."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._future: Future[T] = Future()
        self._started: float | None = None

    def run(self) -> None:
        """Does the work, unless it was cancelled."""
        if not self._future.set_running_or_notify_cancel():
            return
        self._started = time.monotonic()
        try:
            result = self._work()
        except BaseException as error:  # noqa: BLE001  (whoever waits for the result raises it)
            self._future.set_exception(error)
        else:
            self._future.set_result(result)

    def cancel(self) -> None:
        """Lets it not begin any more."""
        self._future.cancel()

    def result(self, seconds: float) -> T:
        """What it gave, or raised. HangingError if it runs for longer than `seconds`."""
        while True:
            try:
                return self._future.result(POLL_SECONDS)
            except TimeoutError:
                if self._future.done():  # raised by the work itself, or finished this instant
                    return self._future.result()
                if self._started is not None and time.monotonic() - self._started > seconds:
                    raise HangingError(f"it has hung for {seconds:.0f} s, and was given up") from None


class Threads:
    """So many daemon threads, which take jobs in their order. Nobody waits for one that hangs."""

    def __init__(self, count: int) -> None:
        self._queue: SimpleQueue[Job[Any] | None] = SimpleQueue()
        self._jobs: list[Job[Any]] = []
        self._threads: list[Thread] = []
        for _ in range(count):
            self.start()

    def start(self) -> None:
        """One thread more: in place of one that hangs."""
        thread = Thread(target=self._take, daemon=True)
        self._threads.append(thread)
        thread.start()

    def submit(self, work: Callable[[], T]) -> Job[T]:
        """Has a thread do it, after what was submitted before."""
        job = Job(work)
        self._jobs.append(job)
        self._queue.put(job)
        return job

    def close(self) -> None:
        """Cancels what has not begun, and waits a little for what has."""
        for job in self._jobs:
            job.cancel()
        for _ in self._threads:
            self._queue.put(None)
        until = time.monotonic() + END_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _take(self) -> None:
        while (job := self._queue.get()) is not None:
            job.run()
