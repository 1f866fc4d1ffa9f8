"""A candidate under training: its graph as it is left, its layers and its activation grids."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum

import torch
from torch import nn

from learners.analysis import Analysis
from learners.base import Adapted, LevelWeights
from learners.finetune.layer import TrainedLayer
from learners.finetune.straight_through import rounded_activation
from learners.graph.graph import Graph, Node, replace_nodes
from learners.graph.run import Observer, Program
from learners.stitch import other_tensors, stitched_graph
from storage.slim import Activation

LARGEST_CODE = 255  # of an activation
RELUS = frozenset({"aten.relu.default", "aten.relu_.default"})
CLAMPS = frozenset({"aten.hardtanh.default", "aten.clamp.default"})  # by numbers, with an upper bound as argument 2


class Grids(Enum):
    """What a forward pass does to activations."""

    LEFT_OUT = "left out"  # nothing
    FIXED = "fixed"  # they are rounded
    LEARNED = "learned"  # and the grids get gradients


class TrainedNetwork(nn.Module):
    """The forward pass of a file, in floating point, with gradients to all that can be trained.

    Float32 parameters of layers and grids are trained; what belongs to no layer, and index maps, stay as they are.
    """

    widest: torch.Tensor  # buffer

    def __init__(
        self,
        analysis: Analysis,
        adapted: Adapted,
        activations: tuple[Activation, ...],
        grids: Mapping[str, int],
    ) -> None:
        """`grids` is of `learners.finetune.places`; `activations` are the grids' own values."""
        super().__init__()
        maps = {layer.name for layer in analysis.maps}
        graph = stitched_graph(analysis, adapted.kept)
        self._graph, places, clamped = _without_clamps(graph, grids, activations)
        self._program = Program(self._graph)
        at = {self._graph.input: -1, **{node.name: index for index, node in enumerate(self._graph.nodes)}}
        self._stops = sorted((at[name], name, grid, name in clamped) for name, grid in places.items())
        self._names = [(layer.name, layer.weight, layer.bias) for layer in (*analysis.layers, *analysis.maps)]
        self._fixed = [name for name, _, _ in self._names if name in maps]
        self.layers = nn.ModuleList(TrainedLayer(adapted.weights[name]) for name, _, _ in self._names)
        for (name, _, _), layer in zip(self._names, self.layers, strict=True):
            layer.requires_grad_(name not in maps)
        self.grids = nn.Parameter(torch.zeros(len(activations)))  # logarithms of how much wider they have become
        self._activations = activations
        self.register_buffer("widest", _widest(graph, grids, activations))
        others = other_tensors(analysis, adapted.kept)
        self._others = [name for name in self._graph.parameters() if name in others]
        for index, name in enumerate(self._others):
            self.register_buffer(f"other{index}", others[name])

    def forward(self, batch: torch.Tensor, grids: Grids = Grids.FIXED, observe: Observer | None = None) -> torch.Tensor:
        """Output [n, ...] of a float32 batch [n, ...]. `observe` sees values before they are put on their grids."""
        parameters = self._parameters_by_name()
        steps = self._factors() * torch.tensor([item.scale for item in self._activations], device=batch.device)
        widths = steps.tolist()
        values, position = self._program.begin(batch), 0
        for stop, name, grid, is_clamped in self._stops:
            self._program.advance(values, parameters, position, stop + 1, observe)
            position = stop + 1
            value = values[name]
            assert isinstance(value, torch.Tensor)
            if grids is not Grids.LEFT_OUT:
                zero = self._activations[grid].zero
                learned = steps[grid] if grids is Grids.LEARNED else None
                values[name] = rounded_activation(value, widths[grid], -zero, LARGEST_CODE - zero, learned)
            elif is_clamped:
                values[name] = torch.relu(value)
        self._program.advance(values, parameters, position, len(self._graph.nodes), observe)
        return self._program.output(values)

    def _factors(self) -> torch.Tensor:
        """How much wider each grid has become; beyond what it may be the gradient passes, so that it can come back."""
        free = self.grids.exp()
        return free - (free - self.widest).clamp(min=0).detach()

    def _parameters_by_name(self) -> dict[str, torch.Tensor]:
        found = {name: getattr(self, f"other{index}") for index, name in enumerate(self._others)}
        for (_, weight, bias), layer in zip(self._names, self.layers, strict=True):
            assert isinstance(layer, TrainedLayer)
            found[weight], made = layer.tensors()
            if bias is not None:
                assert made is not None
                found[bias] = made
        return found

    @torch.no_grad()
    def load(self, parameters: Mapping[str, torch.Tensor]) -> None:
        """Takes trained parameters over, from wherever they are."""
        named = dict(self.named_parameters())
        for name, value in parameters.items():
            named[name].copy_(value)

    def levels(self) -> dict[str, LevelWeights]:
        """The trained weights of all layers as a file stores them."""
        found = {}
        for (name, _, _), layer in zip(self._names, self.layers, strict=True):
            assert isinstance(layer, TrainedLayer)
            found[name] = layer.first if name in self._fixed else layer.level()
        return found

    def activations(self) -> tuple[Activation, ...]:
        """The trained grids."""
        factors = self._factors().detach().tolist()
        return tuple(
            Activation(item.scale * factor, item.zero) for item, factor in zip(self._activations, factors, strict=True)
        )


def _widest(graph: Graph, grids: Mapping[str, int], activations: tuple[Activation, ...]) -> torch.Tensor:
    """How many times wider each grid may become: files leave out a clamp whose grid ends where it does, or before."""
    found = [math.inf] * len(activations)
    for node in graph.nodes:
        bound = node.argument(2, None)
        if node.op in CLAMPS and node.name in grids and isinstance(bound, int | float):
            item = activations[grids[node.name]]
            end = item.scale * (LARGEST_CODE - item.zero)
            found[grids[node.name]] = min(found[grids[node.name]], max(1.0, bound / end))
    return torch.tensor(found)


def _without_clamps(
    graph: Graph, grids: Mapping[str, int], activations: tuple[Activation, ...]
) -> tuple[Graph, dict[str, int], frozenset[str]]:
    """The graph without the ReLUs behind which a grid begins at zero, where the grids are then, and which of them do
    what a ReLU did."""
    readers = graph.consumers()
    moved: dict[str, str] = {}
    for node in graph.nodes:
        source = node.reads(0)
        if node.op not in RELUS or source is None or node.name not in grids or source in grids:
            continue
        if activations[grids[node.name]].zero == 0 and len(readers[source]) == 1 and source != graph.input:
            moved[node.name] = source

    def edit(node: Node) -> Node | str:
        source = node.reads(0)
        return source if node.name in moved and source is not None else node

    places = {moved.get(name, name): grid for name, grid in grids.items()}
    return replace_nodes(graph, edit), places, frozenset(moved.values())
