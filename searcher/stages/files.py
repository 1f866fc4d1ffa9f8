"""The files of a trial: written once to its artifact folder, and opened as a user would open them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from learners.export.packing import assemble_onnx, pack_candidate
from learners.library.library import Library
from objectives.baselines import ort_int8
from objectives.runtimes.packed import PackedSession
from objectives.runtimes.table import runtime
from searcher.baselines import DENSE, ORT_INT8
from searcher.stages.prepare import dense_file
from storage.artifacts import ArtifactStore
from storage.errors import FixInputError, GiveUpError, PackedFileError
from storage.home import Home
from storage.records.candidate import Trial
from storage.records.config import PACKED_RUNTIME, RuntimeConfig
from storage.slim import SLIM_FILE, InputContract, pack, unpack

ONNX_FILE = "model.onnx"

Session = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Exported:
    """The files of one trial, and a session on the one that a user would load."""

    session: Session
    size_bytes: int
    onnx_bytes: int


@dataclass(frozen=True, eq=False)
class Files:
    """Makes and opens the files of one study's trials."""

    library: Library
    artifacts: ArtifactStore
    study: str
    calibration: npt.NDArray[np.float32]  # [n, *input]: another tool's baseline is made from them
    runtime: RuntimeConfig
    contract: InputContract

    def export(self, trial: Trial) -> Exported:
        """The trial's files, written to its artifact folder if they are not there."""
        if trial.baseline == DENSE:
            data = dense_file(self.library)
            self._write(trial, ONNX_FILE, data)
            return Exported(self._session(data), len(data), len(data))
        if trial.baseline == ORT_INT8:
            data = self._ort_int8(trial)
            return Exported(self._session(data), len(data), len(data))
        if trial.parent is not None:
            return self._trained(trial)
        library = self.library
        chosen = library.choose(trial.candidate.levels, trial.candidate.weights)
        model = pack_candidate(library.analysis, chosen, library.ranges, self.contract)
        data = pack(model)
        self._write(trial, SLIM_FILE, data)
        # From the bytes, not from `model`: what is measured is what the file gives.
        session = packed_session(data, self.runtime.name, self.runtime.threads)
        return Exported(session, len(data), len(assemble_onnx(model)))

    def _trained(self, trial: Trial) -> Exported:
        """The file that training has left: only training could make it again."""
        data = trained_file(self._folder(trial) / SLIM_FILE)
        session = packed_session(data, self.runtime.name, self.runtime.threads)
        return Exported(session, len(data), len(assemble_onnx(unpack(data))))

    def stored_session(self, trial: Trial) -> Session:
        """A session on the trial's file as it lies in the artifact folder; made again where it is gone or damaged."""
        path = self._folder(trial) / SLIM_FILE
        if trial.baseline in (DENSE, ORT_INT8) or not path.exists():
            return self.export(trial).session
        try:
            return packed_session(path.read_bytes(), self.runtime.name, self.runtime.threads)
        except PackedFileError:
            return self.export(trial).session

    def _folder(self, trial: Trial) -> Path:
        return self.artifacts.folder(self.study, str(trial.number))

    def _session(self, data: bytes) -> Session:
        return runtime(self.runtime.name).session(data, self.runtime.threads)

    def _ort_int8(self, trial: Trial) -> bytes:
        path = self._folder(trial) / ONNX_FILE
        if not path.exists():
            with self.artifacts.write(self.study, str(trial.number)) as folder:
                source = folder / "dense.onnx"
                source.write_bytes(dense_file(self.library))
                ort_int8(source, self.calibration, folder / ONNX_FILE)
                source.unlink()
        return path.read_bytes()

    def _write(self, trial: Trial, name: str, data: bytes) -> None:
        path = self._folder(trial) / name
        if not path.exists() or path.read_bytes() != data:
            with self.artifacts.write(self.study, str(trial.number)) as folder:
                (folder / name).write_bytes(data)


def packed_session(data: bytes, runtime_name: str, threads: int) -> Session:
    """A session on the bytes of a `model.slim`: as `slimfront.load` opens it, or on the ONNX file that it stands for
    where the runtime is another one.

    Raises PackedFileError for bytes that are damaged; GiveUpError if the runtime refuses the model.
    """
    model = unpack(data)
    if runtime_name == PACKED_RUNTIME:
        return PackedSession(model, threads)
    return runtime(runtime_name).session(assemble_onnx(model), threads)


def trained_file(path: Path) -> bytes:
    """The `model.slim` that training has left at `path`. GiveUpError where it is gone."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise GiveUpError(f"{path}, which training has left, is gone ({error.strerror}): put it back") from error


def stored_file_session(home: Home, name: str, trial: Trial, runtime_name: str, threads: int) -> Session:
    """A session on the file of a trial as it lies in the artifact folder. FixInputError where it is gone."""
    folder = ArtifactStore(home.artifacts).folder(name, str(trial.number))
    packed, plain = folder / SLIM_FILE, folder / ONNX_FILE
    if not packed.exists() and not plain.exists():
        raise FixInputError(
            f"{folder} holds no model of {name}/{trial.number}: copy the artifact folder of the machine that made it, "
            "or run a new study"
        )
    if not packed.exists():
        return runtime(runtime_name).session(plain.read_bytes(), threads)
    return packed_session(packed.read_bytes(), runtime_name, threads)
