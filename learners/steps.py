"""Steps: the nodes of a graph whose weights or arguments a candidate decides on, in the order of execution."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from learners.channel.surgery import cut_tensor
from learners.graph.graph import Graph
from learners.graph.layers import DEPTHWISE
from learners.library.library import Library
from learners.stitch import stitched_graph
from storage.records.candidate import Candidate

CACHED_BYTES = 2**30  # of stitched tensors; beyond, they are made again


@dataclass(frozen=True)
class Step:
    """A node that is not the same in every candidate."""

    position: int  # in the graph's nodes
    sites: tuple[int, ...]  # that decide on it
    layer: int | None  # index into the library's wirings, of a layer or an index map
    followers: tuple[str, ...]  # tensors of no layer that shrink with the channels

    def key(self, levels: Sequence[int]) -> tuple[int, ...]:
        """Two candidates of equal keys have this node in common."""
        return tuple(levels[site] for site in self.sites)


def find_steps(library: Library) -> tuple[Step, ...]:
    """The steps of a library's model."""
    coupling = library.analysis.coupling
    group_of = {unit: index for index, item in enumerate(library.groups) for unit in item.group.units}
    wirings = {wiring.layer.node: index for index, wiring in enumerate(library.wirings)}
    owned = {name for item in library.wirings for name in (item.layer.weight, item.layer.bias)}
    found = []
    for position, node in enumerate(library.analysis.graph.nodes):
        index = wirings.get(node.name)
        sites = set(library.wirings[index].sites) if index is not None else set()
        followers = tuple(
            name for name in dict.fromkeys(node.references()) if name in coupling.tensors and name not in owned
        )
        slots = [slot for name in followers for slot in coupling.tensors[name]]
        if node.name in coupling.resized:
            resized = coupling.resized[node.name]
            slots += [slot for slot in (*resized.outputs, resized.source) if slot is not None]
        sites |= {group_of[unit] for slot in slots for unit in slot.units.tolist() if unit in group_of}
        if sites:
            found.append(Step(position, tuple(sorted(sites)), index, followers))
    return tuple(found)


class Stitcher:
    """Makes the tensors of candidates, and keeps those that the next ones may share."""

    def __init__(self, library: Library, steps: Sequence[Step], place: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """`place` brings a tensor to where and into what the candidates are computed."""
        self._library = library
        self._steps = steps
        self._place = place
        self._cache: dict[tuple[int, tuple[int, ...], str], dict[str, torch.Tensor]] = {}
        self._bytes = 0
        analysis = library.analysis
        depthwise = any(layer.kind == DEPTHWISE for layer in analysis.layers)
        self._same_graph = not library.groups or not (depthwise or analysis.coupling.resized)

    def clear(self) -> None:
        """Forgets everything: `place` has changed."""
        self._cache.clear()
        self._bytes = 0

    def graph(self, candidate: Candidate) -> Graph:
        """The candidate's graph; the dense one itself where no node names a number of channels."""
        analysis = self._library.analysis
        return analysis.graph if self._same_graph else stitched_graph(analysis, self._library.kept(candidate.levels))

    def tensors(self, candidate: Candidate) -> dict[str, torch.Tensor]:
        """The tensors that the candidate decides on, by name."""
        found: dict[str, torch.Tensor] = {}
        for index, step in enumerate(self._steps):
            key = (index, step.key(candidate.levels), candidate.weights)
            made = self._cache.get(key)
            if made is None:
                made = self._make(step, candidate)
                self._bytes += sum(item.numel() * item.element_size() for item in made.values())
                if self._bytes > CACHED_BYTES:
                    self.clear()
                self._cache[key] = made
            found.update(made)
        return found

    def _make(self, step: Step, candidate: Candidate) -> dict[str, torch.Tensor]:
        library = self._library
        found: dict[str, torch.Tensor] = {}
        if step.layer is not None:
            layer = library.wirings[step.layer].layer
            level = library.adapted(step.layer, candidate.levels, candidate.weights)
            found[layer.weight] = self._place(level.weight())
            if layer.bias is not None and level.bias is not None:
                found[layer.bias] = self._place(level.bias)
        if step.followers:
            kept = library.kept(candidate.levels)
            for name in step.followers:
                tensor = library.analysis.tensors[name]
                found[name] = self._place(cut_tensor(tensor, library.analysis.coupling.tensors[name], kept))
        return found
