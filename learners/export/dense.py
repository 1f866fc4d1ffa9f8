"""The dense model as ONNX: batch norms folded, float32, a free batch axis, nothing that is not needed to run it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from learners.export.pooling import pool_means
from learners.graph.graph import Graph, unused_name
from learners.graph.layers import Layer
from learners.graph.run import Program
from learners.graph.trace import EXAMPLE_BATCH, quiet_torch
from storage.errors import FixInputError

LEAST_STAND_IN = 0.5  # positive: some tensors are variances
INPUT, OUTPUT = "input", "output"
_UNTRANSLATED = re.compile(r"translating node %(\w+) .*target=torch\.ops\.([\w.]+)\]")
_PARAMETER = re.compile(r"p\d+")  # as `_Flat` names them


class _Flat(torch.nn.Module):
    """Runs a graph; its parameters are called p0, p1, ... so that none meets a name of torch's."""

    def __init__(self, graph: Graph, tensors: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        self._program = Program(graph)
        self.names = {name: f"p{number}" for number, name in enumerate(graph.parameters())}
        for name, short in self.names.items():
            if tensors[name].is_floating_point():
                self.register_parameter(short, torch.nn.Parameter(tensors[name], requires_grad=False))
            else:
                self.register_buffer(short, tensors[name])
        self.eval()

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self._program({name: getattr(self, short) for name, short in self.names.items()}, batch)


def export_dense(
    graph: Graph, tensors: Mapping[str, torch.Tensor], layers: Sequence[Layer], input_shape: tuple[int, ...]
) -> onnx.ModelProto:
    """The graph as ONNX, weights as initializers named as in the user's model.

    A linear layer that becomes a MatMul has its weight [in, out] under its own name. Raises FixInputError if an
    operation has no ONNX form.
    """
    own = {name for layer in layers for name in (layer.weight, layer.bias) if name is not None}
    return _exported(graph, tensors, own | _equal_others(graph, tensors, own), own, input_shape)


def _exported(
    graph: Graph,
    tensors: Mapping[str, torch.Tensor],
    names: Collection[str],
    layers: Collection[str],
    input_shape: tuple[int, ...],
) -> onnx.ModelProto:
    """As `export_dense`, with random numbers in place of the tensors `names`, of which `layers` are the layers' own."""
    own = set(names)
    while True:
        # Random numbers stand in for the layers' weights: the exporter drops biases of zero and makes one of two equal
        # tensors, and a candidate gives every layer weights and a bias of its own.
        stand_ins = _stand_ins(tensors, own)
        module = _Flat(graph, {**tensors, **stand_ins})
        model = _export(module, input_shape)
        present = {item.name for item in model.graph.initializer}
        transposed = _name_transposed(model, stand_ins, module.names, present)
        missing = {name for name in stand_ins if module.names[name] not in present and name not in transposed}
        if not missing:
            break
        own -= missing  # the exporter has computed with them: it must see their values
    if own - set(layers):
        layers_only = {name: value for name, value in stand_ins.items() if name in layers}
        other = _export(_Flat(graph, {**tensors, **layers_only}), input_shape)
        _name_transposed(other, layers_only, module.names, {item.name for item in other.graph.initializer})
        if _constants(model) != _constants(other):  # it has computed with some, too, although it kept them
            return _exported(graph, tensors, layers, layers, input_shape)
    pool_means(model)
    _strip(model)
    _rename(model, {short: name for name, short in module.names.items()})
    _unshare(model, set(module.names))
    for item in model.graph.initializer:
        if item.name in stand_ins:
            value = tensors[item.name].T if item.name in transposed else tensors[item.name]
            item.CopyFrom(numpy_helper.from_array(value.contiguous().numpy(), item.name))
    return model


def _equal_others(graph: Graph, tensors: Mapping[str, torch.Tensor], layers: Collection[str]) -> set[str]:
    """The float parameters beside those of layers that equal another one: batch norms and scales before any training.
    The exporter would make one of two, and what reads it would be one, too."""
    seen: dict[tuple[torch.Size, bytes], list[str]] = {}
    for name in graph.parameters():
        value = tensors[name]
        if name not in layers and value.is_floating_point() and value.numel() > 1:
            seen.setdefault((value.shape, value.contiguous().numpy().tobytes()), []).append(name)
    return {name for names in seen.values() if len(names) > 1 for name in names}


def _constants(model: onnx.ModelProto) -> list[bytes]:
    """The values of what the exporter has made itself, sorted."""
    return sorted(
        numpy_helper.to_array(item).tobytes() for item in model.graph.initializer if not _PARAMETER.fullmatch(item.name)
    )


def _unshare(model: onnx.ModelProto, parameters: Collection[str]) -> None:
    """Gives each reader a copy of its own of the exporter's float constants, which it shares where they are equal: with
    fewer channels they may no longer be."""
    graph = model.graph
    shared = {item.name: item for item in graph.initializer if item.name not in parameters}
    taken = {item.name for item in graph.initializer} | {name for node in graph.node for name in node.output}
    seen: set[str] = set()
    for node in graph.node:
        for position, name in enumerate(node.input):
            item = shared.get(name)
            if item is None or item.data_type != onnx.TensorProto.FLOAT or not any(size > 1 for size in item.dims):
                continue
            if name in seen:
                own = unused_name(name, taken)
                taken.add(own)
                graph.initializer.add().CopyFrom(item)
                graph.initializer[-1].name = own
                node.input[position] = own
            seen.add(name)


def _stand_ins(tensors: Mapping[str, torch.Tensor], names: set[str]) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {name: LEAST_STAND_IN + torch.rand(tensors[name].shape, generator=generator) for name in sorted(names)}


def _export(module: torch.nn.Module, input_shape: tuple[int, ...]) -> onnx.ModelProto:
    example = torch.zeros(EXAMPLE_BATCH, *input_shape)
    try:
        with torch.no_grad(), quiet_torch():
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
        raise FixInputError(f"the model has no ONNX form: {_reason(error)}") from error
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    return model


def _reason(error: BaseException) -> str:
    """The operation that could not be translated, where the exporter names it, or its last line."""
    cause: BaseException | None = error
    while cause is not None:
        if (found := _UNTRANSLATED.search(str(cause))) is not None:
            name, operation = found.groups()
            return f"{operation}, at `{name}`, cannot be translated: replace it in the forward"
        cause = cause.__cause__
    return (str(error).strip() or "no reason given").splitlines()[-1]


def _name_transposed(
    model: onnx.ModelProto, stand_ins: Mapping[str, torch.Tensor], names: Mapping[str, str], present: Collection[str]
) -> set[str]:
    """Gives its name to each weight that the exporter has transposed into a new constant; which ones."""
    found = set()
    for name in stand_ins:
        if names[name] in present or stand_ins[name].dim() != 2:
            continue
        wanted = stand_ins[name].T.numpy()
        for item in model.graph.initializer:
            if list(item.dims) == list(wanted.shape) and np.array_equal(numpy_helper.to_array(item), wanted):
                _rename(model, {item.name: names[name]})
                found.add(name)
                break
    return found


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


def _rename(model: onnx.ModelProto, wanted: Mapping[str, str]) -> None:
    """Renames tensors; others that are called as one of the new names give way."""
    graph = model.graph
    present = {item.name for item in (*graph.input, *graph.initializer)}
    present.update(name for node in graph.node for name in node.output)
    taken = present | set(wanted.values())
    names = {name: unused_name(name, taken) for name in present if name in set(wanted.values()) - wanted.keys()}
    names.update(wanted)
    for node in graph.node:
        for part in (node.input, node.output):
            for position, name in enumerate(part):
                part[position] = names.get(name, name)
    for item in (*graph.input, *graph.output, *graph.initializer):
        item.name = names.get(item.name, item.name)
