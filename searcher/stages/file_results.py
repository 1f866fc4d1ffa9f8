"""Results of files on the confirmation images, whatever has made them: the search or a training."""

from __future__ import annotations

import numpy as np

from objectives.paired import pack_scores, paired_drop
from objectives.workload.subsets import Subset
from searcher.stages.context import StudyContext
from searcher.stages.evaluation import Evaluation, EvaluationTask
from searcher.stages.prepare import DenseRun, learner_options
from storage.records.candidate import Trial
from storage.records.measurement import Direction, Measurement, Result, Rung
from storage.store import StudyStore


def file_results(store: StudyStore, study: str) -> dict[int, Result]:
    """By number, the results of all files: confirmed and trained ones."""
    return {item.number: item for item in store.results(study) if item.rung.is_of_file}


def evaluation_task(context: StudyContext, dense: DenseRun, images: Subset) -> EvaluationTask:
    """The evaluation of a study's files on `images`, on which `dense` was run."""
    search, files = context.config.search, context.files
    return EvaluationTask(
        path=context.library.path,
        library=context.library.id,
        learners=search.learners,
        options=learner_options(context.config),
        images=images,
        calibration=files.calibration,
        metric=context.config.data.metric,
        dense=dense,
        artifacts=files.artifacts,
        study=files.study,
        runtime=files.runtime,
        contract=files.contract,
    )


def file_result(
    context: StudyContext, dense: DenseRun, trial: Trial, found: Evaluation, seconds: float, rung: Rung
) -> Result:
    """What the store keeps of an evaluation that took so many CPU seconds."""
    drop = paired_drop(dense.scores, found.scores)
    count = len(found.scores)
    accuracy = 100 * float(found.scores.mean(dtype=np.float64))
    bounds = (drop.lower_points, drop.upper_points)
    return Result(
        number=trial.number,
        rung=rung,
        measurements=(
            Measurement("accuracy", accuracy, "%", Direction.MAXIMIZE, count),
            Measurement("drop", drop.drop_points, "points", Direction.MINIMIZE, count, *bounds),
            Measurement("size", found.size_bytes, "bytes", Direction.MINIMIZE),
            Measurement("onnx_size", found.onnx_bytes, "bytes", Direction.MINIMIZE),
            Measurement("macs", _macs(context, trial), "macs", Direction.MINIMIZE),
            *context.predicted(trial),
        ),
        per_image=pack_scores(found.scores),
        artifact=str(trial.number),
        seconds=seconds,
    )


def _macs(context: StudyContext, trial: Trial) -> int:
    """Of a candidate by its channels; another tool's baseline has those of the dense model."""
    return context.space.macs(trial.candidate.levels) if trial.candidate.levels else context.dense.macs
