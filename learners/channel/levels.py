"""How many channels of a group the levels keep: at least some on the runtime's grid."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from learners.channel.group_levels import GroupLevels
from learners.channel.groups import ChannelGroup
from learners.channel.runs import Counts, Members, Rule, legal_runs

# Kept shares of the channels. Below a quarter nothing has survived without training in any model tried; steps of an
# eighth are about what the quick score can tell apart.
SHARES = (0.875, 0.75, 0.625, 0.5, 0.375, 0.25)
STEPS = 8  # the grid divides a group into at least as many steps
# ONNX Runtime's kernels are fastest at multiples of 16: beyond 128 channels nearly all levels lie on that grid, below
# some of them do, and the others are for those who count bytes.
LARGEST_STEP = 16
LEAST_CHANNELS = 2
LEAST_LEVELS = 3  # of a group, the original among them, where its units allow it
# Wide groups get two levels off the grid, for those who count bytes: they lie on odd multiples of 4, right below the
# levels on the grid that keep these shares, and so take about as long as these.
WIDE = 128
FINE_SHARES = (0.75, 0.5)
FINE_STEP = 4


def fewest_units(group: ChannelGroup, round_to: int | None, min_channels: int | None) -> int:
    """How many units the smallest level may keep: as few as can hold the channels that it must leave."""
    step = round_to or _step(group.width)
    needed = max(step, _rounded(SHARES[-1] * group.width, step), min_channels or LEAST_CHANNELS)
    needed = min(needed, group.width) - sum(unit not in set(group.units) for unit in group.made)
    held = Counter(group.made)
    sizes = sorted((held[unit] for unit in group.units), reverse=True)
    return next((count for count, held in enumerate(itertools.accumulate(sizes), 1) if held >= needed), len(sizes))


def group_levels(
    group: ChannelGroup, order: Sequence[int], round_to: int | None, min_channels: int | None
) -> GroupLevels:
    """The levels of a group whose units a criterion would remove in `order`: all channels first, then ever fewer.

    At every level each layer of the group has all its channels, or a multiple of `round_to` and at least
    `min_channels`. Without `round_to` the step follows from the width, and is given up, first for the other layers
    than the one that the group is named after, where the units allow too few levels else. Where units hold different
    numbers of channels, some go earlier or later than in `order`.
    """
    members, least = Members.of(group), min_channels or LEAST_CHANNELS
    order = order[: len(group.units) - 1]  # one stays, also where other channels of its layers do
    ones = np.ones_like(members.widths)
    if round_to is not None:
        return _levels(group, members, order, Rule(ones * round_to, least), round_to, fine=False)
    step, fine = _step(group.width), group.width >= WIDE
    named = np.array([made == group.made for made in group.outputs or (group.made,)])
    tried = []
    for steps in (ones * step, np.where(named, step, ones), ones):
        tried.append(_levels(group, members, order, Rule(steps, least), step, fine))
        if len(tried[-1].counts) >= LEAST_LEVELS:
            return tried[-1]
    return max(tried, key=lambda item: len(item.counts))


def _levels(
    group: ChannelGroup, members: Members, order: Sequence[int], rule: Rule, step: int, fine: bool
) -> GroupLevels:
    """The levels whose widths are the nearest to the shares."""
    runs = legal_runs(members, order, rule)
    stops = _stops(group, runs)
    chosen = {_nearest(stops, max(step, _rounded(share * group.width, step))) for share in SHARES}
    if fine:
        runs = _finer(members, runs, rule)
        odd = {stop: width for stop, width in _stops(group, runs).items() if width % (2 * FINE_STEP) == FINE_STEP}
        chosen |= {_nearest(odd, _odd_multiple(share * group.width)) for share in FINE_SHARES if odd}
    total = len(group.units)
    counts = sorted({total, *(total - stop for stop in chosen)}, reverse=True)
    return GroupLevels.of(group, tuple(itertools.chain(*runs)), counts)


def _finer(members: Members, runs: Sequence[tuple[int, ...]], rule: Rule) -> tuple[tuple[int, ...], ...]:
    """Each run in runs of the finer step, where its units can be put so."""
    finer = Rule(np.minimum(rule.steps, FINE_STEP), rule.least)
    counts: Counts = members.widths
    found: list[tuple[int, ...]] = []
    for run in runs:
        parts = legal_runs(members, run, finer, counts)
        found += parts if sum(map(len, parts)) == len(run) else [run]
        counts = counts - sum(members.sizes[unit] for unit in run)
    return tuple(found)


def _stops(group: ChannelGroup, runs: Sequence[tuple[int, ...]]) -> dict[int, int]:
    """The width of the group's layer by how many units have gone, before and behind each run."""
    held = Counter(group.made)
    found = {0: group.width}
    gone, width = 0, group.width
    for run in runs:
        gone += len(run)
        width -= sum(held[unit] for unit in run)
        found[gone] = width
    return found


def _nearest(stops: Mapping[int, int], channels: int) -> int:
    """The stop that leaves the nearest number of channels, of two as near the larger one."""
    return min(stops, key=lambda stop: (abs(stops[stop] - channels), stop))


def _rounded(channels: float, step: int) -> int:
    return round(channels / step) * step


def _odd_multiple(channels: float) -> int:
    """The largest odd multiple of FINE_STEP that is at most `channels`."""
    return (int(channels / FINE_STEP - 1) // 2 * 2 + 1) * FINE_STEP


def _step(width: int) -> int:
    """The largest power of two that divides the width into at least as many parts as STEPS, at most LARGEST_STEP."""
    step = 1
    while step * 2 <= min(LARGEST_STEP, width / STEPS):
        step *= 2
    return step
