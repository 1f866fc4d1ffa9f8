"""Tasks for pools: sums, and jobs that go wrong in every way."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from storage.errors import GiveUpError

OPENED = "opened"  # a file with a letter for each time
LITTER = "litter-"  # folders that a process leaves which dies
FOREVER_SECONDS = 3600.0


class Trouble(Enum):
    """What a job may do in place of its work."""

    RAISE = "raise"
    RAISE_ONCE = "raise once"  # in each process
    END_STUDY = "end study"
    DIE = "die"
    DIE_ONCE = "die once"
    HANG = "hang"


@dataclass(frozen=True)
class Job:
    """A number to be squared."""

    number: int
    trouble: Trouble | None = None
    seconds: float = 0.0  # that it takes; of one that dies, before it does


@dataclass(frozen=True)
class Squares:
    """Squares numbers. `folder` remembers over the deaths of workers what was tried."""

    folder: Path
    fails_to_open: bool = False
    patience: float = 1.0
    threads: int | None = None

    def open(self) -> SquareRunner:
        """See `Task.open`."""
        if self.fails_to_open:
            raise RuntimeError("the task does not open here")
        with (self.folder / OPENED).open("a") as file:
            file.write("x")
        return SquareRunner(self.folder)


class SquareRunner:
    """See `Runner`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._raised: set[int] = set()

    def run(self, jobs: Sequence[Job]) -> Iterator[int]:
        """The square of each job's number."""
        for job in jobs:
            self._trouble(job)
            yield job.number**2

    def _trouble(self, job: Job) -> None:
        if job.trouble is Trouble.RAISE:
            raise ValueError(f"no square of {job.number}\nand a second line")
        if job.trouble is Trouble.RAISE_ONCE and job.number not in self._raised:
            self._raised.add(job.number)
            raise ValueError("only once")
        if job.trouble is Trouble.END_STUDY:
            raise GiveUpError("the library is damaged: delete it")
        if job.trouble is Trouble.HANG:
            time.sleep(FOREVER_SECONDS)
        tried = self._folder / str(job.number)
        dies = job.trouble is Trouble.DIE or (job.trouble is Trouble.DIE_ONCE and not tried.exists())
        if dies or job.trouble is None:
            time.sleep(job.seconds)
        if dies:
            tempfile.mkdtemp(prefix=LITTER)
            with tried.open("a") as file:
                file.write("x")
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Where:
    """Says on which node of Ray a job runs."""

    patience: float = 1.0
    threads: int | None = None

    def open(self) -> Where:
        """See `Task.open`."""
        return self

    def run(self, jobs: Sequence[int]) -> Iterator[str]:
        """The node's id for each job, after a moment in which others get theirs."""
        import ray

        for _ in jobs:
            time.sleep(1.0)
            yield ray.get_runtime_context().get_node_id()
