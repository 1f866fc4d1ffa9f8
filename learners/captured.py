"""Live modules as files: the traced graph with its tensors, which need neither the user's class nor its weights."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from learners.analysis import OTHER_BATCH, Analysis, analyse, analyse_graph, check_same
from learners.device import single_thread
from learners.graph.graph import Graph
from learners.graph.run import Program
from learners.graph.trace import trace
from objectives.workload.factory import describe
from objectives.workload.model import CHECK_BATCH, check_output
from objectives.workload.tensor_file import keep_tensors, open_tensors
from objectives.workload.workload import Workload
from storage.errors import FixInputError

_KEY = "[model] graph"


def capture_model(folder: Path, model: nn.Module, input_shape: tuple[int, ...]) -> Path:
    """Traces `model` into a file of `folder`, which is named by the hash of its content; returns its path.

    `model` stays as it is, on whatever device and in whatever mode: a copy of it is traced, in float32 and eval mode
    on the processor. FixInputError, one line, if it cannot be copied, run on `input_shape` (one sample's) or traced;
    other errors as in `storage.content.keep_content`.
    """
    copied = _copy(model)
    shape = [CHECK_BATCH, *input_shape]
    with single_thread(), torch.no_grad():
        try:
            output = copied(torch.zeros(shape))
        except Exception as error:
            raise FixInputError(
                f"{_name(model)} cannot run on an input of shape {shape}, as train gives it: {describe(error, None)}"
            ) from error
        check_output(output, _name(model))
        graph, tensors = trace(copied, input_shape)
        sample = torch.randn(OTHER_BATCH, *input_shape, generator=torch.Generator().manual_seed(0))
        check_same(copied, graph, tensors, sample)
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    return keep_tensors(folder, contiguous, graph.to_json())


def open_model(path: Path) -> tuple[Graph, dict[str, torch.Tensor]]:
    """A captured graph and its parameters, buffers and constants by name. FixInputError if `path` holds none."""
    tensors, document = open_tensors(path, _KEY)
    graph = Graph.from_json(document)
    missing = next((name for name in graph.parameters() if name not in tensors), None)
    if missing is not None:
        raise FixInputError(f"{path}: holds no {missing}, which its graph reads; set {_KEY}, or capture it again")
    return graph, tensors


def analyse_workload(workload: Workload, keep: Sequence[str], seed: int) -> Analysis:
    """The analysis of a workload's model, whether a factory makes it or it was captured; see `analyse`."""
    path = workload.config.model.graph
    if path is None:
        return analyse(workload.model(), workload.input_shape, keep, seed)
    graph, tensors = open_model(Path(path))
    program = Program(graph)
    return analyse_graph(
        graph, tensors, lambda sample: program(tensors, sample), workload.input_shape, keep=keep, seed=seed
    )


def unwrapped(model: nn.Module) -> nn.Module:
    """The module that the user has written, without what compiles or distributes it and changes its names."""
    wrappers = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    while True:
        inner = model.module if isinstance(model, wrappers) else getattr(model, "_orig_mod", None)
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def _copy(model: nn.Module) -> nn.Module:
    original = unwrapped(model)
    empty = next((name for name, item in original.named_parameters() if is_lazy(item)), None)
    if empty is not None:
        raise FixInputError(f"{_name(model)} has no {empty} yet: run it on a batch, and train it")
    # What a forward pass has left on a module hangs on a graph of gradients, and cannot be copied as it is.
    left = (value for module in original.modules() for value in vars(module).values())
    memo = {id(value): value.detach() for value in left if isinstance(value, torch.Tensor) and not value.is_leaf}
    try:
        copied = copy.deepcopy(original, memo)
        return copied.to(device="cpu", dtype=torch.float32).eval().requires_grad_(False)
    except Exception as error:
        raise FixInputError(
            f"{_name(model)} cannot be copied ({describe(error, None)}): take what cannot be copied out of the module, "
            "or build it anew and load its state dict"
        ) from error


def _name(model: nn.Module) -> str:
    return type(unwrapped(model)).__name__
