"""Plans of all sizes and speeds: Lagrangian plans under several pressures in turn."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np

from searcher.allocation.elimination import Elimination
from searcher.allocation.pressure import Pressure
from searcher.allocation.problem import QUANTITIES, Problem, Quantity, Values
from searcher.allocation.reach import Reach

# The turns: how much of the pressure is on speed, the rest is on size; in every fourth turn all channels stay, so that
# the joint front cannot be worse than that of bits alone where the sum of errors misjudges the removal of channels.
BITS_ONLY = None
TURNS: tuple[float | None, ...] = (0.0, 0.5, 1.0, BITS_ONLY, 0.0, 0.2, 0.8, BITS_ONLY)


def spread(
    elimination: Elimination, channels: Collection[int], negligible: float, reach: Reach, bits_reach: Reach
) -> Iterator[tuple[int, ...]]:
    """Plans without end, repeated ones among them: any number of the first covers all sizes and speeds.

    `channels` are the sites that bits-only plans leave at their first level, `negligible` the error of a plan that is
    as good as dense, `reach` what is of use, and `bits_reach` that of bits-only plans: an error by lost bits and an
    equal one by lost channels do not cost the same accuracy. None at all where no cost varies.
    """
    problem = elimination.problem
    low, high = problem.extremes()
    speeds: tuple[Quantity, ...] = ("latency", "macs")
    speed = next((name for name in speeds if _varies(name, low, high)), None)
    size = "size" if _varies("size", low, high) else None
    if size is None and speed is None:
        return
    bits = problem.with_first_level(channels)
    bits_low, bits_high = bits.extremes()
    has_bits = bool(channels) and _varies("size", bits_low, bits_high)
    found: dict[float | None, Iterator[tuple[int, ...]]] = {}
    turns: list[float | None] = []
    for turn in TURNS:
        if turn is BITS_ONLY and not has_bits:
            continue
        share = turn if turn is BITS_ONLY or (size and speed) else float(size is None)
        turns.append(share)
    for place, turn in enumerate(dict.fromkeys(turns)):
        if turn is BITS_ONLY:
            pressure = Pressure(Elimination(bits), _direction(bits, 0.0, None), negligible, bits_reach)
        else:
            pressure = Pressure(elimination, _direction(problem, turn, speed), negligible, reach)
        found[turn] = pressure.plans(offset=place / len(set(turns)))
    while True:
        for turn in turns:
            yield next(found[turn])


def _varies(name: Quantity, low: Values, high: Values) -> bool:
    row = QUANTITIES.index(name)
    return bool(high[row] > low[row])


def _direction(problem: Problem, share: float, speed: Quantity | None) -> Values:
    """Weights of the costs; both count alike half-way, in the logarithm, between the least and the most they can be."""
    low, high = problem.extremes()
    direction = np.zeros(len(QUANTITIES))
    parts: dict[Quantity, float] = {"size": 1.0 - share}
    if speed is not None:
        parts[speed] = share
    for name, weight in parts.items():
        row = QUANTITIES.index(name)
        if weight:
            direction[row] = weight / np.sqrt(max(low[row], high[row] * np.finfo(np.float32).eps) * high[row])
    return direction
