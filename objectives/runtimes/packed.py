"""Runs a `model.slim`: expands its low bits onto int8 grids and opens an ONNX Runtime session on them.

Needs numpy, onnxruntime and the standard library only, so that a deployment can do without everything else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from objectives.runtimes.onnxruntime import LOG_FATAL_ONLY, PROVIDER, cause, failed_call, refusals
from storage.errors import FixInputError, PackedFileError
from storage.slim import BYTE_BITS, Array, PackedLayer, PackedModel, unpack

Floats = npt.NDArray[np.float32]
INT32_LIMIT = 2**31 - 1


class PackedSession:
    """A loaded model: call it with a float32 array [n, channels, height, width] to get its output [n, ...]."""

    def __init__(self, model: PackedModel, threads: int = 1) -> None:
        import onnxruntime

        kinds = refusals()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = LOG_FATAL_ONLY
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # ONNX Runtime reads the arrays in place: they live as long as the session.
        self._arrays = initializers(model)
        self._values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in self._arrays.values()]
        if self._values:
            options.add_external_initializers(list(self._arrays), self._values)
        try:
            self._session = onnxruntime.InferenceSession(model.template, options, providers=[PROVIDER])
        except kinds as error:
            raise PackedFileError(
                f"onnxruntime {onnxruntime.__version__} refuses the model: {cause(error)}; install another version"
            ) from error
        self._input = self._session.get_inputs()[0].name
        self._refusals, self._runtime = kinds, f"onnxruntime {onnxruntime.__version__}"
        self.contract = model.contract

    def __call__(self, batch: npt.NDArray[Any]) -> Floats:
        """Raises FixInputError for an array of another type or shape than the input contract's; GiveUpError where the
        call fails, as for a batch that memory does not suffice for."""
        if batch.dtype != np.float32 or batch.shape[1:] != self.contract.shape:
            raise FixInputError(
                f"the model takes float32 [n, {', '.join(map(str, self.contract.shape))}], "
                f"not {batch.dtype} {list(batch.shape)}: convert the batch"
            )
        try:
            output: Floats = self._session.run(None, {self._input: batch})[0]
        except self._refusals as error:
            raise failed_call(self._runtime, batch.shape, error) from error
        return output


def load(path: str | Path, threads: int = 1) -> PackedSession:
    """The model in a `model.slim`. Raises PackedFileError for a file that is damaged, foreign or newer."""
    return PackedSession(read(path), threads)


def read(path: str | Path) -> PackedModel:
    """What a `model.slim` holds, without a session."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise PackedFileError(
            f"{path} cannot be read ({error.strerror}): pass the model.slim that export wrote"
        ) from None
    return unpack(data)


def initializers(model: PackedModel) -> dict[str, Array]:
    """The tensors that the ONNX template of `model` leaves out, by name."""
    arrays: dict[str, Array] = {}
    for index, activation in enumerate(model.activations):
        arrays[f"a{index}s"] = np.array(activation.scale, np.float32)
        arrays[f"a{index}z"] = np.array(activation.zero, np.uint8)
    for index, layer in enumerate(model.layers):
        arrays.update(_layer_arrays(f"l{index}", layer, model.activations[layer.activation].scale))
    for item in model.tensors:
        if item.use != "torch":
            arrays[item.name] = np.ascontiguousarray(item.array.T if item.use == "transposed" else item.array)
    return arrays


def int8_weight(layer: PackedLayer) -> tuple[npt.NDArray[np.int8], Floats]:
    """The weight on an int8 grid [out, ...] and its float32 scales [out]."""
    shape = (-1, *[1] * (layer.codes.ndim - 1))
    doubled = 2 * layer.codes.astype(np.int16) - layer.zero.astype(np.int16).reshape(shape)
    scale = layer.float_scale()
    if layer.bits == BYTE_BITS:  # the zero point is even: every second step of the half grid is enough
        return (doubled // 2).astype(np.int8), scale
    return doubled.astype(np.int8), scale * np.float32(0.5)


def _layer_arrays(prefix: str, layer: PackedLayer, input_scale: float) -> dict[str, Array]:
    weight, scale = int8_weight(layer)
    rows = len(scale)
    if layer.form == "matmul":
        weight = np.ascontiguousarray(weight.T)
    arrays: dict[str, Array] = {
        f"{prefix}w": weight,
        f"{prefix}s": scale,
        f"{prefix}z": np.zeros(rows, np.int8),
    }
    if layer.bias is not None:
        bias = layer.float_bias()
        if layer.form == "matmul":
            arrays[f"{prefix}b"] = bias
        else:
            step = scale * np.float32(input_scale)
            rounded = np.rint(bias.astype(np.float64) / step).clip(-INT32_LIMIT, INT32_LIMIT)
            arrays[f"{prefix}b"] = rounded.astype(np.int32)
            arrays[f"{prefix}t"] = step
            arrays[f"{prefix}o"] = np.zeros(rows, np.int32)
    return arrays
