"""What is known of a model before any of its weights is changed: graph, layers, ONNX form."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import onnx
import torch

from learners.export.dense import export_dense
from learners.export.qdq import layer_nodes
from learners.export.region import LayerNode
from learners.graph.fold import fold
from learners.graph.graph import Graph
from learners.graph.layers import Layer, count_macs, find_layers
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
    protected: tuple[Protected, ...]
    dense: onnx.ModelProto
    nodes: dict[str, LayerNode]  # where the layers stand in `dense`
    input_shape: tuple[int, ...]
    macs: int  # multiply-accumulates of one sample, of protected layers too


def analyse(model: torch.nn.Module, input_shape: tuple[int, ...], keep: Sequence[str], seed: int) -> Analysis:
    """Traces, folds and exports `model`, and checks that nothing has changed its outputs.

    Raises FixInputError for a model that cannot be traced, has no ONNX form or no layer to compress.
    """
    generator = torch.Generator().manual_seed(seed)
    sample = torch.randn(OTHER_BATCH, *input_shape, generator=generator)
    graph, tensors = trace(model, input_shape)
    graph, tensors = fold(graph, tensors, _shapes(graph, tensors, sample[:1]))
    shapes = _shapes(graph, tensors, sample[:1])
    _check(model, graph, tensors, sample)
    macs = count_macs(graph, tensors, shapes)
    layers, protected = find_layers(graph, tensors, shapes, keep)
    dense = export_dense(graph, tensors, layers, input_shape)
    nodes = layer_nodes(dense, layers)
    lost = tuple(
        Protected(layer.name, "ONNX has no single operation for it") for layer in layers if layer.name not in nodes
    )
    kept = tuple(layer for layer in layers if layer.name in nodes)
    if not kept:
        reasons = "; ".join(f"{item.name}: {item.reason}" for item in (*protected, *lost)[:3])
        raise FixInputError(f"the model has no layer to compress ({reasons or 'no convolution and no linear layer'})")
    return Analysis(graph, tensors, kept, (*protected, *lost), dense, nodes, input_shape, macs)


def _shapes(graph: Graph, tensors: dict[str, torch.Tensor], sample: torch.Tensor) -> dict[str, tuple[int, ...]]:
    shapes = {graph.input: tuple(sample.shape)}
    program = Program(graph)
    with torch.no_grad(), _any_batch():
        program(tensors, sample, lambda node, value: shapes.__setitem__(node.name, tuple(value.shape)))
    return shapes


@contextlib.contextmanager
def _any_batch() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise FixInputError(
            f"the model runs only with the batch size it was traced with ({str(error).splitlines()[0]}): "
            "use x.size(0) in its forward where it writes a constant"
        ) from error


def _check(model: torch.nn.Module, graph: Graph, tensors: dict[str, torch.Tensor], sample: torch.Tensor) -> None:
    program = Program(graph)
    with torch.no_grad(), _any_batch():
        wanted, found = model(sample), program(tensors, sample)
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
