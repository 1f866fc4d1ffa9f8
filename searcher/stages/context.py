"""What all stages of a study work with."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from learners.library.library import Library
from learners.pool.base import Pool
from learners.pool.inline import InlinePool
from objectives.workload.workload import Workload
from searcher.allocation.budget import Budget
from searcher.baselines import DENSE
from searcher.notes import keep_lost_worker, keep_note
from searcher.progress import Progress
from searcher.stages.files import Files
from storage.artifacts import ArtifactStore
from storage.home import Home
from storage.records.candidate import Trial
from storage.records.config import StudyConfig
from storage.records.dense import DenseFacts
from storage.records.latency import LatencyTable
from storage.records.measurement import Direction, Measurement
from storage.records.space import QUANT, SearchSpace
from storage.slim import BYTE_BITS, InputContract
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
    latency: LatencyTable | None = None  # None where no table could be made
    pool: Pool = field(default_factory=InlinePool)

    def predicted_ms(self, levels: Sequence[int]) -> float | None:
        """Predicted latency of a candidate; None without a table."""
        return None if self.latency is None else self.latency.milliseconds(self.space, levels)

    def predicted(self, trial: Trial) -> tuple[Measurement, ...]:
        """Predicted latency and speed-up as measurements; none where they are not known.

        Another tool's int8 file is predicted as our own of 8 bits, and not at all where the study has no bits.
        """
        if self.latency is None:
            return ()
        levels = trial.candidate.levels
        if not levels:
            if all(site.learner != QUANT for site in self.space.sites):
                return ()
            levels = self.space.uniform_bits(BYTE_BITS)
        milliseconds = self.latency.milliseconds(self.space, levels)
        if trial.baseline == DENSE:
            milliseconds = self.latency.dense_ms  # the user's own file; a candidate may do without some of its nodes
        return (
            Measurement("predicted_latency", milliseconds, "ms", Direction.MINIMIZE),
            Measurement("predicted_speedup", self.latency.dense_ms / milliseconds, "x", Direction.MAXIMIZE),
        )

    @property
    def predicted_dense(self) -> DenseFacts:
        """The dense model with its predicted latency, by which predicted ones are judged."""
        return self.dense if self.latency is None else replace(self.dense, latency_ms=self.latency.dense_ms)

    @property
    def wants_macs(self) -> bool:
        """Whether the target names MACs: only then they are an axis of the front."""
        return self.config.target.cost("macs") is not None

    @property
    def space(self) -> SearchSpace:
        """The search space."""
        return self.library.space

    @property
    def files(self) -> Files:
        """Makes and opens the files of the study's trials."""
        return Files(
            library=self.library,
            artifacts=ArtifactStore(self.home.artifacts),
            study=self.name,
            calibration=self.workload.calibration.images,
            runtime=self.config.runtime,
            contract=input_contract(self.workload),
        )

    def worker_lost(self, text: str) -> None:
        """Tells the user and the store of a worker that has died or was stopped."""
        keep_lost_worker(self.store, self.name, text, self.progress)

    def note(self, text: str) -> None:
        """Tells the user, now and with the front, what to know of the search."""
        keep_note(self.store, self.name, text, self.progress)

    def checkpoint(self, stage: str) -> None:
        """Notes in the store what the study is doing and how long it has taken. DiskFullError where it cannot go on."""
        self.home.check_space()
        self.store.update_study(self.name, stage=stage, seconds=self.clock.seconds)


def study_budgets(context: StudyContext) -> tuple[Budget, ...]:
    """What the targets allow in bytes, MACs and predicted milliseconds; latency only where it can be predicted."""
    dense = {"size": float(context.dense.size_bytes), "macs": float(context.dense.macs)}
    if context.latency is not None:
        dense["latency"] = context.latency.dense_ms
    return tuple(
        Budget(cost.objective, cost.limit(dense[cost.objective]))
        for cost in context.config.target.costs
        if cost.objective in dense
    )


def input_contract(workload: Workload) -> InputContract:
    """The input contract of a workload's models."""
    data = workload.config.data
    return InputContract(workload.input_shape, data.mean, data.std, tuple(workload.classes))
