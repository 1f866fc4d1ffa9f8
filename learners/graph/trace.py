"""Traces a module into a graph with torch.export, which follows any Python that the example input takes."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.export import Dim, ExportedProgram
from torch.fx import Node as FxNode

from learners.device import single_thread
from learners.graph.constants import fold_constants
from learners.graph.graph import Argument, Graph, Node, Ref, TorchType, unused_name, without_unread
from learners.graph.operations import PYTHON_OPERATIONS
from storage.errors import FixInputError

EXAMPLE_BATCH = 2  # torch.export takes a batch of one for a constant
MODEL = "model"  # what the wrapper calls the user's model


def _channel_shuffle(value: torch.Tensor, groups: int) -> torch.Tensor:
    """By operations that channels can be followed through."""
    count, channels, *rest = value.shape
    return value.reshape(count, groups, channels // groups, *rest).transpose(1, 2).reshape(count, channels, *rest)


def _squeeze(value: torch.Tensor) -> torch.Tensor:
    """The axes that are 1 in the user's model: with fewer channels or images others may be."""
    return value.squeeze([axis for axis, length in enumerate(value.shape) if isinstance(length, int) and length == 1])


_DECOMPOSED = {
    torch.ops.aten.channel_shuffle.default: _channel_shuffle,
    torch.ops.aten.squeeze.default: _squeeze,
}


class _Wrapped(torch.nn.Module):
    """The user's model one level down, where a module of it may be called "graph" or what else torch.fx uses."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: torch.Tensor) -> object:
        return self.model(batch)


def trace(model: torch.nn.Module, input_shape: tuple[int, ...]) -> tuple[Graph, dict[str, torch.Tensor]]:
    """The model as a graph, and its parameters, buffers and constants by name.

    `input_shape` is one sample's, such as (3, 32, 32); the batch axis stays free. Values that nothing needs are gone,
    and what depends on parameters alone is computed (`learners.graph.constants`).
    Raises FixInputError, naming the user's line, for a model that cannot be traced. A model that fixes its batch size
    is traced all the same; `learners.analysis` runs it with another one.
    """
    example = torch.zeros(EXAMPLE_BATCH, *input_shape, dtype=torch.float32)
    try:
        with torch.no_grad(), quiet_torch():
            program = torch.export.export(_Wrapped(model), (example,), dynamic_shapes=({0: Dim.AUTO},))
            program = program.run_decompositions(_DECOMPOSED)  # in-place operations become pure besides
    except Exception as error:
        raise FixInputError(
            f"the model cannot be traced: {_cause(error)}; its forward must run the same operations for every input"
        ) from error
    graph = _convert(program)
    found = {**program.state_dict, **_constants(program)}
    tensors: dict[str, torch.Tensor] = {_own_name(name): tensor for name, tensor in found.items()}
    used = {name: tensors[name].detach() for name in graph.parameters()}
    with single_thread():  # the same bits on any number of cores
        graph, folded = fold_constants(graph, used)
    return graph, {name: tensor.clone() for name, tensor in folded.items()}


@contextlib.contextmanager
def quiet_torch() -> Iterator[None]:
    """Silences what torch's exporter prints, logs and warns of: notices about itself, graphs of failed traces."""
    names = ("torch.onnx", "torch.export", "torch.fx", "torch._dynamo", "onnxscript", "onnx_ir")
    levels = {name: logging.getLogger(name).level for name in names}
    out, err = io.StringIO(), io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        warnings.simplefilter("ignore")
        for name in names:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)


def _constants(program: ExportedProgram) -> dict[str, torch.Tensor]:
    return {name: value for name, value in program.constants.items() if isinstance(value, torch.Tensor)}


def _convert(program: ExportedProgram) -> Graph:
    signature = program.graph_signature
    lifted = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    if len(signature.user_inputs) != 1 or len(signature.user_outputs) != 1:
        raise FixInputError(
            f"the model has {len(signature.user_inputs)} inputs and {len(signature.user_outputs)} outputs: "
            "wrap it into a module with one of each"
        )
    # Values must not be called as parameters are: a buffer "mean" and the mean of something are two things.
    taken = {_own_name(name) for name in lifted.values()}
    made = {node.name for node in program.graph.nodes}
    names = {name: unused_name(name, (taken | made) if name in taken else ()) for name in made}
    names.update({placeholder: _own_name(name) for placeholder, name in lifted.items()})
    nodes = []
    for node in program.graph.nodes:
        if node.op != "call_function":
            continue
        name = _operation(node)
        if name is None:  # a check of shapes that the trace has recorded
            continue
        args = tuple(_argument(item, names) for item in node.args)
        kwargs = tuple((key, _argument(item, names)) for key, item in node.kwargs.items())
        nodes.append(Node(names[node.name], name, args, kwargs))
    source, sink = str(signature.user_inputs[0]), str(signature.user_outputs[0])
    if sink not in names:
        raise FixInputError(f"the model returns {sink}, no tensor that depends on its input: return the logits")
    return without_unread(Graph(names[source], tuple(nodes), names[sink]))


def _own_name(name: str) -> str:
    """A parameter's name in the user's model."""
    return name.removeprefix(f"{MODEL}.")


def _operation(node: FxNode) -> str | None:
    target = node.target
    if isinstance(target, torch._ops.OpOverload):
        if target.namespace != "aten":
            raise FixInputError(f"the model calls {target}, which is no ATen operation: replace it in the forward")
        if target._schema.is_mutable:
            raise FixInputError(f"the model changes a tensor in place with {target}: write it without")
        name = str(target)
        return None if name.startswith(("aten._assert", "aten.sym_constrain")) else name
    name = f"operator.{getattr(target, '__name__', target)}"
    if name in PYTHON_OPERATIONS:
        return name
    if not node.users:
        return None
    raise FixInputError(f"the model calls {target}, which a graph cannot hold: replace it in the forward")


def _argument(value: object, names: dict[str, str]) -> Argument:
    if isinstance(value, FxNode):
        return Ref(names[value.name])
    if isinstance(value, list | tuple):
        return tuple(_argument(item, names) for item in value)
    if isinstance(value, torch.dtype | torch.layout | torch.memory_format | torch.device):
        return TorchType(str(value))
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise FixInputError(f"the trace holds a {type(value).__name__}, which a graph cannot: simplify the forward")


def _cause(error: Exception) -> str:
    """The user's line and the first sentence of what went wrong."""
    here = {str(Path(part).resolve()) for part in (torch.__file__, __file__)}
    library = str(Path(torch.__file__).resolve().parent)
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = str(Path(frame.filename).resolve())
        standard = path.startswith((sys.base_prefix + "/lib", sys.prefix + "/lib")) or frame.filename.startswith("<")
        if path not in here and not path.startswith(library) and not standard:
            return f"{Path(path).name}, line {frame.lineno} ({frame.line}): {reason}"
    return reason
