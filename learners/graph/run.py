"""Runs a graph with given tensors: the stitched forward pass of a candidate."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TypeAlias, cast

import torch

from learners.graph.graph import Argument, Graph, Node, Ref, TorchType
from learners.graph.operations import resolve
from storage.errors import FixInputError

Observer = Callable[[Node, torch.Tensor], None]  # called with a node and the tensor that it made
# What operations raise on tensors that they are not made for.
OPERATION_ERRORS = (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError)
Values: TypeAlias = dict[str, object]  # values that are still to be read, by name


class Program:
    """A graph made ready to run many times: operations resolved, values freed after their last use."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._functions = [resolve(node.op) for node in graph.nodes]
        last = {name: index for index, node in enumerate(graph.nodes) for name in node.references()}
        parameters = set(graph.parameters())
        self._free: list[list[str]] = [[] for _ in graph.nodes]
        for name, index in last.items():
            if name != graph.output and name not in parameters:
                self._free[index].append(name)

    def __call__(
        self, parameters: Mapping[str, torch.Tensor], batch: torch.Tensor, observe: Observer | None = None
    ) -> torch.Tensor:
        """Output [n, ...] for `batch` [n, ...]. `parameters` holds every name of `graph.parameters()`."""
        values = self.begin(batch)
        self.advance(values, parameters, 0, len(self.graph.nodes), observe)
        return self.output(values)

    def begin(self, batch: torch.Tensor) -> Values:
        """The values before the first node."""
        return {self.graph.input: batch}

    def output(self, values: Values) -> torch.Tensor:
        """The output, once the last node has run."""
        return cast(torch.Tensor, values[self.graph.output])

    def advance(
        self,
        values: Values,
        parameters: Mapping[str, torch.Tensor],
        start: int,
        stop: int,
        observe: Observer | None = None,
    ) -> None:
        """Runs the nodes from `start` up to `stop` on `values`, which a copy of can be continued from again.

        An error of an operation keeps its type, and says at which node.
        """

        source = next((item for item in values.values() if isinstance(item, torch.Tensor)), None)
        device = torch.device("cpu") if source is None else source.device

        def value(argument: Argument) -> object:
            if isinstance(argument, Ref):
                return values[argument.name] if argument.name in values else parameters[argument.name]
            if isinstance(argument, tuple):
                return [value(item) for item in argument]
            if isinstance(argument, TorchType):
                # A trace on the processor writes it down as the place of tensors that the forward makes.
                return device if argument.name == "cpu" else torch_type(argument.name)
            return argument

        for index in range(start, stop):
            node = self.graph.nodes[index]
            try:
                result = self._functions[index](*map(value, node.args), **{k: value(v) for k, v in node.kwargs})
            except OPERATION_ERRORS as error:
                if type(error) not in OPERATION_ERRORS:  # what torch tells apart by a type of its own, such as memory
                    raise
                raise type(error)(f"{_described(node, parameters)}: {error}") from error
            values[node.name] = result
            if observe is not None and isinstance(result, torch.Tensor):
                observe(node, result)
            for name in self._free[index]:
                values.pop(name, None)


def _described(node: Node, parameters: Collection[str]) -> str:
    """A node by the parameters that it reads, which have the names of the user's layers; else by its values."""
    read = list(dict.fromkeys(node.references()))
    of = [name for name in read if name in parameters] or read
    return f"{node.name}, {node.op}" + (f" of {', '.join(of)}" if of else "")


def torch_type(name: str) -> object:
    """A dtype, layout or memory format such as "torch.float32", or a device such as "cpu"."""
    if name.startswith("torch."):
        found = getattr(torch, name.removeprefix("torch."), None)
        if isinstance(found, torch.dtype | torch.layout | torch.memory_format):
            return found
    elif name == "cpu" or name.startswith("cuda"):
        return torch.device(name)
    raise FixInputError(f"{name!r} is no torch type: export the model again")
