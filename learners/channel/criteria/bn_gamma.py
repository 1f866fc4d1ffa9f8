"""|gamma| of the batch norm behind a layer (Liu et al. 2017, "Network slimming", 1708.06519).

The paper trains with an L1 penalty on gamma and sets one threshold for the whole network; here nothing is trained and
the allocation decides how many channels a group keeps, so gamma gives the order within a group alone. A layer without
batch norm is judged by the L1 norm of its filters.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from learners.channel.criteria.base import CriterionInput, by_score
from learners.channel.criteria.norms import summed_scores
from learners.channel.groups import ChannelGroup


class BnGammaCriterion:
    """See the module."""

    name = "bn_gamma"
    recipe = "bn_gamma-1"
    needs_classes = False

    def order(self, group: ChannelGroup, given: CriterionInput, fewest: int) -> Sequence[int]:
        """See `Criterion.order`."""

        def score(name: str, filters: torch.Tensor) -> torch.Tensor:
            gamma = given.gammas.get(name)
            return filters.abs().sum(1) if gamma is None else gamma.double().cpu()

        return by_score(group, summed_scores(group, given, score), fewest)
