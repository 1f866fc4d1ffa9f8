"""What criteria on weights share: the filters of a unit, and their sum over the layers that make it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from learners.channel.criteria.base import CriterionInput
from learners.channel.groups import ChannelGroup
from learners.graph.layers import INDEX_MAP


def summed_scores(
    group: ChannelGroup, given: CriterionInput, score: Callable[[str, torch.Tensor], torch.Tensor]
) -> Mapping[int, float]:
    """The score of each unit: that of its filters, summed over the layers that make it.

    `score` takes a layer's name and its filters [out, ...] and gives a score for each; those of a layer are divided by
    their mean, so that no layer outvotes the others by its scale. Index maps have no weights to judge by.
    """
    total = dict.fromkeys(group.units, 0.0)
    for name in group.layers:
        layer = given.layers[name]
        if layer.kind == INDEX_MAP:
            continue
        found = score(name, given.tensors[layer.weight].flatten(1).double().cpu())
        mean = float(found.mean())
        for unit, value in zip(given.coupling.outputs[name].tolist(), found.tolist(), strict=True):
            if unit in total and mean > 0:
                total[unit] += value / mean
    return total
