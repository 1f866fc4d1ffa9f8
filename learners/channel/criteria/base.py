"""What every criterion does: puts the units of a group in the order in which they are removed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from learners.channel.consumers import Consumer
from learners.channel.coupling import Coupling
from learners.channel.groups import ChannelGroup
from learners.graph.layers import Layer


@dataclass(frozen=True)
class CriterionInput:
    """All that a criterion may look at."""

    coupling: Coupling
    layers: Mapping[str, Layer]  # by name, index maps among them
    tensors: Mapping[str, torch.Tensor]  # folded weights and biases
    consumers: Mapping[int, Sequence[Consumer]]  # unit -> its readers
    gammas: Mapping[str, torch.Tensor]  # layer -> |gamma| of the batch norm that was folded into it, before folding
    gradients: Callable[[], Mapping[str, torch.Tensor]]  # of the loss by each weight times the weight; costs a pass
    seed: int


class Criterion(Protocol):
    """Orders units. One file and one line in `learners.channel.criteria.table` make a new one."""

    name: str
    recipe: str  # changes whenever the same inputs would give another order
    needs_classes: bool  # whether it reads `gradients`, which only a model with outputs [n, k], k >= 2, has

    def order(self, group: ChannelGroup, given: CriterionInput, fewest: int) -> Sequence[int]:
        """Units of `group` in the order of their removal, until `fewest` are left or no more may go.

        Never removes the last one of a set of `group.together`. Deterministic.
        """
        ...


def by_score(group: ChannelGroup, scores: Mapping[int, float], fewest: int) -> tuple[int, ...]:
    """The units with the smallest scores first, of equal ones the later first, as `Criterion.order` asks."""
    left = [len(item) for item in group.together]
    removed: list[int] = []
    for unit in sorted(group.units, key=lambda item: (scores[item], -item)):
        if len(group.units) - len(removed) <= fewest:
            break
        touched = [index for index, item in enumerate(group.together) if unit in item]
        if all(left[index] > 1 for index in touched):
            removed.append(unit)
            for index in touched:
                left[index] -= 1
    return tuple(removed)
