"""Fine-tuning as a task for workers: a job is one epoch of one finalist, which begins and ends with a checkpoint.

So whatever worker is free goes on with any finalist, and one that dies costs the epoch that it was at.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from learners.base import LearnerOptions
from learners.device import pick_device, single_thread
from learners.export.packing import pack_candidate
from learners.finetune.batches import Batches
from learners.finetune.checkpoint import CHECKPOINT_FILE, Checkpoint, EpochReport
from learners.finetune.features import FeatureLoss
from learners.finetune.loss import is_classes
from learners.finetune.network import TrainedNetwork
from learners.finetune.options import TrainingOptions
from learners.finetune.places import grids_by_value
from learners.finetune.trainer import DivergedError, Span, Teacher, Trainer
from learners.graph.run import Program
from learners.library.library import Library
from learners.precision import bf16_is_exact
from learners.table import in_order
from objectives.workload.splits import Split
from storage.artifacts import ArtifactStore
from storage.errors import GiveUpError
from storage.files import atomic_write
from storage.records.candidate import Candidate
from storage.slim import SLIM_FILE, InputContract, pack

NO_FEATURES = "none"


@dataclass(frozen=True)
class EpochJob:
    """One epoch of one finalist."""

    name: str  # of its artifact
    candidate: Candidate  # of the library: the levels, and the weights that the first training began with
    start: str | None  # artifact of the training that this one goes on from; None: from the library's weights
    span: Span  # of epochs, of this training
    epoch: int  # the job's


@dataclass(frozen=True)
class Diverged:
    """A finalist whose training has failed, and would fail again."""

    reason: str  # one line


@dataclass(frozen=True, eq=False)
class FinetuneTask:
    """Trains finalists of a library. The last epoch of a span leaves the finalist's `model.slim`."""

    path: Path  # of the library, which every worker maps into its memory
    library: str  # its id
    learners: tuple[str, ...]
    learner_options: LearnerOptions
    training: Split
    calibration: npt.NDArray[np.float32]  # [n, *input]
    options: TrainingOptions
    artifacts: ArtifactStore
    study: str
    contract: InputContract

    def open(self) -> FinetuneRunner:
        """See `Task.open`."""
        return FinetuneRunner(self, Library(self.path, self.library, in_order(self.learners, self.learner_options)))

    @property
    def patience(self) -> float:
        """Without end: it is our own work, which ends; an epoch may take hours."""
        return math.inf

    @property
    def threads(self) -> None:
        """Torch's one, so that a training does not depend on how many there are."""


class FinetuneRunner:
    """See `Runner`."""

    def __init__(self, task: FinetuneTask, library: Library) -> None:
        self._task = task
        self._library = library
        self._device = pick_device()
        self._batches = Batches(task.training, task.options)

    def run(self, jobs: Sequence[EpochJob]) -> Iterator[EpochReport | Diverged]:
        """The report of each epoch, in order; at once for one that a checkpoint has already."""
        for job in jobs:
            with single_thread():
                found = self._run(job)
            yield found

    def _run(self, job: EpochJob) -> EpochReport | Diverged:
        path = self._path(job.name)
        stored = Checkpoint.read(path)
        if stored is not None and (known := [item for item in stored.reports if item.epoch == job.epoch]):
            self._write_file(job, stored)
            return known[0]
        trainer = self._trainer(job, stored)
        if trainer.epoch != job.epoch:
            raise ValueError(f"{job.name} stands at epoch {trainer.epoch}, not {job.epoch}")
        try:
            report = trainer.run_epoch()
        except DivergedError as error:
            return Diverged(str(error))
        checkpoint = trainer.checkpoint()
        checkpoint.write(path)
        self._write_file(job, checkpoint)
        return report

    @property
    def _has_labels(self) -> bool:
        """Whether there are labels that say what the model is to output; else only the dense model can teach."""
        analysis = self._library.analysis
        return self._batches.labels and is_classes(analysis.shapes[analysis.graph.output])

    def _path(self, name: str) -> Path:
        return self._task.artifacts.folder(self._task.study, name) / CHECKPOINT_FILE

    def _trainer(self, job: EpochJob, stored: Checkpoint | None) -> Trainer:
        """The trainer of a job, where its finalist stands."""
        network, options = self._network(job.candidate).to(self._device), self._task.options
        features = None
        if options.features != NO_FEATURES:
            features = FeatureLoss(self._library.analysis, self._library.kept(job.candidate.levels), options.features)
        teacher = self._teacher if options.distill or not self._has_labels else None
        trainer = Trainer(network, self._batches, options, job.span, teacher, features, self._bf16)
        if stored is not None:
            trainer.restore(stored)
        elif job.start is not None:
            before = Checkpoint.read(self._path(job.start))
            if before is None:
                raise GiveUpError(
                    f"{self._path(job.start)} is gone, from which candidate {job.name} goes on: put the file back, or "
                    f"start a new study"
                )
            network.load(before.parameters)
        return trainer

    def _network(self, candidate: Candidate) -> TrainedNetwork:
        library = self._library
        adapted = library.choose(candidate.levels, candidate.weights)
        model = pack_candidate(library.analysis, adapted, library.ranges, self._task.contract)
        grids = grids_by_value(library.analysis, model, self._task.calibration)
        return TrainedNetwork(library.analysis, adapted, model.activations, grids)

    def _write_file(self, job: EpochJob, checkpoint: Checkpoint) -> None:
        """Writes the finalist's `model.slim` after the last epoch of its span, unless it is there."""
        if job.epoch + 1 < job.span.stop:
            return
        task, library = self._task, self._library
        path = task.artifacts.folder(task.study, job.name) / SLIM_FILE
        if path.exists():  # and may have been measured
            return
        network = self._network(job.candidate)
        network.load(checkpoint.parameters)
        adapted = replace(library.choose(job.candidate.levels, job.candidate.weights), weights=network.levels())
        model = pack_candidate(library.analysis, adapted, library.ranges, task.contract)
        atomic_write(path, pack(replace(model, activations=network.activations())))

    @cached_property
    def _teacher(self) -> Teacher:
        analysis = self._library.analysis
        tensors = {name: item.to(self._device) for name, item in analysis.tensors.items()}
        return Teacher(Program(analysis.graph), tensors)

    @cached_property
    def _bf16(self) -> bool:
        """Whether bfloat16 is fast here, and exact enough for this model."""
        images = torch.from_numpy(self._task.calibration).to(self._device)
        return bf16_is_exact(self._teacher.program, self._teacher.tensors, images)
