"""Stitches a candidate together: the traced graph and its tensors with the candidate's channels and weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from learners.analysis import Analysis
from learners.base import Adapted
from learners.channel.surgery import Kept, cut_graph, cut_tensor
from learners.graph.graph import Graph


def stitched_graph(analysis: Analysis, kept: Kept) -> Graph:
    """The graph that fits the candidate's tensors; `analysis.graph` itself where no argument names a channel count."""
    return cut_graph(analysis.graph, analysis.coupling, analysis.producers, kept)


def stitched_tensors(analysis: Analysis, adapted: Adapted) -> dict[str, torch.Tensor]:
    """All tensors of the graph in float32, as the candidate has them."""
    found = other_tensors(analysis, adapted.kept)
    for layer in (*analysis.layers, *analysis.maps):
        level = adapted.weights[layer.name]
        found[layer.weight] = level.weight()
        if layer.bias is not None:
            assert level.bias is not None
            found[layer.bias] = level.bias
    return found


def other_tensors(analysis: Analysis, kept: Kept) -> dict[str, torch.Tensor]:
    """What belongs to no layer: batch norms that are not folded, positions, slopes."""
    slots: Mapping[str, object] = analysis.coupling.tensors
    own = {name for layer in (*analysis.layers, *analysis.maps) for name in (layer.weight, layer.bias)}
    return {
        name: cut_tensor(tensor, analysis.coupling.tensors[name], kept) if name in slots else tensor
        for name, tensor in analysis.tensors.items()
        if name not in own
    }
