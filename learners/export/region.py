"""Which part of an ONNX graph runs in int8, and which of its tensors share a grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx
from onnx import numpy_helper

from learners.export.activations import Range

LAYER_FORMS = {"Conv": "conv", "Gemm": "gemm", "MatMul": "matmul"}
# Operations with an integer kernel of their own, and those that only move values: these keep the grid of their input.
MANY_INPUTS = frozenset({"Add", "Mul", "Concat"})
POOLS = frozenset({"AveragePool", "GlobalAveragePool"})
MOVES = frozenset({"MaxPool", "Reshape", "Flatten", "Transpose", "Slice", "Squeeze", "Unsqueeze", "Pad"})
CLAMPS = frozenset({"Relu", "Clip"})


@dataclass(frozen=True)
class LayerNode:
    """Where a layer stands in the ONNX graph."""

    name: str
    form: str  # "conv", "gemm", "matmul"
    index: int  # into the graph's nodes
    weight: str  # initializers
    bias: str | None


def data_inputs(node: onnx.NodeProto) -> list[str]:
    """The inputs of a node that are activations if they are no constants."""
    return list(node.input if node.op_type in MANY_INPUTS else node.input[:1])


class Region:
    """The int8 part of a graph, given the layers that are to run in int8. Edits the model it is given."""

    def __init__(self, model: onnx.ModelProto, layers: Mapping[int, LayerNode], maps: Mapping[int, LayerNode]) -> None:
        self.layers = dict(layers)
        self._maps = maps
        self.nodes = list(model.graph.node)
        self.constants = {item.name: item for item in model.graph.initializer}
        self.outputs = {item.name for item in model.graph.output}
        self.dropped: set[int] = set()
        self._maker = {name: index for index, node in enumerate(self.nodes) for name in node.output}
        self._readers: dict[str, list[int]] = {}
        for index, node in enumerate(self.nodes):
            for name in node.input:
                self._readers.setdefault(name, []).append(index)
        self.integer: set[int] = set()
        for index in range(len(self.nodes)):
            if self._runs_in_int8(index):
                self.integer.add(index)
                if index in maps:
                    self.layers[index] = maps[index]

    def absorb_clamps(self, ranges: Mapping[str, Range]) -> None:
        """Drops every Relu or Clip that the unsigned grid after it does by itself."""
        for index, node in enumerate(self.nodes):
            if index not in self.integer or node.op_type not in CLAMPS:
                continue
            source = node.input[0]
            maker = self._maker.get(source, -1)
            alone = self._readers[source] == [index] and source not in self.outputs
            computes = maker in self.layers or self.nodes[maker].op_type in MANY_INPUTS | POOLS
            if maker in self.integer and alone and computes and self._grid_clamps(node, ranges[node.output[0]]):
                self.dropped.add(index)
                self.nodes[maker].output[0] = node.output[0]

    def grids(self) -> dict[str, str]:
        """For every tensor that has a grid, the tensor whose grid it has; in the order of the graph."""
        roots: dict[str, str] = {}
        for index, node in enumerate(self.nodes):
            if index not in self.integer or index in self.dropped:
                continue
            for name in data_inputs(node):
                if name not in self.constants:
                    roots.setdefault(name, name)
            output = node.output[0]
            if output not in self.outputs and self._leaves_int8(index):
                roots[output] = roots[node.input[0]] if self._moves(node) or index in self._maps else output
        return roots

    def _runs_in_int8(self, index: int) -> bool:
        node = self.nodes[index]
        if index in self.layers:
            return True
        inputs = data_inputs(node)
        if any(name in self.constants for name in inputs):
            return False
        carried = [
            self._maker[name] in self.integer and self._leaves_int8(self._maker[name])
            for name in inputs
            if name in self._maker
        ]
        follows = node.op_type in MANY_INPUTS | POOLS | CLAMPS or self._moves(node) or index in self._maps
        return follows and any(carried)

    def _moves(self, node: onnx.NodeProto) -> bool:
        """Whether the output holds values of the input and zeros, so that the input's grid fits both."""
        if node.op_type != "Pad" or len(node.input) < 3 or not node.input[2]:
            return node.op_type in MOVES
        return self._scalar(node.input[2]) == 0

    def _leaves_int8(self, index: int) -> bool:
        """Whether the output is kept in int8. A matmul's is not: its float bias comes after it."""
        layer = self.layers.get(index)
        return (layer is None or layer.form != "matmul") and self.nodes[index].output[0] not in self.outputs

    def _grid_clamps(self, node: onnx.NodeProto, range_: Range) -> bool:
        """Whether values outside the range of the grid are exactly those that the clamp would cut."""
        if range_.low != 0 or node.output[0] in self.outputs:
            return False
        if node.op_type == "Relu":
            return True
        bounds = [self._scalar(name) for name in node.input[1:]]
        return len(bounds) == 2 and bounds[0] == 0 and bounds[1] is not None and range_.high <= bounds[1]

    def _scalar(self, name: str) -> float | None:
        tensor = self.constants.get(name)
        return None if tensor is None else float(numpy_helper.to_array(tensor).item())
