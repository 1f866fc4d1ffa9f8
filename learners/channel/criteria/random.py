"""At random: what any criterion has to beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from learners.channel.criteria.base import CriterionInput, by_score
from learners.channel.groups import ChannelGroup


class RandomCriterion:
    """See the module."""

    name = "random"
    recipe = "random-1"
    needs_classes = False

    def order(self, group: ChannelGroup, given: CriterionInput, fewest: int) -> Sequence[int]:
        """See `Criterion.order`."""
        generator = np.random.default_rng([given.seed, group.units[0]])
        return by_score(group, dict(zip(group.units, generator.random(len(group.units)).tolist(), strict=True)), fewest)
