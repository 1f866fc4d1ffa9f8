"""The evaluation of one trial's files on the confirmation images, as a task for workers.

A metric or a runtime may hang, or take its process along: that is a worker's then, and the trial's alone.
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
from storage.artifacts import ArtifactStore
from storage.errors import DiskFullError, GiveUpError
from storage.records.candidate import Trial
from storage.records.config import RuntimeConfig
from storage.slim import InputContract

MOST_BATCH = 64
BATCH_BYTES = 2**22  # of the images of one call


@dataclass(frozen=True)
class Evaluation:
    """What a trial's files are and give, or why there are none."""

    scores: npt.NDArray[np.float32]  # [n] of the metric, in [0, 1]
    size_bytes: int
    onnx_bytes: int
    refused: str | None = None  # one line; nothing else is known then


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
    dense_outputs: npt.NDArray[np.float32]  # [n, ...] on the confirmation images
    dense_seconds: float  # that it took to compute and to judge them
    artifacts: ArtifactStore
    study: str
    runtime: RuntimeConfig
    contract: InputContract

    def open(self) -> EvaluationRunner:
        """See `Task.open`."""
        library = Library(self.path, self.library, in_order(self.learners, self.options))
        files = Files(library, self.artifacts, self.study, self.calibration, self.runtime, self.contract)
        metric = resolve_metric(self.metric, labelled=self.images.labels is not None)
        return EvaluationRunner(files, self.images, metric, self.dense_outputs)

    @property
    def patience(self) -> float:
        """By what the dense model took: the metric may be the user's, and hang."""
        return max(1.0, self.dense_seconds / USUAL_SECONDS)


class EvaluationRunner:
    """See `Runner`."""

    def __init__(self, files: Files, images: Subset, metric: Metric, dense_outputs: npt.NDArray[np.float32]) -> None:
        self._files = files
        self._images = images
        self._metric = metric
        self._dense_outputs = dense_outputs

    def run(self, jobs: Sequence[Trial]) -> Iterator[Evaluation]:
        """The evaluation of each trial, in order."""
        return map(self._evaluate, jobs)

    def _evaluate(self, trial: Trial) -> Evaluation:
        try:
            exported = self._files.export(trial)
            outputs = self._dense_outputs
            if trial.baseline != DENSE:
                images = self._images.images
                outputs = evaluate(exported.session, images, evaluation_batch(images))
        except DiskFullError:
            raise
        except GiveUpError as error:  # of this file alone: others may well do
            return Evaluation(np.zeros(0, np.float32), 0, 0, one_line(error))
        scores = self._metric.per_image(outputs, self._images.labels, self._dense_outputs)
        return Evaluation(scores, exported.size_bytes, exported.onnx_bytes)


def evaluation_batch(images: npt.NDArray[np.float32]) -> int:
    """Images of one call: fewer where they are large, as each worker holds the activations of a whole batch."""
    return max(1, min(MOST_BATCH, BATCH_BYTES // int(images[0].nbytes)))
