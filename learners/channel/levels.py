"""How many channels of a group the levels keep: at least some on the runtime's grid."""

from __future__ import annotations

from learners.channel.groups import ChannelGroup

# Kept shares of the channels. Below a quarter nothing has survived without training in any model tried; steps of an
# eighth are about what the quick score can tell apart.
SHARES = (0.875, 0.75, 0.625, 0.5, 0.375, 0.25)
STEPS = 8  # the grid divides a group into at least as many steps
# ONNX Runtime's kernels are fastest at multiples of 16: beyond 128 channels every level lies on that grid, below some
# of them do, and the others are for those who count bytes.
LARGEST_STEP = 16
LEAST_CHANNELS = 2


def unit_counts(group: ChannelGroup, round_to: int | None, min_channels: int | None) -> tuple[int, ...]:
    """How many removable units each level keeps: all of them first, then ever fewer.

    Counts are those of the layer that the group is named after: with `round_to` multiples of it, else of a step that
    follows from the width. At least `min_channels` remain.
    """
    total, each = len(group.units), group.width_of_unit
    staying = sum(unit not in group.units for unit in group.made)  # channels of the layer that can never go
    least = max(min_channels or LEAST_CHANNELS, 1)
    step = round_to if round_to is not None else _step(group.width)
    found = {total}
    for share in SHARES:
        channels = max(step, round(share * group.width / step) * step)
        units = (channels - staying) // each
        if channels >= least and 1 <= units < total:
            found.add(units)
    return tuple(sorted(found, reverse=True))


def _step(width: int) -> int:
    """The largest power of two that divides the width into at least as many parts as STEPS, at most LARGEST_STEP."""
    step = 1
    while step * 2 <= min(LARGEST_STEP, width / STEPS):
        step *= 2
    return step
