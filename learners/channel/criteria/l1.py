"""L1 norm of the filter (Li et al. 2016, 1608.08710)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from learners.channel.criteria.base import CriterionInput, by_score
from learners.channel.criteria.norms import summed_scores
from learners.channel.groups import ChannelGroup


class L1Criterion:
    """See the module."""

    name = "l1"
    recipe = "l1-1"
    needs_classes = False

    def order(self, group: ChannelGroup, given: CriterionInput, fewest: int) -> Sequence[int]:
        """See `Criterion.order`."""
        return by_score(group, summed_scores(group, given, _score), fewest)


def _score(_: str, filters: torch.Tensor) -> torch.Tensor:
    return filters.abs().sum(1)
