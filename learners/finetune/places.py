"""Where the traced graph makes the tensors that an ONNX file keeps on a uint8 grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx
import torch

from learners.analysis import Analysis
from learners.export.activations import probe
from learners.graph.graph import Node
from learners.graph.run import Program
from storage.slim import PackedModel

SAMPLES = 4  # images on which values are compared
TOLERANCE = 1e-4  # of the largest value; both are float32 computations of one thing


def grids_by_value(analysis: Analysis, model: PackedModel, images: npt.NDArray[np.float32]) -> dict[str, int]:
    """For each value of the graph (its input among them) that a file of this plan keeps on a grid, the grid's index.

    The exporter has names of its own for values: they are told by what they are on some images. What it computes
    in another order, so that the graph has no such value, is left out.

    Args:
        model: the plan's file, as `learners.export.packing.pack_candidate` makes it.
        images: [n, *input], a few.
    """
    grids = template_grids(model.template)
    samples = np.ascontiguousarray(images[:SAMPLES])
    wanted = _onnx_values(analysis.template, list(grids), samples)
    found: dict[str, int] = {}

    def look(name: str, value: torch.Tensor) -> None:
        if not value.is_floating_point():
            return
        for tensor, other in list(wanted.items()):
            if name not in found and _equal(value.numpy(), other):
                found[name] = grids[tensor]
                del wanted[tensor]

    with torch.no_grad():
        batch = torch.from_numpy(samples)
        look(analysis.graph.input, batch)

        def observe(node: Node, value: torch.Tensor) -> None:
            look(node.name, value)

        Program(analysis.graph)(analysis.tensors, batch, observe)
    return found


def template_grids(template: bytes) -> dict[str, int]:
    """For each tensor that a template quantises, the index of its grid."""
    nodes = onnx.load_from_string(template).graph.node
    return {node.input[0]: int(node.input[1][1:-1]) for node in nodes if node.op_type == "QuantizeLinear"}


def _onnx_values(
    model: onnx.ModelProto, names: Sequence[str], images: npt.NDArray[np.float32]
) -> dict[str, npt.NDArray[np.float32]]:
    source = model.graph.input[0].name
    made = [name for name in names if name != source]
    values = probe(model, made).run(made, {source: images}) if made else []
    return {**({source: images} if source in names else {}), **dict(zip(made, values, strict=True))}


def _equal(value: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> bool:
    if value.shape != other.shape:
        return False
    return float(np.abs(value - other).max(initial=0.0)) <= TOLERANCE * max(1.0, float(np.abs(other).max(initial=0.0)))
