"""Ranges of the activations of the dense ONNX model over the calibration images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper

from objectives.runtimes.onnxruntime import LOG_ERRORS_ONLY, PROVIDER
from storage.slim import Activation

RECIPE = "activations-2"  # changes whenever the same images would give other ranges
LEVELS = 255  # steps of a uint8 grid
MOST_BATCH = 32
BATCH_BYTES = 2**28  # of all tensors of one batch together
VALUES = 8192  # sampled from a tensor and a batch for choosing the clipping
# Shares of the observed range to clip to; the least squared error of the sampled values decides. Clipping further
# lowers that error on and on, but cuts the few large values that decide a class: with shares down to 0.4 the squared
# error of ResNet-20's logits is 20 times what it is with these.
SHARES = (1.0, 0.95, 0.9)
SMALLEST_RANGE = 1e-6  # of a tensor that is constant; its grid must still have a step


@dataclass(frozen=True)
class Range:
    """What an activation tensor is clipped to; zero lies within."""

    low: float
    high: float

    def union(self, other: Range) -> Range:
        """The smallest range that holds both."""
        return Range(min(self.low, other.low), max(self.high, other.high))

    def grid(self) -> Activation:
        """The uint8 grid over the range, zero on it exactly."""
        scale = float(np.float32(max(self.high - self.low, SMALLEST_RANGE) / LEVELS))
        return Activation(scale, round(min(max(-self.low / scale, 0), LEVELS)))


def activation_ranges(
    model: onnx.ModelProto, names: Sequence[str], images: npt.NDArray[np.float32]
) -> dict[str, Range]:
    """The range of each float tensor in `names` over `images` [n, ...]; clipped where that lowers the squared error."""
    source = model.graph.input[0].name
    outputs = [name for name in names if name != source]
    session = probe(model, outputs)
    bounds: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    samples: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in names}
    generator = np.random.Generator(np.random.PCG64(0))
    size = _batch_size(session, source, outputs, images[:1])
    for start in range(0, len(images), size):
        batch = images[start : start + size]
        values = dict(zip(outputs, session.run(outputs, {source: batch}), strict=True)) if outputs else {}
        values[source] = batch
        for name in names:
            flat = values[name].reshape(-1)
            bounds[name].append((float(flat.min()), float(flat.max())))
            # At random: every n-th value would come from one column of the map, whose border is padding.
            samples[name].append(flat[generator.integers(0, len(flat), VALUES)])
    return {
        name: _clipped(
            min(low for low, _ in bounds[name]),
            max(high for _, high in bounds[name]),
            np.concatenate(samples[name]),
        )
        for name in names
    }


def probe(model: onnx.ModelProto, names: Sequence[str]) -> onnxruntime.InferenceSession:
    """A session that gives the float tensors `names` of a model, which is left as it is."""
    probed = onnx.ModelProto()
    probed.CopyFrom(model)
    del probed.graph.output[:]
    probed.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = LOG_ERRORS_ONLY
    return onnxruntime.InferenceSession(probed.SerializeToString(), options, providers=[PROVIDER])


def _batch_size(
    session: onnxruntime.InferenceSession, source: str, outputs: Sequence[str], image: npt.NDArray[np.float32]
) -> int:
    """How many images' tensors fit into BATCH_BYTES."""
    each = sum(value.nbytes for value in session.run(outputs, {source: image})) if outputs else 0
    return max(1, min(MOST_BATCH, BATCH_BYTES // max(1, each)))


def _clipped(low: float, high: float, values: npt.NDArray[np.float32]) -> Range:
    """The share of the range with the least squared error, rounding and clipping together."""
    low, high = min(low, 0.0), max(high, 0.0)
    best, least = Range(low, high), np.inf
    for share in SHARES:
        candidate = Range(low * share, high * share)
        grid = candidate.grid()
        codes = np.rint(values / np.float32(grid.scale) + grid.zero).clip(0, LEVELS)
        error = float(np.square((codes - grid.zero) * grid.scale - values).sum())
        if error < least:
            best, least = candidate, error
    return best
