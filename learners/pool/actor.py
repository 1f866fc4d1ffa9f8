"""What runs in a worker's process."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from learners.pool.base import Outcome, Runner, Task, run_jobs
from learners.pool.wire import register_tensors
from storage.errors import SlimfrontError

TEMPORARY = "SLIMFRONT_WORKER_FILES"  # variable with the folder of temporary files


@dataclass(frozen=True)
class Fatal:
    """An error that ends the study, on its way back: Ray would wrap it in one of its own."""

    error: SlimfrontError


class Actor:
    """Holds one opened task. It has no state that results depend on."""

    def __init__(self) -> None:
        tempfile.tempdir = os.environ.get(TEMPORARY)  # what is left there goes with the pool, however this one ends
        torch.set_num_threads(1)
        register_tensors()
        self._runner: Runner[Any, Any] | None = None

    def open(self, task: Task[Any, Any]) -> int | Fatal:
        """Opens a task in place of the one before; the number of this process."""
        try:
            self._runner = task.open()
        except SlimfrontError as error:
            return Fatal(error)
        return os.getpid()

    def run(self, jobs: Sequence[Any]) -> Iterator[Outcome[Any] | Fatal]:
        """The outcome of each job as soon as it is known, in their order."""
        assert self._runner is not None
        try:
            yield from run_jobs(self._runner, jobs, 0)
        except SlimfrontError as error:
            yield Fatal(error)
