"""L2 norm of the filter (He et al. 2018, "SFP", 1808.06866)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from learners.channel.criteria.base import CriterionInput, by_score
from learners.channel.criteria.norms import summed_scores
from learners.channel.groups import ChannelGroup


class L2Criterion:
    """See the module."""

    name = "l2"
    recipe = "l2-1"
    needs_classes = False

    def order(self, group: ChannelGroup, given: CriterionInput, fewest: int) -> Sequence[int]:
        """See `Criterion.order`."""
        return by_score(group, summed_scores(group, given, _score), fewest)


def _score(_: str, filters: torch.Tensor) -> torch.Tensor:
    return filters.square().sum(1).sqrt()
