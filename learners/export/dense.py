"""The dense model as ONNX: batch norms folded, float32, a free batch axis, nothing that is not needed to run it."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from learners.graph.graph import Graph
from learners.graph.layers import Layer
from learners.graph.module import GraphModule
from learners.graph.trace import EXAMPLE_BATCH, quiet_torch
from storage.errors import FixInputError

INPUT, OUTPUT = "input", "output"


def export_dense(
    graph: Graph, tensors: Mapping[str, torch.Tensor], layers: Sequence[Layer], input_shape: tuple[int, ...]
) -> onnx.ModelProto:
    """The graph as ONNX, weights as initializers named as in the user's model.

    A linear layer that becomes a MatMul has its weight [in, out] under its own name.
    """
    module = GraphModule(graph, tensors)
    example = torch.zeros(EXAMPLE_BATCH, *input_shape)
    try:
        with torch.no_grad(), quiet_torch(), contextlib.redirect_stdout(io.StringIO()):
            program = torch.onnx.export(
                module,
                (example,),
                dynamo=True,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim.AUTO},),
                optimize=True,
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        reason = (str(error).strip() or "no reason given").splitlines()[-1]
        raise FixInputError(f"the model has no ONNX form: {reason}") from error
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    _strip(model)
    _name_transposed(model, tensors, layers)
    return model


def _strip(model: onnx.ModelProto) -> None:
    """Removes names and notes that only the exporter's authors need: a third of a small file."""
    for node in model.graph.node:
        for field in ("name", "doc_string", "metadata_props", "overload"):
            node.ClearField(field)
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        value.ClearField("doc_string")
        value.ClearField("metadata_props")
    for field in ("metadata_props", "doc_string"):
        model.ClearField(field)
        model.graph.ClearField(field)
    del model.graph.value_info[:]
    model.graph.name = "model"
    model.producer_name, model.producer_version = "slimfront", ""


def _name_transposed(model: onnx.ModelProto, tensors: Mapping[str, torch.Tensor], layers: Sequence[Layer]) -> None:
    """Gives back its name to a linear weight that the exporter has transposed into a new constant."""
    taken = {item.name for item in model.graph.initializer}
    for layer in layers:
        if layer.kind != "linear" or layer.weight in taken:
            continue
        wanted = tensors[layer.weight].T.cpu().numpy()
        for item in model.graph.initializer:
            if list(item.dims) == list(wanted.shape) and np.array_equal(numpy_helper.to_array(item), wanted):
                _rename(model, item, layer.weight)
                break


def _rename(model: onnx.ModelProto, tensor: onnx.TensorProto, name: str) -> None:
    for node in model.graph.node:
        for position, read in enumerate(node.input):
            if read == tensor.name:
                node.input[position] = name
    tensor.name = name
