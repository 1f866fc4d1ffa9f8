"""The int8 form of an ONNX model: quantise-dequantise pairs around what runs in int8, U8 activations, S8 weights.

ONNX Runtime fuses the pairs on the inputs and outputs of an operation into its integer kernel. Activations are U8 with
one scale a tensor, weights S8 with one scale an output channel: signed or symmetric activations cost half the speed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper

from learners.export.activations import Range
from learners.export.float_islands import keep_in_float
from learners.export.region import LAYER_FORMS, LayerNode, Region, data_inputs
from learners.graph.layers import Layer
from storage.slim import Activation

EXTERNAL_LOCATION = "model.slim"  # the tensors come from memory; the format wants a name


@dataclass(frozen=True)
class QuantisedLayer:
    """A layer that the template runs in int8."""

    node: LayerNode
    activation: int  # index of the grid of its input


@dataclass(frozen=True)
class Quantised:
    """An ONNX template whose integer tensors are left out (see `objectives.runtimes.packed.initializers`)."""

    template: onnx.ModelProto
    activations: tuple[Activation, ...]
    layers: tuple[QuantisedLayer, ...]


def layer_nodes(model: onnx.ModelProto, layers: Sequence[Layer]) -> dict[str, LayerNode]:
    """The layers that the exporter has kept as one operation on their weight, by name."""
    by_weight = {node.input[1]: index for index, node in enumerate(model.graph.node) if node.op_type in LAYER_FORMS}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    found = {}
    for layer in layers:
        index = by_weight.get(layer.weight)
        if index is None or len(readers[layer.weight]) != 1:
            continue
        node = model.graph.node[index]
        if _is_plain(node) and _has_bias(node, layer.bias, readers):
            found[layer.name] = LayerNode(layer.name, LAYER_FORMS[node.op_type], index, layer.weight, layer.bias)
    return found


def _has_bias(node: onnx.NodeProto, bias: str | None, readers: Mapping[str, Sequence[onnx.NodeProto]]) -> bool:
    """Whether the bias of a layer is where a candidate's is put: in the node, or in an addition behind a MatMul."""
    if node.op_type != "MatMul":
        return list(node.input[2:]) == ([] if bias is None else [bias])
    if bias is None:
        return True
    reading = readers.get(bias, ())
    return len(reading) == 1 and reading[0].op_type == "Add" and node.output[0] in reading[0].input


def _is_plain(node: onnx.NodeProto) -> bool:
    """Whether a Gemm is x W' + b, which is what its integer kernel computes."""
    if node.op_type != "Gemm":
        return True
    given = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    plain = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1}
    return {**plain, "transB": 0, **given} == plain


def float_tensors(model: onnx.ModelProto, nodes: Mapping[str, LayerNode]) -> list[str]:
    """The tensors whose range some candidate needs: those that have a grid when every layer runs in int8."""
    region = Region(_copy(model), {node.index: node for node in nodes.values()}, {})
    names: dict[str, None] = {}
    for index in sorted(region.integer):
        node = region.nodes[index]
        names.update(dict.fromkeys(name for name in data_inputs(node) if name not in region.constants))
        names.update(dict.fromkeys(node.output[:1]))
    return list(names)


def quantise(
    model: onnx.ModelProto,
    nodes: Mapping[str, LayerNode],
    quantised: Sequence[str],
    ranges: Mapping[str, Range],
    maps: Sequence[str] = (),
) -> Quantised:
    """The template in which the layers called `quantised` run in int8 and everything else as it can.

    `nodes` come from `layer_nodes(model)`, `ranges` from `activation_ranges`. `maps` names index maps, which run in
    int8 where their input does. `model` is not changed.
    """
    work = _copy(model)
    layers_of = {nodes[name].index: nodes[name] for name in quantised}
    region = Region(work, layers_of, {nodes[name].index: nodes[name] for name in maps})
    region.absorb_clamps(ranges)
    roots = region.grids()
    order = list(dict.fromkeys(roots.values()))
    index_of = {name: order.index(root) for name, root in roots.items()}
    activations = tuple(_shared_range(root, roots, ranges).grid() for root in order)
    emitted, layers = _emit(region, index_of)
    del work.graph.node[:]
    work.graph.node.extend(keep_in_float(emitted, region.constants))
    _declare(work, len(activations), layers, model)
    return Quantised(work, activations, tuple(layers))


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    work = onnx.ModelProto()
    work.CopyFrom(model)
    return work


def _shared_range(root: str, roots: Mapping[str, str], ranges: Mapping[str, Range]) -> Range:
    found = ranges[root]
    for name, shared in roots.items():
        if shared == root:
            found = found.union(ranges[name])
    return found


def _emit(region: Region, index_of: Mapping[str, int]) -> tuple[list[onnx.NodeProto], list[QuantisedLayer]]:
    """The nodes of the new graph in order, and its layers."""
    made = {name for node in region.nodes for name in node.output}
    emitted = [pair for name, grid in index_of.items() if name not in made for pair in _pair(name, grid)]
    layers: list[QuantisedLayer] = []
    biases: dict[str, str] = {}  # of matmuls, added by a later node
    for index, node in enumerate(region.nodes):
        if index in region.dropped:
            continue
        layer = region.layers.get(index)
        source = node.input[0]
        for position, name in enumerate(node.input):
            if name in index_of:
                node.input[position] = f"{name}_d"
            elif name in biases:
                node.input[position] = biases[name]
        if layer is not None:
            number = len(layers)
            layers.append(QuantisedLayer(layer, index_of[source]))
            emitted.extend(_weights(node, layer, number))
            if layer.form == "matmul" and layer.bias is not None:
                biases[layer.bias] = f"l{number}b"
        emitted.append(node)
        for name in node.output:
            if name in index_of:
                emitted.extend(_pair(name, index_of[name]))
    return emitted, layers


def _pair(name: str, grid: int) -> list[onnx.NodeProto]:
    scale, zero = f"a{grid}s", f"a{grid}z"
    return [
        helper.make_node("QuantizeLinear", [name, scale, zero], [f"{name}_q"]),
        helper.make_node("DequantizeLinear", [f"{name}_q", scale, zero], [f"{name}_d"]),
    ]


def _weights(node: onnx.NodeProto, layer: LayerNode, number: int) -> list[onnx.NodeProto]:
    """Dequantises weight and bias in front of a layer, and makes the layer read them."""
    prefix = f"l{number}"
    axis = 1 if layer.form == "matmul" else 0
    nodes = [helper.make_node("DequantizeLinear", [f"{prefix}{c}" for c in "wsz"], [f"{prefix}W"], axis=axis)]
    node.input[1] = f"{prefix}W"
    if layer.form != "matmul" and layer.bias is not None:
        nodes.append(helper.make_node("DequantizeLinear", [f"{prefix}{c}" for c in "bto"], [f"{prefix}B"], axis=0))
        node.input[2] = f"{prefix}B"
    return nodes


def _declare(work: onnx.ModelProto, activations: int, layers: Sequence[QuantisedLayer], dense: onnx.ModelProto) -> None:
    """Takes the float weights of the int8 layers out and declares what stands in for them as external."""
    shapes = {item.name: list(item.dims) for item in dense.graph.initializer}
    gone = {name for layer in layers for name in (layer.node.weight, layer.node.bias) if name is not None}
    read = {name for node in work.graph.node for name in node.input}  # constants of an absorbed clamp are not
    kept = [item for item in work.graph.initializer if item.name not in gone and item.name in read]
    declared = []
    for grid in range(activations):
        declared.append(external(f"a{grid}s", TensorProto.FLOAT, []))
        declared.append(external(f"a{grid}z", TensorProto.UINT8, []))
    for number, layer in enumerate(layers):
        prefix, shape = f"l{number}", shapes[layer.node.weight]
        rows = [shape[1] if layer.node.form == "matmul" else shape[0]]
        declared.append(external(f"{prefix}w", TensorProto.INT8, shape))
        declared.append(external(f"{prefix}s", TensorProto.FLOAT, rows))
        declared.append(external(f"{prefix}z", TensorProto.INT8, rows))
        if layer.node.bias is not None and layer.node.form == "matmul":
            declared.append(external(f"{prefix}b", TensorProto.FLOAT, rows))
        elif layer.node.bias is not None:
            declared.append(external(f"{prefix}b", TensorProto.INT32, rows))
            declared.append(external(f"{prefix}t", TensorProto.FLOAT, rows))
            declared.append(external(f"{prefix}o", TensorProto.INT32, rows))
    del work.graph.initializer[:]
    work.graph.initializer.extend([*kept, *declared])


def external(name: str, kind: int, shape: Sequence[int]) -> onnx.TensorProto:
    """The declaration of an initializer that whoever opens the session hands over."""
    tensor = onnx.TensorProto(name=name, data_type=kind, dims=shape, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=EXTERNAL_LOCATION)
    return tensor
