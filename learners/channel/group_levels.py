"""The channel levels of a model: its groups, and which units each level of a group keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from learners.channel.coupling import Coupling
from learners.channel.groups import ChannelGroup
from learners.channel.surgery import Kept, everything


@dataclass(frozen=True)
class GroupLevels:
    """A group with its levels."""

    group: ChannelGroup
    order: tuple[int, ...]  # units as they are removed
    counts: tuple[int, ...]  # of units that each level keeps, the first all of them

    @classmethod
    def of(cls, group: ChannelGroup, order: Sequence[int], counts: Sequence[int]) -> GroupLevels:
        """Levels that the order does not reach are left out, and those that leave as many channels as one before."""
        fewest = len(group.units) - len(order)
        every = cls(group, tuple(order), tuple(count for count in counts if count >= fewest))
        widths: dict[int, int] = {}
        for level, count in enumerate(every.counts):
            widths.setdefault(every.width(level), count)
        return cls(group, tuple(order), tuple(widths.values()))

    def removed(self, level: int) -> tuple[int, ...]:
        """The units that a level does without."""
        return self.order[: len(self.group.units) - self.counts[level]]

    def width(self, level: int) -> int:
        """Output channels of the layer that the group is named after, at a level."""
        removed = set(self.removed(level))
        return sum(unit not in removed for unit in self.group.made)


def kept_units(coupling: Coupling, groups: Sequence[GroupLevels], levels: Sequence[int]) -> Kept:
    """Which units stay where group i is at `levels[i]`."""
    kept = everything(coupling)
    for group, level in zip(groups, levels, strict=True):
        kept[np.array(group.removed(level), np.int64)] = False
    return kept
