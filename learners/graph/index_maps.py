"""Index maps: slices and zero pads of channels become fixed 1x1 convolutions.

An option-A shortcut (He et al. 2016, 1512.03385, section 3.3) takes every second pixel and pads the channels with zeros
on both sides. As a convolution with weights of zeros and ones it computes the same to the last bit, each of its
channels can be removed by itself on either side, and ONNX Runtime runs it faster than the slices and the pad.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from learners.graph.graph import Graph, Node, Ref, replace_nodes, unused_name, without_unread
from learners.graph.layers import CONVOLUTION, INDEX_MAP, Layer

PADS = frozenset({"aten.pad.default", "aten.constant_pad_nd.default"})
SLICE = "aten.slice.Tensor"
AXES = 4  # of an image batch [n, channels, height, width]
SPATIAL_AXES = (2, 3)


def with_index_maps(
    graph: Graph, tensors: Mapping[str, torch.Tensor], shapes: Mapping[str, tuple[int, ...]]
) -> tuple[Graph, dict[str, torch.Tensor], tuple[Layer, ...]]:
    """The graph with index maps for its pads of channels, its tensors, and the maps.

    `shapes` are those of all values for one sample. A map's weight is called after the value that it makes.
    """
    consumers = graph.consumers()
    found: dict[str, Layer] = {}
    weights: dict[str, torch.Tensor] = {}
    for node in graph.nodes:
        pads = _channel_pads(node, shapes)
        if pads is None:
            continue
        source, stride = _strided_source(graph, node, consumers, shapes)
        channels = shapes[source][1]
        name = unused_name(f"{node.name}.map", (*tensors, *weights))
        before, after = pads
        weight = torch.zeros(before + channels + after, channels, 1, 1)
        weight[torch.arange(channels) + before, torch.arange(channels)] = 1.0
        weights[f"{name}.weight"] = weight
        weights[f"{name}.bias"] = torch.zeros(len(weight))  # gains the mean of channels that a candidate does without
        found[node.name] = Layer(
            name=name,
            kind=INDEX_MAP,
            node=node.name,
            source=source,
            weight=f"{name}.weight",
            bias=f"{name}.bias",
            shape=tuple(weight.shape),
            groups=1,
            stride=stride,
            padding=(0, 0),
            dilation=(1, 1),
            macs=0,  # channels are moved, nothing is computed
        )

    def edit(node: Node) -> Node | str:
        layer = found.get(node.name)
        if layer is None:
            return node
        return Node(
            node.name, CONVOLUTION, (Ref(layer.source), Ref(layer.weight), Ref(f"{layer.name}.bias"), layer.stride)
        )

    graph = without_unread(replace_nodes(graph, edit))
    return graph, {**tensors, **weights}, tuple(found.values())


def _channel_pads(node: Node, shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, int] | None:
    """How many channels of zeros a pad puts before and after; None if it is no such pad."""
    source = node.reads(0)
    if node.op not in PADS or source is None or len(shapes[source]) != AXES or node.kwargs:
        return None
    pads, rest = node.args[1], node.args[2:]
    if rest and node.op == "aten.pad.default" and rest[0] != "constant":
        return None
    values = rest[1:] if node.op == "aten.pad.default" else rest
    if values and values[0] not in (None, 0, 0.0):
        return None
    if not isinstance(pads, tuple) or len(pads) != 6 or any(pads[:4]):
        return None
    before, after = pads[4:]
    if not isinstance(before, int) or not isinstance(after, int) or min(before, after) < 0:
        return None
    return before, after


def _strided_source(
    graph: Graph, node: Node, consumers: Mapping[str, list[Node]], shapes: Mapping[str, tuple[int, ...]]
) -> tuple[str, tuple[int, int]]:
    """What stands before the slices of whole rows and columns that a pad alone reads, and their steps."""
    source = node.reads(0) or ""
    stride = [1, 1]
    while True:
        before = graph.node(source)
        if before is None or before.op != SLICE or len(consumers[source]) != 1:
            return source, (stride[0], stride[1])
        reads = before.reads(0) or ""
        axis, step = before.argument(1, 0), before.argument(4, 1)
        start, stop = before.argument(2, None), before.argument(3, None)
        if not isinstance(axis, int) or not isinstance(step, int) or (axis not in SPATIAL_AXES and step != 1):
            return source, (stride[0], stride[1])
        to_the_end = stop is None or (isinstance(stop, int) and stop >= shapes[reads][axis])
        if start not in (None, 0) or not to_the_end:
            return source, (stride[0], stride[1])
        if step != 1:
            stride[axis - SPATIAL_AXES[0]] *= step
        source = reads
