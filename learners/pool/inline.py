"""The pool without workers: jobs run in this process."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from types import TracebackType
from typing import Any, Self

from learners.pool.base import J, Note, Outcome, R, Runner, Task, run_jobs


class InlinePool:
    """Runs jobs one after the other, here. A job that never ends is waited for: only a process can be stopped."""

    workers = 1

    def __init__(self) -> None:
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
        yield from run_jobs(self._runner, jobs, 0)

    def close(self) -> None:
        """Forgets the last task."""
        self._task = self._runner = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
