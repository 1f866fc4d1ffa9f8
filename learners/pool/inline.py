"""The pool without workers: jobs run in this process."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from functools import partial
from types import TracebackType
from typing import Any, Self

from learners.pool.base import LEAST_SECONDS, SLOWER, J, Note, Outcome, R, Runner, Task, run_jobs
from learners.pool.threads import HangingError, Job, Threads
from objectives.hardware import available_cores


class InlinePool:
    """Runs jobs here: one after the other, or on as many threads as there are cores for, if they are such.

    Only what hangs on a thread can be given up; it goes on there until the process ends.
    """

    workers = 1

    def __init__(self, least_seconds: float = LEAST_SECONDS) -> None:
        """A job on a thread may take `least_seconds`, and more where others do."""
        self._least_seconds = least_seconds
        self._task: object = None
        self._runner: Runner[Any, Any] | None = None  # of the last task, opened

    def start(self) -> None:
        """There is nobody to start."""

    def run(
        self,
        task: Task[J, R],
        jobs: Sequence[J],
        note: Note,  # noqa: ARG002  (no worker dies here)
        apart: bool = False,  # noqa: ARG002  (nobody waits here)
    ) -> Generator[Outcome[R], None, None]:
        """See `Pool.run`."""
        if not jobs:
            return
        if self._runner is None or self._task is not task:
            self._task, self._runner = task, task.open()
        if task.threads is None:
            yield from run_jobs(self._runner, jobs, 0)
        else:
            count = min(max(1, available_cores() // task.threads), len(jobs))
            yield from self._run_beside(self._runner, jobs, count, self._least_seconds * task.patience)

    def _run_beside(
        self, runner: Runner[J, R], jobs: Sequence[J], count: int, least_seconds: float
    ) -> Iterator[Outcome[R]]:
        """The outcomes in the order of the jobs; one that hangs fails at its second attempt."""
        slowest = 0.0
        with closing(Threads(count)) as threads:
            work = [partial(_run_one, runner, job, index) for index, job in enumerate(jobs)]
            for index, first in enumerate([threads.submit(item) for item in work]):
                seconds = max(least_seconds, SLOWER * slowest)
                outcome = _in_time(first, seconds, threads)
                if outcome is None:
                    outcome = _in_time(threads.submit(work[index]), seconds, threads)
                if outcome is None:
                    outcome = Outcome(index, None, 0.0, f"took too long, 2 times {seconds:.0f} s")
                slowest = max(slowest, outcome.elapsed)
                yield outcome

    def close(self) -> None:
        """Forgets the last task."""
        self._task = self._runner = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _run_one(runner: Runner[J, R], job: J, index: int) -> Outcome[R]:
    (outcome,) = run_jobs(runner, [job], index, time.thread_time)
    return outcome


def _in_time(job: Job[Outcome[R]], seconds: float, threads: Threads) -> Outcome[R] | None:
    """What a job gives; None if it hangs, whose thread another one replaces."""
    try:
        return job.result(seconds)
    except HangingError:
        threads.start()
        return None
