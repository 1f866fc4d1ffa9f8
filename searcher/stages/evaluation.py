"""The evaluation of one trial's files on the confirmation images, as a task for a pool.

A metric or a runtime may hang, or take its process along: where that is a worker's, it fails the trial alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from learners.base import LearnerOptions
from learners.library.library import Library
from learners.pool.base import USUAL_SECONDS, one_line
from learners.table import in_order
from objectives.accuracy import evaluate
from objectives.metric import Metric, resolve_metric
from objectives.workload.subsets import Subset
from searcher.baselines import DENSE
from searcher.stages.files import Files
from searcher.stages.prepare import DenseRun
from storage.artifacts import ArtifactStore
from storage.errors import DiskFullError, GiveUpError
from storage.records.candidate import Trial
from storage.records.config import RuntimeConfig
from storage.slim import InputContract

MOST_BATCH = 64
BATCH_BYTES = 2**22  # of the images of one call


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a trial's files are and give."""

    scores: npt.NDArray[np.float32]  # [n] of the metric, in [0, 1]
    size_bytes: int
    onnx_bytes: int


@dataclass(frozen=True)
class Refused:
    """A trial whose files cannot be made or run, as they are each time."""

    reason: str  # one line


@dataclass(frozen=True, eq=False)
class EvaluationTask:
    """Exports trials of a study, which are its jobs, and evaluates their files."""

    path: Path  # of the library, which every worker maps into its memory
    library: str  # its id
    learners: tuple[str, ...]
    options: LearnerOptions
    images: Subset  # for confirmation
    calibration: npt.NDArray[np.float32]  # [n, *input]
    metric: str | None  # as the study file names it
    dense: DenseRun
    artifacts: ArtifactStore
    study: str
    runtime: RuntimeConfig
    contract: InputContract

    def open(self) -> EvaluationRunner:
        """See `Task.open`."""
        library = Library(self.path, self.library, in_order(self.learners, self.options))
        files = Files(library, self.artifacts, self.study, self.calibration, self.runtime, self.contract)
        metric = resolve_metric(self.metric, labelled=self.images.labels is not None)
        return EvaluationRunner(files, self.images, metric, self.dense)

    @property
    def patience(self) -> float:
        """By what the dense model took: the metric may be the user's, and hang. Another tool's baseline runs the
        calibration images, too, before its file is there."""
        share = 1 + len(self.calibration) / len(self.images)
        return max(1.0, share * self.dense.seconds / USUAL_SECONDS)

    @property
    def threads(self) -> int:
        """Of the runtime."""
        return self.runtime.threads


class EvaluationRunner:
    """See `Runner`. Threads may share it."""

    def __init__(self, files: Files, images: Subset, metric: Metric, dense: DenseRun) -> None:
        self._files = files
        self._images = images
        self._metric = metric
        self._dense = dense

    def run(self, jobs: Sequence[Trial]) -> Iterator[Evaluation | Refused]:
        """What becomes of each trial, in order."""
        return map(self._evaluate, jobs)

    def _evaluate(self, trial: Trial) -> Evaluation | Refused:
        try:
            exported = self._files.export(trial)
            if trial.baseline == DENSE:
                return Evaluation(self._dense.scores, exported.size_bytes, exported.onnx_bytes)
            images = self._images.images
            outputs = evaluate(exported.session, images, evaluation_batch(images))
        except DiskFullError:
            raise
        except GiveUpError as error:  # of this file: others may do
            return Refused(one_line(error))
        scores = self._metric.per_image(outputs, self._images.labels, self._dense.outputs)
        return Evaluation(scores, exported.size_bytes, exported.onnx_bytes)


def evaluation_batch(images: npt.NDArray[np.float32]) -> int:
    """Images of one call: fewer where they are large, as each worker holds the activations of a whole batch."""
    return max(1, min(MOST_BATCH, BATCH_BYTES // int(images[0].nbytes)))
