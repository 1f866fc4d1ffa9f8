"""The pool without workers: jobs run in this process."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from types import TracebackType
from typing import Self

from learners.pool.base import J, Note, Outcome, R, Task, run_jobs


class InlinePool:
    """Runs jobs one after the other, here. A job that never ends is waited for: only a process can be stopped."""

    workers = 1

    def run(
        self,
        task: Task[J, R],
        jobs: Sequence[J],
        note: Note,  # noqa: ARG002  (no worker dies here)
        apart: bool = False,  # noqa: ARG002  (nobody waits here)
    ) -> Generator[Outcome[R], None, None]:
        """See `Pool.run`."""
        if jobs:
            yield from run_jobs(task.open(), jobs, 0)

    def close(self) -> None:
        """There is nothing to stop."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
