"""Runs: a removal order cut where the channel counts of all layers of a group are legal.

A unit may hold several channels of a layer, and another number of them in the next layer: behind a flatten, in a
channel shuffle, where a concatenation is added to something. How many channels are left then depends on which units go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from learners.channel.groups import ChannelGroup

Counts: TypeAlias = npt.NDArray[np.int64]  # output channels of each layer of a group


@dataclass(frozen=True)
class Rule:
    """What counts are legal: those of an untouched layer, and multiples of its step that are at least `least`."""

    steps: Counts  # [layers]
    least: int


@dataclass(frozen=True)
class Members:
    """The layers of a group by their channels."""

    widths: Counts  # [layers]: all channels, those that can never go among them
    sizes: dict[int, Counts]  # unit -> how many channels of each layer [layers] it holds

    @classmethod
    def of(cls, group: ChannelGroup) -> Members:
        """Those of `group`."""
        outputs = group.outputs or (group.made,)
        sizes = {unit: np.zeros(len(outputs), np.int64) for unit in group.units}
        for index, made in enumerate(outputs):
            for unit in made:
                if unit in sizes:
                    sizes[unit][index] += 1
        return cls(np.array([len(made) for made in outputs], np.int64), sizes)


def legal_runs(
    members: Members, order: Sequence[int], rule: Rule, start: Counts | None = None
) -> tuple[tuple[int, ...], ...]:
    """`order` in runs of units, after each of which all counts are legal; `start` are those before the first.

    A run begins with the first unit that is left. As long as a count is not legal, the first unit follows that brings
    no other layer off its step; if there is none, the first that changes an illegal count. Where all layers hold the
    same number of channels of every unit, the order stays as it is. Units that no legal run can take are left out.
    """
    counts = members.widths if start is None else start
    floors = np.minimum(members.widths, -(-rule.least // rule.steps) * rule.steps)
    left, found = list(order), []
    while left:
        run = _run(members, left, rule.steps, floors, counts)
        if run:
            found.append(tuple(run))
            counts = counts - sum(members.sizes[unit] for unit in run)
            gone = set(run)
            left = [unit for unit in left if unit not in gone]
        else:
            left = left[1:]
    return tuple(found)


def _run(members: Members, left: Sequence[int], steps: Counts, floors: Counts, counts: Counts) -> list[int]:
    """The run that begins with the first of `left`; empty if there is none."""
    sizes = np.stack([members.sizes[unit] for unit in left])  # [units, layers]
    free = np.ones(len(left), np.bool_)
    run: list[int] = []
    place = 0
    while True:
        if (counts - sizes[place] < floors).any():
            return []
        counts = counts - sizes[place]
        free[place] = False
        run.append(left[place])
        excess = np.where(counts < members.widths, counts % steps, 0)  # that must go before the counts are legal
        if not excess.any():
            return run
        touching = free & (sizes[:, excess > 0] > 0).any(1) & (counts - sizes >= floors).all(1)
        fitting = touching & (sizes <= excess).all(1)
        chosen = np.flatnonzero(fitting if fitting.any() else touching)
        if not len(chosen):
            return []
        place = int(chosen[0])
