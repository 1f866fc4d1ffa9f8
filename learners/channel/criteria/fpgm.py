"""Sum of the distances of a filter to the others of its layer (He et al. 2018, "FPGM", 1811.00250): the smallest is the
most replaceable."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from learners.channel.criteria.base import CriterionInput, by_score
from learners.channel.criteria.norms import summed_scores
from learners.channel.groups import ChannelGroup


class FpgmCriterion:
    """See the module."""

    name = "fpgm"
    recipe = "fpgm-1"
    needs_classes = False

    def order(self, group: ChannelGroup, given: CriterionInput, fewest: int) -> Sequence[int]:
        """See `Criterion.order`."""
        return by_score(group, summed_scores(group, given, _score), fewest)


def _score(_: str, filters: torch.Tensor) -> torch.Tensor:
    return torch.cdist(filters, filters).sum(1)
