"""Follows the units of a coupling through the ONNX form of the same model.

The exporter's graph is another one than the traced graph: nodes are merged, constants folded, shapes written out. Only
the layers are known by their weights; from their outputs on, units are followed as in `learners.channel.coupling`, by
running what moves values on tensors of units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from learners.channel.coupling import Coupling, Slot
from learners.channel.reasons import MODEL_OUTPUT, SEVERAL_WAYS, place, unfollowed
from learners.export.region import LayerNode
from objectives.runtimes.onnxruntime import LOG_ERRORS_ONLY, PROVIDER

ELEMENTWISE = frozenset(
    {
        "Abs", "Add", "Cast", "Clip", "Div", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish", "Identity",
        "LeakyRelu", "Log", "Max", "Min", "Mish", "Mul", "Neg", "PRelu", "Pow", "Reciprocal", "Relu", "Selu",
        "Sigmoid", "Softplus", "Sqrt", "Sub", "Tanh",
    }
)  # fmt: skip
BY_CHANNEL = frozenset(
    {"AveragePool", "GlobalAveragePool", "GlobalMaxPool", "InstanceNormalization", "MaxPool", "Pad", "Resize"}
)
REDUCING = frozenset({"ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum"})
SIZED = frozenset({"Reshape", "Expand", "Split", "Slice"})
MOVING = SIZED | {"Concat", "Flatten", "Squeeze", "Transpose", "Unsqueeze"}
NORM = "BatchNormalization"
NORM_PARAMETERS = 4
OPSET_DOMAINS = ("", "ai.onnx")

Array = npt.NDArray[np.generic]


@dataclass(frozen=True)
class OnnxResized:
    """A node whose constants name a number of channels."""

    outputs: tuple[Slot | None, ...]
    source: Slot | None
    constants: tuple[Array | None, ...]  # of the inputs behind the first one, as they are in the dense model
    output_shape: tuple[int, ...]  # of the first output, for one sample


@dataclass(frozen=True)
class OnnxLanes:
    """Where channels stand in an ONNX model."""

    tensors: Mapping[str, tuple[Slot, ...]]  # initializers that shrink
    resized: Mapping[int, OnnxResized]  # nodes, by index
    groups: Mapping[int, str]  # depthwise convolutions: node -> layer
    blocked: Mapping[int, str]  # units that must stay after all, and why
    values: Mapping[str, Slot]  # tensors between the nodes that shrink
    shapes: Mapping[str, tuple[int, ...]]  # of every tensor between the nodes, for one sample


def follow_onnx(
    model: onnx.ModelProto,
    nodes: Mapping[str, LayerNode],
    depthwise: frozenset[str],
    coupling: Coupling,
    sample: npt.NDArray[np.float32],
) -> OnnxLanes:
    """The lanes of `model`, whose layers stand at `nodes`; `sample` [1, ...] is any input."""
    return _OnnxFollower(model, nodes, depthwise, coupling, _run_all(model, sample)).run()


def _run_all(model: onnx.ModelProto, sample: npt.NDArray[np.float32]) -> dict[str, Array]:
    """Every value of the graph for one sample."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    names = [name for node in model.graph.node for name in node.output if name]
    del probe.graph.output[:]
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = LOG_ERRORS_ONLY
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(probe.SerializeToString(), options, providers=[PROVIDER])
    source = model.graph.input[0].name
    return {source: sample, **dict(zip(names, session.run(names, {source: sample}), strict=True))}


class _OnnxFollower:
    def __init__(
        self,
        model: onnx.ModelProto,
        nodes: Mapping[str, LayerNode],
        depthwise: frozenset[str],
        coupling: Coupling,
        values: Mapping[str, Array],
    ) -> None:
        self._model = model
        self._by_index = {node.index: node for node in nodes.values()}
        self._depthwise = depthwise
        self._coupling = coupling
        self._values = values
        self._constants: dict[str, Array] = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
        self._slots: dict[str, Slot] = {}
        self._tensors: dict[str, dict[int, Slot]] = {}
        self._resized: dict[int, OnnxResized] = {}
        self._groups: dict[int, str] = {}
        self._blocked: dict[int, str] = {}
        self._stretched = {  # vectors that have been given further axes of length 1
            node.output[0]: node.input[0]
            for node in model.graph.node
            if node.op_type == "Unsqueeze" and getattr(self._constants.get(node.input[0]), "ndim", 0) == 1
        }

    def run(self) -> OnnxLanes:
        for index, node in enumerate(self._model.graph.node):
            layer = self._by_index.get(index)
            if layer is not None:
                self._layer(index, node, layer)
            elif any(name in self._slots for name in node.input):
                self._visit(index, node)
        for item in self._model.graph.output:
            self._block([item.name], MODEL_OUTPUT)
        self._block_whole_readers()
        tensors = {name: tuple(found[axis] for axis in sorted(found)) for name, found in self._tensors.items()}
        shapes = {name: value.shape for name, value in self._values.items()}
        return OnnxLanes(tensors, self._resized, self._groups, self._blocked, self._slots, shapes)

    def _layer(self, index: int, node: onnx.NodeProto, layer: LayerNode) -> None:
        coupling = self._coupling
        slots = coupling.tensors.get(layer.weight, ())
        flipped = layer.form == "matmul"
        for slot in slots:
            axis = 1 - slot.axis if flipped and slot.axis < 2 else slot.axis
            self._follow(layer.weight, Slot(axis, slot.units))
        if layer.bias is not None and layer.bias in coupling.tensors and layer.bias in node.input:
            self._follow(layer.bias, *coupling.tensors[layer.bias])
        if layer.name in self._depthwise:
            self._groups[index] = layer.name
        units = coupling.outputs.get(layer.name)
        if units is not None and units.any():
            axis = self._values[node.output[0]].ndim - 1 if layer.form == "matmul" else 1
            self._slots[node.output[0]] = Slot(axis, units)

    def _visit(self, index: int, node: onnx.NodeProto) -> None:
        kind = node.op_type
        source = self._slots.get(node.input[0])
        if node.domain not in OPSET_DOMAINS:
            self._block_node(node)
        elif kind in ELEMENTWISE:
            self._elementwise(node)
        elif kind == NORM and source is not None and source.axis == 1:
            for name in node.input[1 : 1 + NORM_PARAMETERS]:
                self._follow(name, Slot(0, source.units))
            self._slots[node.output[0]] = source
        elif kind in BY_CHANNEL and source is not None and source.axis == 1 and self._plain(node):
            self._slots[node.output[0]] = source
        elif kind in REDUCING and source is not None:
            self._reduced(node, source)
        elif kind in MOVING:
            self._move(index, node)
        else:
            self._block_node(node)

    def _plain(self, node: onnx.NodeProto) -> bool:
        """Whether an operation on every channel has no tensor of as many values as channels."""
        source = self._slots[node.input[0]]
        return node.op_type != "InstanceNormalization" and (self._values[node.output[0]].shape[1] == len(source.units))

    def _follow(self, name: str, *slots: Slot) -> None:
        known = self._tensors.setdefault(name, {})
        for slot in slots:
            before = known.setdefault(slot.axis, slot)
            if not np.array_equal(before.units, slot.units):
                reason = SEVERAL_WAYS.format(name)
                self._blocked.update(dict.fromkeys([*before.units.tolist(), *slot.units.tolist()], reason))

    def _block(self, names: Sequence[str], reason: str) -> None:
        for name in names:
            if name in self._slots:
                self._blocked.update(dict.fromkeys(self._slots[name].units.tolist(), reason))

    def _block_node(self, node: onnx.NodeProto) -> None:
        self._block(node.input, self._unfollowed(node))

    def _unfollowed(self, node: onnx.NodeProto) -> str:
        where = place(node.op_type, self._nearest(node.input, back=True), self._nearest(node.output, back=False))
        return f"in ONNX {unfollowed(where)}"

    def _nearest(self, names: Sequence[str], back: bool) -> str | None:
        """The layer that is the nearest before or behind the tensors `names`."""
        queue = list(names)
        for name in queue:
            for index, node in enumerate(self._model.graph.node):
                if name in (node.output if back else node.input):
                    if index in self._by_index:
                        return self._by_index[index].name
                    queue += [item for item in (node.input if back else node.output) if item not in queue]
        return None

    def _elementwise(self, node: onnx.NodeProto) -> None:
        ndim = self._values[node.output[0]].ndim
        first = next(name for name in node.input if name in self._slots)
        slot = self._slots[first]
        axis = slot.axis + ndim - self._values[first].ndim
        for name in node.input:
            shape = self._constants[name].shape if name in self._constants else self._values[name].shape if name else ()
            place = axis - (ndim - len(shape))
            if place < 0 or shape[place] == 1:
                continue
            other = self._slots.get(name)
            if name in self._constants:
                self._follow(name, Slot(place, slot.units))
            elif name in self._stretched:
                self._follow(self._stretched[name], Slot(0, slot.units))
            elif other is None or not np.array_equal(other.units, slot.units):
                self._block_node(node)
        self._slots[node.output[0]] = Slot(axis, slot.units)

    def _reduced(self, node: onnx.NodeProto, source: Slot) -> None:
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        ndim = self._values[node.input[0]].ndim
        given = attributes.get("axes")
        if given is None and len(node.input) > 1 and node.input[1] in self._constants:
            given = self._constants[node.input[1]].tolist()
        gone = {int(axis) % ndim for axis in given} if given is not None else set(range(ndim))
        if source.axis in gone:
            self._block_node(node)
            return
        kept = attributes.get("keepdims", 1)
        axis = source.axis if kept else source.axis - sum(item < source.axis for item in gone)
        self._slots[node.output[0]] = Slot(axis, source.units)

    def _move(self, index: int, node: onnx.NodeProto) -> None:
        feeds = {name: self._labels(name) for name in dict.fromkeys(node.input) if name}
        inputs = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for name, value in feeds.items()
        ]
        graph = helper.make_graph([node], "move", inputs, [onnx.ValueInfoProto(name=name) for name in node.output])
        model = helper.make_model(graph, opset_imports=self._model.opset_import)
        try:
            results = ReferenceEvaluator(model).run(None, feeds)
        except (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError):  # a form that it does not know
            self._block_node(node)
            return
        outputs = tuple(self._compress(node, np.asarray(result, np.int64)) for result in results)
        for name, slot in zip(node.output, outputs, strict=True):
            if slot is not None:
                self._slots[name] = slot
        if node.op_type in SIZED:
            self._resized[index] = OnnxResized(
                outputs=outputs,
                source=self._slots.get(node.input[0]),
                constants=tuple(
                    self._constants.get(name, self._values.get(name)) if name else None for name in node.input[1:]
                ),
                output_shape=self._values[node.output[0]].shape,
            )

    def _labels(self, name: str) -> Array:
        if name in self._slots:
            slot, shape = self._slots[name], self._values[name].shape
            view = [1] * len(shape)
            view[slot.axis] = len(slot.units)
            return np.array(np.broadcast_to(slot.units.reshape(view), shape))
        value = self._constants[name] if name in self._constants else self._values[name]
        return value if value.dtype == np.int64 else np.zeros(value.shape, np.int64)

    def _compress(self, node: onnx.NodeProto, units: npt.NDArray[np.int64]) -> Slot | None:
        varying = [axis for axis in range(units.ndim) if (units != units.take([0], axis)).any()]
        if len(varying) == 1:
            (axis,) = varying
            return Slot(axis, np.moveaxis(units, axis, 0).reshape(units.shape[axis], -1)[:, 0])
        if units.any():
            self._blocked.update(dict.fromkeys(np.unique(units).tolist(), self._unfollowed(node)))
        return None

    def _block_whole_readers(self) -> None:
        """A tensor that one node reads in part and another one whole must stay."""
        readers: dict[str, int] = {}
        for node in self._model.graph.node:
            for name in set(node.input):
                readers[name] = readers.get(name, 0) + 1
        layers = {name for node in self._by_index.values() for name in (node.weight, node.bias)}
        for name, found in self._tensors.items():
            if name in layers or readers.get(name, 0) <= 1:
                continue
            aware = sum(
                name in node.input and (any(item in self._slots for item in node.input))
                for node in self._model.graph.node
            )
            if aware < readers[name]:
                units = [unit for slot in found.values() for unit in slot.units.tolist()]
                self._blocked.update(dict.fromkeys(units, SEVERAL_WAYS.format(name)))
