"""Surgery on the ONNX form of a model: the same cut as `learners.channel.surgery` makes in the traced graph."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from learners.channel.coupling import Coupling
from learners.channel.onnx_lanes import OnnxLanes, OnnxResized
from learners.channel.surgery import Kept, count
from learners.graph.graph import unused_name

# In an ONNX shape, for the axis of the batch: what is left of all elements; as long as the axis of the input.
BATCH_AXIS = {"Reshape": -1, "Expand": 1}


def cut_onnx(
    model: onnx.ModelProto,
    lanes: OnnxLanes,
    coupling: Coupling,
    kept: Kept,
    values: Mapping[str, npt.NDArray[np.float32]],
) -> onnx.ModelProto:
    """A copy of `model` without the channels that go; its nodes keep their order and their names.

    `values` replace initializers, in the shape that they have after the cut.
    """
    work = onnx.ModelProto()
    work.CopyFrom(model)
    if not kept.all():
        for index, name in lanes.groups.items():
            _set_group(work.graph.node[index], int(kept[coupling.inputs[name]].sum()))
        for index, resized in lanes.resized.items():
            _resize(work.graph, work.graph.node[index], resized, kept)
        _drop_unread(work.graph)
    for item in work.graph.initializer:
        array = values.get(item.name)
        if array is None and item.name in lanes.tensors and not kept.all():
            array = numpy_helper.to_array(item)
            for slot in lanes.tensors[item.name]:
                array = array.compress(kept[slot.units], axis=slot.axis)
        if array is not None:
            item.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), item.name))
    return work


def _drop_unread(graph: onnx.GraphProto) -> None:
    """Removes constants whose reader has been given another one."""
    read = {name for node in graph.node for name in node.input}
    kept = [item for item in graph.initializer if item.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _set_group(node: onnx.NodeProto, groups: int) -> None:
    for attribute in node.attribute:
        if attribute.name == "group":
            attribute.i = groups


def _resize(graph: onnx.GraphProto, node: onnx.NodeProto, resized: OnnxResized, kept: Kept) -> None:
    output, source = resized.outputs[0], resized.source
    if node.op_type in BATCH_AXIS:
        if output is None or kept[output.units].all():
            return
        given = resized.constants[0]
        sizes = [BATCH_AXIS[node.op_type], *resized.output_shape[1:]]
        if given is not None and node.input[1] in {item.name for item in graph.initializer}:
            sizes = [int(size) for size in given]
        if sizes[output.axis] != -1:
            sizes[output.axis] = count(output, kept)
        if node.op_type == "Reshape":
            _drop_attribute(node, "allowzero")
        _set_input(graph, node, 1, sizes)
        return
    if source is None or kept[source.units].all():
        return
    places = kept[source.units]
    if node.op_type == "Split":
        axis = next((helper.get_attribute_value(item) for item in node.attribute if item.name == "axis"), 0)
        if axis % len(resized.output_shape) == source.axis:
            _set_input(graph, node, 1, _parts(node, resized, places))
            _drop_attribute(node, "num_outputs")
        return
    starts, ends, axes, steps = (*resized.constants, None, None)[:4]
    assert starts is not None
    assert ends is not None
    order = [int(axis) % len(resized.output_shape) for axis in axes] if axes is not None else list(range(len(starts)))
    if source.axis not in order or (steps is not None and steps[order.index(source.axis)] != 1):
        return
    place = order.index(source.axis)
    for position, bounds in ((1, starts), (2, ends)):
        changed = [int(bound) for bound in bounds]
        changed[place] = _place(changed[place], places)
        _set_input(graph, node, position, changed)


def _parts(node: onnx.NodeProto, resized: OnnxResized, places: npt.NDArray[np.bool_]) -> list[int]:
    """Lengths of the parts of a split after the cut."""
    total, outputs = len(places), len(node.output)
    given = resized.constants[0] if resized.constants else None
    each = -(-total // outputs)
    lengths = [int(item) for item in given] if given is not None else [each] * (outputs - 1)
    bounds = [0, *np.cumsum(lengths).tolist()]
    if given is None:
        bounds.append(total)
    return [int(places[start:stop].sum()) for start, stop in itertools.pairwise(bounds)]


def _place(bound: int, places: npt.NDArray[np.bool_]) -> int:
    value = bound + len(places) if bound < 0 else bound
    return int(places[: max(0, value)].sum())


def _drop_attribute(node: onnx.NodeProto, name: str) -> None:
    kept = [item for item in node.attribute if item.name != name]
    del node.attribute[:]
    node.attribute.extend(kept)


def _set_input(graph: onnx.GraphProto, node: onnx.NodeProto, position: int, values: list[int]) -> None:
    """Gives a node a constant of its own: the exporter shares equal ones."""
    taken = {item.name for item in graph.initializer} | {name for item in graph.node for name in item.output}
    name = unused_name(f"{node.output[0]}_{position}", taken)
    graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), name))
    while len(node.input) <= position:
        node.input.append("")
    node.input[position] = name
