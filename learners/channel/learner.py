"""The channel learner: removes channels for good and fits what reads them to those that are left."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from learners.base import LearnerOptions
from learners.channel.consumers import Consumer, can_reconstruct
from learners.channel.criteria.base import CriterionInput
from learners.channel.criteria.table import criterion
from learners.channel.group_levels import GroupLevels
from learners.channel.groups import ChannelGroup
from learners.channel.levels import fewest_units, group_levels
from learners.channel.reconstruct import Reconstructed, reconstruct


class ChannelLearner:
    """Levels by width, removal in the order of a criterion, readers refitted by least squares."""

    name = "channel"

    def __init__(self, options: LearnerOptions) -> None:
        self._options = options
        self._criterion = criterion(options.criterion)
        self.method = f"{self._criterion.name}, readers {'refitted' if options.reconstruct else 'as they are'}"
        fitted = "fitted" if options.reconstruct else "as they are"
        self.recipe = f"channel-3 {self._criterion.recipe} {fitted} {options.round_to} {options.min_channels}"

    def fewest(self, group: ChannelGroup) -> int:
        """See `GroupLearner.fewest`."""
        return fewest_units(group, self._options.round_to, self._options.min_channels)

    def order(self, group: ChannelGroup, given: CriterionInput, fewest: int) -> Sequence[int]:
        """See `GroupLearner.order`."""
        return self._criterion.order(group, given, fewest)

    def group_levels(self, group: ChannelGroup, order: Sequence[int]) -> GroupLevels:
        """See `GroupLearner.group_levels`."""
        return group_levels(group, order, self._options.round_to, self._options.min_channels)

    def adapt(self, consumer: Consumer, columns: torch.Tensor) -> Reconstructed:
        """See `GroupLearner.adapt`."""
        fit = self._options.reconstruct and can_reconstruct(consumer)
        return reconstruct(consumer.weight, consumer.gram, columns, fit)
