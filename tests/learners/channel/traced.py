"""A network as far as its coupling, without what takes seconds: no ONNX form, no library."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from learners.channel.coupling import Coupling, find_coupling
from learners.channel.groups import ChannelGroup, find_groups
from learners.channel.surgery import Kept, cut_graph, cut_tensor, everything
from learners.device import single_thread
from learners.graph.fold import fold
from learners.graph.graph import Graph
from learners.graph.index_maps import with_index_maps
from learners.graph.layers import Layer, find_layers
from learners.graph.run import Program
from learners.graph.trace import trace
from storage.records.space import Protected
from tests.learners.agreement import masked

TOLERANCE = 1e-5  # of the largest output: fewer channels are added up in another order


@dataclass(frozen=True)
class Traced:
    """The parts of an analysis that surgery needs."""

    graph: Graph
    tensors: dict[str, torch.Tensor]
    layers: tuple[Layer, ...]
    maps: tuple[Layer, ...]
    protected: tuple[Protected, ...]
    coupling: Coupling

    @property
    def producers(self) -> list[Layer]:
        """Layers and index maps in the order of the graph."""
        places = [node.name for node in self.graph.nodes]
        return sorted((*self.layers, *self.maps), key=lambda layer: places.index(layer.node))

    @property
    def groups(self) -> tuple[ChannelGroup, ...]:
        """The channel groups, where ONNX does not matter."""
        maps = {layer.name for layer in self.maps}
        return find_groups(self.coupling, [layer.name for layer in self.producers], maps)

    def group_layers(self) -> dict[str, tuple[str, ...]]:
        """The layers of each group by its name, without index maps."""
        maps = {layer.name for layer in self.maps}
        return {group.name: tuple(name for name in group.layers if name not in maps) for group in self.groups}

    def run(self, x: torch.Tensor) -> torch.Tensor:
        """The dense output."""
        with single_thread(), torch.no_grad():
            return Program(self.graph)(self.tensors, x)

    def random_kept(self, generator: np.random.Generator, share: float = 0.6) -> Kept:
        """Any legal choice of units."""
        kept = everything(self.coupling)
        for unit in sorted({int(unit) for units in self.coupling.outputs.values() for unit in units if unit}):
            kept[unit] = generator.random() < share
        for together in self.coupling.together:
            if not any(kept[unit] for unit in together):
                kept[min(together)] = True
        return kept

    def cut(self, kept: Kept) -> tuple[Graph, dict[str, torch.Tensor]]:
        """Graph and tensors without what goes."""
        tensors = {
            name: cut_tensor(tensor, self.coupling.tensors.get(name, ()), kept) for name, tensor in self.tensors.items()
        }
        return cut_graph(self.graph, self.coupling, self.producers, kept), tensors

    def check_cut(self, kept: Kept, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Asserts that the cut graph computes what the dense one does when its readers ignore what goes."""
        graph, tensors = self.cut(kept)
        with single_thread(), torch.no_grad():
            found = Program(graph)(tensors, x)
        wanted = masked(self.graph, self.tensors, self.coupling, self.producers, kept, x)
        assert found.shape == wanted.shape
        assert float((found - wanted).abs().max()) <= TOLERANCE * max(1.0, float(wanted.abs().max()))
        for layer in self.layers:
            assert len(tensors[layer.weight]) == int(kept[self.coupling.outputs[layer.name]].sum())
        return tensors


def trace_channels(model: nn.Module, shape: tuple[int, ...], keep: tuple[str, ...] = ()) -> Traced:
    """The network up to its coupling."""
    sample = torch.zeros(1, *shape)

    def shapes_of(graph: Graph, tensors: dict[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
        shapes = {graph.input: tuple(sample.shape)}
        with torch.no_grad():
            Program(graph)(tensors, sample, lambda node, value: shapes.__setitem__(node.name, tuple(value.shape)))
        return shapes

    with single_thread():
        graph, tensors = trace(model, shape)
        graph, tensors = fold(graph, tensors, shapes_of(graph, tensors))
        graph, tensors, maps = with_index_maps(graph, tensors, shapes_of(graph, tensors))
        own = {name for layer in maps for name in (layer.weight, layer.bias)}
        rest = {name: tensor for name, tensor in tensors.items() if name not in own}
        layers, protected = find_layers(graph, rest, shapes_of(graph, tensors), keep)
        coupling = find_coupling(graph, tensors, shapes_of(graph, tensors), layers, maps, protected)
    return Traced(graph, tensors, layers, maps, protected, coupling)
