"""A graph with its tensors as an ordinary nn.Module, with the parameter names of the user's model."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from learners.graph.graph import Graph
from learners.graph.run import Program


class GraphModule(torch.nn.Module):
    """Runs `graph`; its state dict has the names that the user's model gives its weights."""

    def __init__(self, graph: Graph, tensors: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        # Long names: these must not be those of the user's modules.
        self._slimfront_program = Program(graph)
        self._slimfront_owners: list[tuple[str, torch.nn.Module, str]] = []
        for name in graph.parameters():
            *path, last = name.split(".")
            owner: torch.nn.Module = self
            for part in path:
                if part not in owner._modules:
                    owner._modules[part] = torch.nn.Module()  # add_module refuses names such as "half"
                child = owner._modules[part]
                assert child is not None
                owner = child
            tensor = tensors[name]
            if tensor.is_floating_point():
                owner.register_parameter(last, torch.nn.Parameter(tensor, requires_grad=False))
            else:
                owner.register_buffer(last, tensor)
            self._slimfront_owners.append((name, owner, last))
        self.eval()

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Output [n, ...] of the model for a float32 batch [n, ...]."""
        parameters = {name: getattr(owner, last) for name, owner, last in self._slimfront_owners}
        return self._slimfront_program(parameters, batch)
