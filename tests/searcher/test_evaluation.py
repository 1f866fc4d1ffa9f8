"""The evaluation of files as a task: how long it may take, and whose an error is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from objectives.workload.subsets import Subset
from searcher.baselines import DENSE
from searcher.stages.context import input_contract
from searcher.stages.evaluation import Evaluation, EvaluationTask, Refused
from searcher.stages.files import Exported, Files
from searcher.stages.prepare import DenseRun, Prepared, learner_options, open_library
from storage.artifacts import ArtifactStore
from storage.errors import DiskFullError, GiveUpError, SlimfrontError
from storage.home import Home
from storage.records.candidate import Candidate, Trial

SCORES = np.array([1.0, 0.0, 1.0, 1.0], np.float32)
IMAGES = len(SCORES)


@pytest.fixture(scope="module")
def task(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> EvaluationTask:
    home = Home(tmp_path_factory.mktemp("evaluation"))
    library = open_library(prepared, home, lambda *_: None)
    images = prepared.workload.confirmation
    assert images.labels is not None
    return EvaluationTask(
        path=library.path,
        library=library.id,
        learners=prepared.config.search.learners,
        options=learner_options(prepared.config),
        images=Subset(images.images[:IMAGES], images.labels[:IMAGES]),
        calibration=prepared.workload.calibration.images[:IMAGES],
        metric=None,
        dense=DenseRun(np.zeros((IMAGES, 10), np.float32), SCORES, 60.0),
        artifacts=ArtifactStore(home.artifacts),
        study="study",
        runtime=prepared.config.runtime,
        contract=input_contract(prepared.workload),
    )


def trial(task: EvaluationTask, prepared: Prepared, baseline: str | None = None) -> Trial:
    return Trial(2, Candidate((0,) * len(prepared.space.sites), task.library), "test", baseline)


def test_it_may_take_as_often_as_long_as_a_usual_job_as_the_dense_model_has(task: EvaluationTask) -> None:
    assert task.patience == 20  # 60 seconds for as many images, and again for those of calibration, of 6
    assert replace(task, calibration=task.calibration[:0]).patience == 10
    quick = DenseRun(task.dense.outputs, task.dense.scores, 0.1)
    assert replace(task, dense=quick).patience == 1


def test_the_dense_model_has_the_scores_of_its_run(task: EvaluationTask, prepared: Prepared) -> None:
    (found,) = task.open().run([trial(task, prepared, DENSE)])
    assert isinstance(found, Evaluation)
    np.testing.assert_array_equal(found.scores, SCORES)
    assert found.size_bytes == found.onnx_bytes > 0


def test_a_file_is_written_and_judged(task: EvaluationTask, prepared: Prepared) -> None:
    (found,) = task.open().run([trial(task, prepared)])
    assert isinstance(found, Evaluation)
    assert found.scores.shape == (IMAGES,)
    (written,) = task.artifacts.folder("study", "2").iterdir()
    assert written.stat().st_size == found.size_bytes


@pytest.mark.parametrize(
    ("error", "ends_study"), [(GiveUpError("the runtime refuses it"), False), (DiskFullError("no space"), True)]
)
def test_a_file_that_cannot_be_made_fails_alone_but_for_a_full_disk(
    error: SlimfrontError,
    ends_study: bool,
    task: EvaluationTask,
    prepared: Prepared,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_: Files, __: Trial) -> Exported:
        raise error

    monkeypatch.setattr(Files, "export", fail)
    run = task.open().run([trial(task, prepared)])
    if ends_study:
        with pytest.raises(DiskFullError):
            next(run)
    else:
        assert next(run) == Refused("the runtime refuses it")


def test_outputs_without_a_meaning_are_refused(task: EvaluationTask, prepared: Prepared, tmp_path: Path) -> None:
    broken = replace(task, images=Subset(np.full_like(task.images.images, np.nan), task.images.labels))
    (found,) = replace(broken, artifacts=ArtifactStore(tmp_path)).open().run([trial(task, prepared)])
    assert isinstance(found, Refused)
    assert "NaN" in found.reason
