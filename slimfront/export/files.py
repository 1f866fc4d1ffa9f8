"""The files of one candidate, made again from the library and compared with what was confirmed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import safetensors.torch
import torch

from learners.export.packing import assemble_onnx, pack_candidate
from learners.export.verify import verify
from learners.library.build import library_path
from learners.library.library import Library
from learners.materialise import materialise
from objectives.workload.workload import Workload, open_workload
from searcher.baselines import DENSE, ORT_INT8
from searcher.progress import Progress
from searcher.stages.context import input_contract
from searcher.stages.files import ONNX_FILE, Files, trained_file
from searcher.stages.prepare import LIBRARIES, dense_file, open_library, prepare, study_learners
from storage.artifacts import ArtifactStore
from storage.errors import FixInputError, GiveUpError
from storage.home import Home
from storage.located import located
from storage.records.candidate import Trial
from storage.slim import SLIM_FILE, pack, unpack

if TYPE_CHECKING:
    from dashboards.study import StudyData

SAFETENSORS_FILE = "model.safetensors"
STAGE = "export"
STEPS = 4


@dataclass(frozen=True)
class ModelFiles:
    """A candidate's models and what their comparison gave."""

    files: Mapping[str, bytes]  # by file name
    verification: str  # one sentence
    workload: Workload


def make_files(data: StudyData, trial: Trial, home: Home, progress: Progress) -> ModelFiles:
    """The model files of a confirmed trial, verified on the quick images.

    Raises FixInputError if model or data have changed, GiveUpError if the files differ among themselves or from those
    that were confirmed.
    """
    progress.update(STAGE, 0, STEPS, "opening the data")
    config = located(data.config, home)
    workload = open_workload(config)
    progress.update(STAGE, 1, STEPS, "opening the level library")
    library = open_study_library(data, home, progress)
    if trial.baseline == ORT_INT8:
        content = _ort_int8(data, trial, home, workload, library)
        text = "model.onnx is the file that was measured, as onnxruntime's quantize_static wrote it"
        return ModelFiles({ONNX_FILE: content}, text, workload)
    progress.update(STAGE, 2, STEPS, "packing")
    chosen = None
    if trial.parent is None:
        chosen = library.choose(trial.candidate.levels, trial.candidate.weights)
        packed = pack(pack_candidate(library.analysis, chosen, library.ranges, input_contract(workload)))
    else:
        packed = trained_file(ArtifactStore(home.artifacts).folder(data.study.name, str(trial.number)) / SLIM_FILE)
    model = unpack(packed)
    if trial.baseline == DENSE:
        onnx_file = dense_file(library)
        _compare(data, trial, home, ONNX_FILE, onnx_file)
    else:
        onnx_file = assemble_onnx(model)
        _compare(data, trial, home, SLIM_FILE, packed)
    state: dict[str, torch.Tensor] = {
        name: tensor.contiguous() for name, tensor in materialise(model).state_dict().items()
    }
    progress.update(STAGE, 3, STEPS, "verifying")
    checked = verify(library, chosen, packed, onnx_file, workload.quick.images)
    progress.update(STAGE, STEPS, STEPS)
    files = {SLIM_FILE: packed, ONNX_FILE: onnx_file, SAFETENSORS_FILE: safetensors.torch.save(state)}
    return ModelFiles(files, checked.sentence, workload)


def open_study_library(data: StudyData, home: Home, progress: Progress) -> Library:
    """The level library that the study has used, built again if it is no longer in the cache.

    Raises FixInputError if model or data give another one by now.
    """
    assert data.analysis is not None
    wanted = data.analysis.library
    path = library_path(home.cache / LIBRARIES, wanted)
    if path.exists():
        return Library(path, wanted, study_learners(data.config))
    prepared = prepare(located(data.config, home), progress)
    library = open_library(prepared, home, lambda note, done, of: progress.update("library", done, of, note))
    if library.id != wanted:
        raise FixInputError(
            f"the model or the data of study {data.study.name} has changed since it ran (or another version of "
            "Slimfront ran it): put it back, or run a new study"
        )
    return library


def _compare(data: StudyData, trial: Trial, home: Home, name: str, content: bytes) -> None:
    """The file must be the one whose figures the front shows."""
    path = ArtifactStore(home.artifacts).folder(data.study.name, str(trial.number)) / name
    where = f"{data.study.name}/{trial.number}"
    if path.exists():
        if path.read_bytes() != content:
            raise GiveUpError(
                f"the {name} made now for {where} is not the one that was measured (other versions or another "
                f"processor): take that one, {path}, or run a new study"
            )
        return
    confirmed = data.files.get(trial.number)
    if confirmed is None or int(confirmed.value("size")) != len(content):
        raise GiveUpError(
            f"the measured {name} of {where} is gone and the one made now has another size: run a new study"
        )


def _ort_int8(
    data: StudyData,
    trial: Trial,
    home: Home,
    workload: Workload,
    library: Library,
) -> bytes:
    """The file of the baseline, from the artifacts or made again."""
    files = Files(
        library=library,
        artifacts=ArtifactStore(home.artifacts),
        study=data.study.name,
        calibration=workload.calibration.images,
        runtime=data.config.runtime,
        contract=input_contract(workload),
    )
    files.export(trial)
    return (files.artifacts.folder(data.study.name, str(trial.number)) / ONNX_FILE).read_bytes()
