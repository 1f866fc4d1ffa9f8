"""What is known of a model before any of its weights is changed: graph, layers, channels, ONNX form."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx
import torch

from learners.channel.coupling import Coupling, find_coupling
from learners.channel.groups import ChannelGroup, find_groups
from learners.channel.onnx_lanes import OnnxLanes, follow_onnx
from learners.export.dense import export_dense
from learners.export.qdq import layer_nodes
from learners.export.region import LayerNode
from learners.export.shortcuts import without_index_maps
from learners.graph.fold import fold, norm_gammas
from learners.graph.graph import Graph
from learners.graph.index_maps import with_index_maps
from learners.graph.layers import DEPTHWISE, Layer, count_macs, find_layers
from learners.graph.run import Program
from learners.graph.trace import trace
from storage.errors import FixInputError
from storage.records.space import Protected

OTHER_BATCH = 3  # not the size of the traced example: shows a batch axis that the trace has fixed
TOLERANCE = 1e-3  # of the largest output; folding in double precision stays a thousand times below


@dataclass(frozen=True)
class Analysis:
    """A traced and folded model. Tensors are float32 on the CPU."""

    graph: Graph
    tensors: dict[str, torch.Tensor]
    layers: tuple[Layer, ...]
    maps: tuple[Layer, ...]  # index maps: channels of their own, but nothing to compress
    protected: tuple[Protected, ...]
    template: onnx.ModelProto  # of `graph`
    nodes: dict[str, LayerNode]  # where layers and maps stand in `template`
    gammas: dict[str, torch.Tensor]  # |gamma| of the batch norms that were folded, by layer
    input_shape: tuple[int, ...]
    macs: int  # multiply-accumulates of one sample, of protected layers too

    @cached_property
    def dense(self) -> onnx.ModelProto:
        """The user's model as ONNX."""
        return without_index_maps(self.template, self.maps) if self.maps else self.template

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every value of the graph for one sample."""
        return _shapes(self.graph, self.tensors, torch.zeros(1, *self.input_shape))

    @property
    def producers(self) -> tuple[Layer, ...]:
        """Layers and index maps in the order of the graph."""
        places = {node.name: index for index, node in enumerate(self.graph.nodes)}
        return tuple(sorted((*self.layers, *self.maps), key=lambda layer: places[layer.node]))

    @cached_property
    def coupling(self) -> Coupling:
        """Which channels go together."""
        return find_coupling(self.graph, self.tensors, self.shapes, self.layers, self.maps, self.protected)

    @cached_property
    def lanes(self) -> OnnxLanes:
        """Where the channels stand in `template`."""
        depthwise = frozenset(layer.name for layer in self.layers if layer.kind == DEPTHWISE)
        sample = np.zeros((1, *self.input_shape), np.float32)
        return follow_onnx(self.template, self.nodes, depthwise, self.coupling, sample)

    @cached_property
    def groups(self) -> tuple[ChannelGroup, ...]:
        """Channels that are decided on together, in the order of the graph."""
        names = [layer.name for layer in self.producers]
        return find_groups(self.coupling, names, {layer.name for layer in self.maps}, self.lanes.blocked)


def analyse(model: torch.nn.Module, input_shape: tuple[int, ...], keep: Sequence[str], seed: int) -> Analysis:
    """Traces, folds and exports `model`, and checks that nothing has changed its outputs.

    Raises FixInputError for a model that cannot be traced, has no ONNX form or no layer to compress.
    """
    graph, tensors = trace(model, input_shape)
    return analyse_graph(graph, tensors, model, input_shape, keep=keep, seed=seed)


def analyse_graph(
    graph: Graph,
    tensors: dict[str, torch.Tensor],
    original: Callable[[torch.Tensor], torch.Tensor],
    input_shape: tuple[int, ...],
    *,
    keep: Sequence[str],
    seed: int,
) -> Analysis:
    """`analyse` for a model that has been traced; `original` gives the outputs that must not change."""
    generator = torch.Generator().manual_seed(seed)
    sample = torch.randn(OTHER_BATCH, *input_shape, generator=generator)
    gammas = norm_gammas(graph, tensors)
    graph, tensors = fold(graph, tensors, _shapes(graph, tensors, sample[:1]))
    shapes = _shapes(graph, tensors, sample[:1])
    macs = count_macs(graph, tensors, shapes)
    graph, tensors, maps = with_index_maps(graph, tensors, shapes)
    shapes = _shapes(graph, tensors, sample[:1])
    check_same(original, graph, tensors, sample)
    weights = {name for layer in maps for name in (layer.weight, layer.bias)}
    own = {name: tensor for name, tensor in tensors.items() if name not in weights}
    layers, protected = find_layers(graph, own, shapes, keep)
    template = export_dense(graph, tensors, [*layers, *maps], input_shape)
    nodes = layer_nodes(template, [*layers, *maps])
    lost = tuple(
        Protected(layer.name, "ONNX has no single operation for it") for layer in layers if layer.name not in nodes
    )
    kept = tuple(layer for layer in layers if layer.name in nodes)
    if not kept:
        reasons = "; ".join(f"{item.name}: {item.reason}" for item in (*protected, *lost)[:3])
        raise FixInputError(f"the model has no layer to compress ({reasons or 'no convolution and no linear layer'})")
    return Analysis(
        graph=graph,
        tensors=tensors,
        layers=kept,
        maps=tuple(layer for layer in maps if layer.name in nodes),
        protected=(*protected, *lost),
        template=template,
        nodes=nodes,
        gammas={name: gamma for name, gamma in gammas.items() if name in nodes},
        input_shape=input_shape,
        macs=macs,
    )


def _shapes(graph: Graph, tensors: Mapping[str, torch.Tensor], sample: torch.Tensor) -> dict[str, tuple[int, ...]]:
    shapes = {graph.input: tuple(sample.shape)}
    program = Program(graph)
    with torch.no_grad(), _any_batch():
        program(tensors, sample, lambda node, value: shapes.__setitem__(node.name, tuple(value.shape)))
    return shapes


@contextlib.contextmanager
def _any_batch() -> Iterator[None]:
    try:
        yield
    except (IndexError, RuntimeError, ValueError) as error:
        raise FixInputError(
            f"the model runs only with the batch size it was traced with ({str(error).splitlines()[0]}): "
            "use x.size(0) in its forward where it writes a constant"
        ) from error


def check_same(
    original: Callable[[torch.Tensor], torch.Tensor],
    graph: Graph,
    tensors: dict[str, torch.Tensor],
    sample: torch.Tensor,
) -> None:
    """FixInputError unless `graph` computes what `original` does, on `sample` [OTHER_BATCH, ...]."""
    program = Program(graph)
    with torch.no_grad(), _any_batch():
        wanted, found = original(sample), program(tensors, sample)
    if found.shape != wanted.shape or len(wanted) != OTHER_BATCH:
        raise FixInputError(
            f"the model turns a batch of {OTHER_BATCH} into {list(wanted.shape)}: its first axis must stay the batch"
        )
    if not bool(torch.isfinite(wanted).all()):
        raise FixInputError("the model outputs NaN or infinity on a normally distributed input: check its weights")
    difference = float((found - wanted).abs().max())
    if difference > TOLERANCE * max(1.0, float(wanted.abs().max())):
        raise FixInputError(
            f"the traced model differs from the original by {difference:.2g}: does its forward draw random numbers?"
        )
