"""The dense file: index maps as the slices and pads that the user's model has in their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from learners.graph.layers import Layer

SPATIAL_AXES = (2, 3)
END = 2**63 - 1  # of a slice that goes to the end


def without_index_maps(model: onnx.ModelProto, maps: Sequence[Layer]) -> onnx.ModelProto:
    """A copy of `model` that slices and pads where it has an index map; it computes the same."""
    work = onnx.ModelProto()
    work.CopyFrom(model)
    by_weight = {layer.weight: layer for layer in maps}
    weights = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer if item.name in by_weight}
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []
    for node in model.graph.node:
        layer = by_weight.get(node.input[1]) if node.op_type == "Conv" else None
        if layer is None:
            nodes.append(node)
        else:
            nodes.extend(_slice_and_pad(node, layer, weights, constants))
    del work.graph.node[:]
    work.graph.node.extend(nodes)
    gone = {name for layer in maps for name in (layer.weight, layer.bias)}
    kept = [item for item in work.graph.initializer if item.name not in gone]
    del work.graph.initializer[:]
    work.graph.initializer.extend([*kept, *constants])
    return work


def _slice_and_pad(
    node: onnx.NodeProto, layer: Layer, weights: Mapping[str, np.ndarray], constants: list[onnx.TensorProto]
) -> list[onnx.NodeProto]:
    weight = weights[layer.weight]
    before = int(weight[:, 0].argmax())
    after = weight.shape[0] - weight.shape[1] - before
    source, output = node.input[0], node.output[0]

    def constant(name: str, values: Sequence[int]) -> str:
        constants.append(numpy_helper.from_array(np.array(values, np.int64), f"{output}_{name}"))
        return f"{output}_{name}"

    nodes = []
    if layer.stride != (1, 1):
        bounds = [
            constant("starts", (0, 0)), constant("ends", (END, END)),
            constant("axes", SPATIAL_AXES), constant("steps", layer.stride),
        ]  # fmt: skip
        nodes.append(helper.make_node("Slice", [source, *bounds], [f"{output}_sliced"]))
        source = f"{output}_sliced"
    pads = constant("pads", (0, before, 0, 0, 0, after, 0, 0))
    nodes.append(helper.make_node("Pad", [source, pads], [output], mode="constant"))
    return nodes
