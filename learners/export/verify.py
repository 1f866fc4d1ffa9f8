"""Checks an exported candidate: what the files compute against what the search has scored (design section 5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from learners.base import Adapted
from learners.device import single_thread
from learners.graph.run import Program
from learners.library.library import Library
from learners.materialise import materialise
from learners.stitch import stitched_graph, stitched_tensors
from objectives.accuracy import evaluate
from objectives.runtimes.packed import PackedSession
from objectives.runtimes.table import runtime
from storage.errors import GiveUpError
from storage.slim import unpack

BATCH = 32  # images of one pass of a module
TOLERANCE = 1e-3  # of the largest output, between float32 computations of the same weights
LEAST_AGREEMENT = 0.98  # share of images on which int8 activations leave the predicted class as it is


@dataclass(frozen=True)
class Verification:
    """How far the files of one candidate agree."""

    images: int
    torch_difference: float  # largest, materialised module against stitched candidate, relative to the largest output
    onnx_difference: float  # largest, model.onnx against model.slim, relative to the largest output
    agreement: float  # share of images on which model.slim and the float32 module predict the same class

    @property
    def sentence(self) -> str:
        """One line for people."""
        share = f"{100 * self.agreement:.1f} % of {self.images} images"
        text = f"model.slim and model.onnx compute the same; they agree with the float32 weights on {share}"
        if self.agreement < LEAST_AGREEMENT:
            text += f" (below {100 * LEAST_AGREEMENT:.0f} %: 8-bit activations cost accuracy; the file's figures count)"
        return text


def verify(
    library: Library,
    adapted: Adapted | None,
    packed: bytes,
    onnx_file: bytes,
    images: npt.NDArray[np.float32],
) -> Verification:
    """Compares the files' outputs on `images` [n, ...]. `adapted` is what they were made from, None of a trained file,
    which is all there is. Raises GiveUpError if two of them differ that must not."""
    model = unpack(packed)
    module = materialise(model)
    with single_thread(), torch.no_grad():
        materialised = _in_batches(module, images)
    stitched = materialised if adapted is None else _stitched(library, adapted, images)
    slim = evaluate(PackedSession(model), images)
    exported = evaluate(runtime("onnxruntime").session(onnx_file, 1), images)
    result = Verification(
        images=len(images),
        torch_difference=_difference(materialised, stitched),
        onnx_difference=_difference(exported, slim),
        agreement=float((slim.argmax(1) == materialised.argmax(1)).mean()),
    )
    if max(result.torch_difference, result.onnx_difference) > TOLERANCE:
        raise GiveUpError(
            f"the exported files differ (module {result.torch_difference:.2g}, ONNX {result.onnx_difference:.2g} "
            "of the largest output): please report this model"
        )
    return result


def _stitched(library: Library, adapted: Adapted, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    program = Program(stitched_graph(library.analysis, adapted.kept))
    with single_thread(), torch.no_grad():
        return _in_batches(partial(program, stitched_tensors(library.analysis, adapted)), images)


def _in_batches(
    forward: Callable[[torch.Tensor], torch.Tensor], images: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    return np.concatenate([forward(batch).numpy() for batch in torch.split(torch.from_numpy(images), BATCH)])


def _difference(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> float:
    return float(np.abs(first - second).max() / max(1.0, float(np.abs(second).max())))
