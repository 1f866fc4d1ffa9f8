"""A `model.slim` as a torch module: its graph with the weights that its codes stand for, in float32."""

from __future__ import annotations

import numpy as np
import torch

from learners.graph.graph import Graph
from learners.graph.layers import CONVOLUTION, LINEAR
from learners.graph.module import GraphModule
from storage.errors import PackedFileError
from storage.slim import PackedLayer, PackedModel


def materialise(model: PackedModel) -> GraphModule:
    """The module, in eval mode, on the CPU; its state dict has the names of the user's model.

    Raises PackedFileError if the graph reads a tensor that the file does not hold.
    """
    graph = Graph.from_json(model.graph)
    tensors = {item.name: torch.from_numpy(np.array(item.array)) for item in model.tensors if item.use != "onnx"}
    layers = {layer.name: layer for layer in model.layers}
    for node in graph.nodes:
        weight, bias = node.reads(1), node.reads(2)
        if node.op not in (CONVOLUTION, LINEAR) or weight is None or weight in tensors:
            continue
        layer = layers.get(weight.removesuffix(".weight"))
        if layer is None:
            continue
        tensors[weight] = float_weight(layer)
        if bias is not None and layer.bias is not None:
            tensors[bias] = torch.from_numpy(layer.float_bias())
    missing = next((name for name in graph.parameters() if name not in tensors), None)
    if missing is not None:
        raise PackedFileError(f"model.slim holds no {missing}, which its graph reads: export it again")
    return GraphModule(graph, tensors)


def float_weight(layer: PackedLayer) -> torch.Tensor:
    """The weight [out, ...] that the codes of a layer stand for."""
    shape = (-1, *[1] * (layer.codes.ndim - 1))
    half_step = layer.float_scale().reshape(shape) / 2
    steps = 2.0 * layer.codes.astype(np.float32) - layer.zero.astype(np.float32).reshape(shape)
    return torch.from_numpy((steps * half_step).astype(np.float32))
