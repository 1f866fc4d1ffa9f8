"""The files of a trial: written once to its artifact folder, and opened as a user would open them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from learners.export.packing import assemble_onnx, pack_candidate
from objectives.baselines import ort_int8
from objectives.runtimes.packed import PackedSession
from objectives.runtimes.table import runtime
from searcher.baselines import DENSE, ORT_INT8
from searcher.stages.context import StudyContext
from searcher.stages.prepare import dense_file
from storage.errors import PackedFileError
from storage.records.candidate import Trial
from storage.records.config import PACKED_RUNTIME
from storage.slim import pack, unpack

SLIM_FILE = "model.slim"
ONNX_FILE = "model.onnx"

Session = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Exported:
    """The files of one trial, and a session on the one that a user would load."""

    session: Session
    size_bytes: int
    onnx_bytes: int


def export(context: StudyContext, trial: Trial) -> Exported:
    """The trial's files, written to its artifact folder if they are not there."""
    if trial.baseline == DENSE:
        data = dense_file(context.library)
        _write(context, trial, ONNX_FILE, data)
        return Exported(_runtime_session(context, data), len(data), len(data))
    if trial.baseline == ORT_INT8:
        data = _ort_int8(context, trial)
        return Exported(_runtime_session(context, data), len(data), len(data))
    chosen = context.library.choose(trial.candidate.levels, trial.candidate.weights)
    model = pack_candidate(context.library.analysis, chosen, context.library.ranges, context.contract)
    data = pack(model)
    _write(context, trial, SLIM_FILE, data)
    # From the bytes, not from `model`: what is measured is what the file gives.
    settings = context.config.runtime
    session = packed_session(data, settings.name, settings.threads)
    return Exported(session, len(data), len(assemble_onnx(model)))


def stored_session(context: StudyContext, trial: Trial) -> Session:
    """A session on the trial's file as it lies in the artifact folder; made again where it is gone or damaged."""
    path = context.artifacts.folder(context.name, str(trial.number)) / SLIM_FILE
    if trial.baseline in (DENSE, ORT_INT8) or not path.exists():
        return export(context, trial).session
    settings = context.config.runtime
    try:
        return packed_session(path.read_bytes(), settings.name, settings.threads)
    except PackedFileError:
        return export(context, trial).session


def packed_session(data: bytes, runtime_name: str, threads: int) -> Session:
    """A session on the bytes of a `model.slim`: as `slimfront.load` opens it, or on the ONNX file that it stands for
    where the runtime is another one.

    Raises PackedFileError for bytes that are damaged; GiveUpError if the runtime refuses the model.
    """
    model = unpack(data)
    if runtime_name == PACKED_RUNTIME:
        return PackedSession(model, threads)
    return runtime(runtime_name).session(assemble_onnx(model), threads)


def _runtime_session(context: StudyContext, data: bytes) -> Session:
    return runtime(context.config.runtime.name).session(data, context.config.runtime.threads)


def _ort_int8(context: StudyContext, trial: Trial) -> bytes:
    path = context.artifacts.folder(context.name, str(trial.number)) / ONNX_FILE
    if not path.exists():
        with context.artifacts.write(context.name, str(trial.number)) as folder:
            source = folder / "dense.onnx"
            source.write_bytes(dense_file(context.library))
            ort_int8(source, context.workload.calibration.images, folder / ONNX_FILE)
            source.unlink()
    return path.read_bytes()


def _write(context: StudyContext, trial: Trial, name: str, data: bytes) -> None:
    path = context.artifacts.folder(context.name, str(trial.number)) / name
    if not path.exists() or path.read_bytes() != data:
        with context.artifacts.write(context.name, str(trial.number)) as folder:
            (folder / name).write_bytes(data)
