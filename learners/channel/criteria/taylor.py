"""First-order Taylor expansion of the loss (Molchanov et al. 2019, 1906.10771, equation 8): |weight x gradient|, summed
over the channel and averaged over batches of the calibration images."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from learners.channel.criteria.base import CriterionInput, by_score
from learners.channel.criteria.norms import summed_scores
from learners.channel.groups import ChannelGroup


class TaylorCriterion:
    """See the module."""

    name = "taylor"
    recipe = "taylor-1"
    needs_classes = True

    def order(self, group: ChannelGroup, given: CriterionInput, fewest: int) -> Sequence[int]:
        """See `Criterion.order`."""
        products = given.gradients()

        def score(name: str, _: torch.Tensor) -> torch.Tensor:
            return products[given.layers[name].weight].flatten(1).double().cpu().sum(1)

        return by_score(group, summed_scores(group, given, score), fewest)
