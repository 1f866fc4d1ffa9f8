"""What all stages of a study work with."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cached_property

from learners.library.library import Library
from objectives.workload.workload import Workload
from searcher.progress import Progress
from storage.artifacts import ArtifactStore
from storage.home import Home
from storage.records.config import StudyConfig
from storage.records.dense import DenseFacts
from storage.records.space import SearchSpace
from storage.slim import InputContract
from storage.store import StudyStore


@dataclass
class Clock:
    """Wall seconds of a study over all its attempts."""

    before: float  # seconds of earlier attempts
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return self.before + time.monotonic() - self.started


@dataclass(frozen=True)
class StudyContext:
    """Everything a stage may use. Made once per attempt, after the library is there."""

    name: str
    config: StudyConfig
    store: StudyStore
    home: Home
    workload: Workload
    library: Library
    dense: DenseFacts
    progress: Progress
    clock: Clock

    @property
    def space(self) -> SearchSpace:
        """The search space."""
        return self.library.space

    @cached_property
    def artifacts(self) -> ArtifactStore:
        """Where exported files go."""
        return ArtifactStore(self.home.artifacts)

    @property
    def contract(self) -> InputContract:
        """What the exported models take."""
        return input_contract(self.workload)

    def checkpoint(self, stage: str) -> None:
        """Notes in the store what the study is doing and how long it has taken."""
        self.store.update_study(self.name, stage=stage, seconds=self.clock.seconds)


def input_contract(workload: Workload) -> InputContract:
    """The input contract of a workload's models."""
    data = workload.config.data
    return InputContract(workload.input_shape, data.mean, data.std, tuple(workload.classes))
