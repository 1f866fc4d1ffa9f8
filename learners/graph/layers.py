"""Finds the layers of a graph that learners can work on, and names those that they cannot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import torch

from learners.graph.graph import Graph, Node
from storage.errors import FixInputError
from storage.records.space import Protected

CONVOLUTION = "aten.conv2d.default"
LINEAR = "aten.linear.default"
DEPTHWISE = "depthwise convolution"
INDEX_MAP = "index map"
UNEVEN_CONVOLUTION = "aten.conv2d.padding"  # folding has made numbers of the others' paddings
MULTIPLYING = frozenset(
    {
        LINEAR,
        *(f"aten.conv{axes}d.{form}" for axes in (1, 2, 3) for form in ("default", "padding")),
        "aten.conv_transpose1d.default",
        "aten.conv_transpose2d.input",
        "aten.conv_transpose3d.input",
    }
)
UNHANDLED = "only 2-D convolutions and linear layers are handled"


@dataclass(frozen=True)
class Layer:
    """A convolution or linear layer. Its weight is seen as `groups` matrices [rows, columns]."""

    name: str  # the module's name in the user's model, such as "layer1.0.conv1"
    kind: str  # "convolution", "grouped convolution", "depthwise convolution", "linear"
    node: str  # name of its value in the graph
    source: str  # name of the value that it reads
    weight: str  # names in the tensors of the graph
    bias: str | None
    shape: tuple[int, ...]  # of the weight: [out, in / groups, height, width] or [out, in]
    groups: int
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    macs: int  # of one sample

    @property
    def rows(self) -> int:
        """Output channels of one group."""
        return self.shape[0] // self.groups

    @property
    def columns(self) -> int:
        """Inputs that one output channel reads."""
        return prod(self.shape[1:])

    @property
    def matrix_shape(self) -> tuple[int, int, int]:
        """(groups, rows, columns)."""
        return self.groups, self.rows, self.columns


def find_layers(
    graph: Graph,
    tensors: Mapping[str, torch.Tensor],
    shapes: Mapping[str, tuple[int, ...]],
    keep: Sequence[str] = (),
) -> tuple[tuple[Layer, ...], tuple[Protected, ...]]:
    """The layers in the order of the graph, and what is left alone with the reason.

    `shapes` gives the shape of every value for one sample. `keep` names layers never to be touched; FixInputError
    if there is no layer of such a name.
    """
    consumers = graph.consumers()
    layers: list[Layer] = []
    protected: list[Protected] = []
    seen: set[str] = set()
    for node in graph.nodes:
        for weight in dict.fromkeys(node.references()):
            if weight not in tensors or weight in seen or not _is_weight(node, tensors[weight]):
                continue
            seen.add(weight)
            name = weight.removesuffix(".weight")
            reason = _unhandled(node, weight, tensors, consumers)
            if reason is None and name not in keep:
                layers.append(_layer(node, name, tensors, shapes))
            else:
                protected.append(Protected(name, reason or "named in [search] keep"))
    names = {layer.name for layer in layers} | {item.name for item in protected}
    unknown = next((name for name in keep if name not in names), None)
    if unknown is not None:
        raise FixInputError(f'[search] keep = "{unknown}" is no layer of the model; layers: {", ".join(sorted(names))}')
    return tuple(layers), tuple(protected)


def count_macs(graph: Graph, tensors: Mapping[str, torch.Tensor], shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Multiply-accumulates of one sample in all convolutions and linear layers, protected ones among them."""
    total = 0
    for node in graph.nodes:
        if node.op not in MULTIPLYING:
            continue
        weight = node.reads(1) or ""
        # A computed weight multiplies, too. A transposed convolution uses each weight at every place of its input.
        shape = tuple(tensors[weight].shape) if weight in tensors else shapes[weight]
        total += _macs(shape, shapes[node.reads(0) or ""] if "transpose" in node.op else shapes[node.name])
    return total


def _macs(weight: Sequence[int], values: Sequence[int]) -> int:
    """Multiply-accumulates where each value of a tensor of shape `values` takes one row of a weight, or a vector.

    All axes count: the first is not the batch of one sample alone where windows or tokens are folded into it.
    """
    return prod(values) * prod(weight[1:] if len(weight) > 1 else weight)


def _is_weight(node: Node, tensor: torch.Tensor) -> bool:
    """Whether a layer could have it; a scale or a shift of every channel, of whatever axes, is none."""
    return tensor.dim() >= 2 and (node.op in MULTIPLYING or max(tensor.shape) < tensor.numel())


def _unhandled(
    node: Node, weight: str, tensors: Mapping[str, torch.Tensor], consumers: Mapping[str, Sequence[Node]]
) -> str | None:
    if node.op == UNEVEN_CONVOLUTION:
        return 'its padding="same" is uneven, as its kernel is even'
    if node.op not in (CONVOLUTION, LINEAR):
        return f"read by {node.op.split('.')[1]}: {UNHANDLED}"
    if node.reads(1) != weight:
        return f"an input of {node.op.split('.')[1]} that is no weight"
    bias = node.reads(2)
    if bias is not None and bias not in tensors:
        return "its bias is computed"
    for part, name in (("weight", weight), ("bias", bias)):
        if name is not None and len(consumers[name]) > 1:
            return f"its {part} is used {len(consumers[name])} times"
    if not tensors[weight].is_floating_point():
        return f"its weight is {tensors[weight].dtype}"
    return None


def _layer(node: Node, name: str, tensors: Mapping[str, torch.Tensor], shapes: Mapping[str, tuple[int, ...]]) -> Layer:
    weight, source = node.reads(1), node.reads(0)
    assert weight is not None
    assert source is not None
    shape = tuple(tensors[weight].shape)
    bias = node.reads(2)
    macs = _macs(shape, shapes[node.name])
    if node.op == LINEAR:
        return Layer(name, "linear", node.name, source, weight, bias, shape, 1, (1, 1), (0, 0), (1, 1), macs)
    groups = node.args[6] if len(node.args) > 6 else 1
    assert isinstance(groups, int)
    kind = "convolution" if groups == 1 else "grouped convolution"
    if groups > 1 and shape[1] == 1:
        kind = DEPTHWISE
    stride, padding, dilation = (_pair(node, position, default) for position, default in ((3, 1), (4, 0), (5, 1)))
    return Layer(name, kind, node.name, source, weight, bias, shape, groups, stride, padding, dilation, macs)


def _pair(node: Node, position: int, default: int) -> tuple[int, int]:
    value = node.args[position] if len(node.args) > position else default
    numbers = value if isinstance(value, tuple) else (value,)
    assert all(isinstance(number, int) for number in numbers)
    first, last = numbers[0], numbers[-1]
    assert isinstance(first, int)
    assert isinstance(last, int)
    return first, last
