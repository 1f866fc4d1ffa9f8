"""Surgery: takes the channels out of a graph and its tensors that a candidate does without."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from learners.channel import operations as ops
from learners.channel.coupling import Coupling, Resized, Slot
from learners.graph.graph import Graph, Node, replace_nodes
from learners.graph.layers import DEPTHWISE, Layer

# Whether each unit stays, by its number; unit 0 always does.
Kept: TypeAlias = npt.NDArray[np.bool_]

GROUPS_POSITION = 6  # of conv2d's arguments
SPLIT_WITH_SIZES = "aten.split_with_sizes.default"


def everything(coupling: Coupling) -> Kept:
    """The dense model: every unit stays."""
    largest = max((int(units.max()) for units in coupling.outputs.values()), default=0)
    return np.ones(largest + 1, np.bool_)


def count(slot: Slot, kept: Kept) -> int:
    """How long an axis is after the cut."""
    return int(kept[slot.units].sum())


def cut_tensor(tensor: torch.Tensor, slots: Sequence[Slot], kept: Kept) -> torch.Tensor:
    """A parameter without what goes; the same object if all of it stays."""
    for slot in slots:
        places = kept[slot.units]
        if not places.all():
            tensor = tensor.index_select(slot.axis, torch.from_numpy(np.flatnonzero(places)).to(tensor.device))
    return tensor


def cut_graph(graph: Graph, coupling: Coupling, layers: Sequence[Layer], kept: Kept) -> Graph:
    """The graph for tensors that `cut_tensor` has cut: groups, shapes and sizes fit; the same object if none change."""
    if kept.all():
        return graph
    depthwise = {layer.node: layer for layer in layers if layer.kind == DEPTHWISE}

    def edit(node: Node) -> Node:
        layer, resized = depthwise.get(node.name), coupling.resized.get(node.name)
        if layer is not None:
            groups = int(kept[coupling.inputs[layer.name]].sum())
            return _replace(node, {GROUPS_POSITION: groups})
        return node if resized is None else _resize(node, resized, kept)

    return replace_nodes(graph, edit)


def _replace(node: Node, changes: Mapping[int, object]) -> Node:
    args = list(node.args)
    for position, value in changes.items():
        args[position] = value  # type: ignore[call-overload]
    return Node(node.name, node.op, tuple(args), node.kwargs)


def _resize(node: Node, resized: Resized, kept: Kept) -> Node:
    name = ops.operator_name(node.op)
    output, source = resized.outputs[0], resized.source
    if name in (ops.RESHAPE, ops.EXPAND):
        sizes = node.args[1]
        if output is None or not isinstance(sizes, tuple) or sizes[output.axis] == -1:
            return node
        changed = (*sizes[: output.axis], count(output, kept), *sizes[output.axis + 1 :])
        return _replace(node, {1: changed})
    axis = resized.axis
    if source is None or axis != source.axis:
        return node
    places = kept[source.units]
    if name == ops.SLICE:
        start = _place(node.argument(2, None), 0, places)
        stop = _place(node.argument(3, None), len(places), places)
        return Node(node.name, node.op, (node.args[0], axis, start, stop), node.kwargs)
    lengths = _split_lengths(node, name, len(places))
    bounds = np.cumsum([0, *lengths])
    sizes = tuple(int(places[start:stop].sum()) for start, stop in itertools.pairwise(bounds))
    return Node(node.name, SPLIT_WITH_SIZES, (node.args[0], sizes, axis))


def _place(bound: object, default: int, places: npt.NDArray[np.bool_]) -> int:
    """Where a bound of a slice lies once the channels before it are fewer."""
    value = bound if isinstance(bound, int) else default
    value = value + len(places) if value < 0 else value
    return int(places[: max(0, value)].sum())


def _split_lengths(node: Node, name: str, total: int) -> list[int]:
    """Lengths of the parts of a split before the cut."""
    given = node.args[1]
    if isinstance(given, tuple):
        return [int(item) for item in given]  # type: ignore[arg-type]
    assert isinstance(given, int)
    length = -(-total // given) if name == ops.CHUNK else given
    return [min(length, total - start) for start in range(0, total, length)]
