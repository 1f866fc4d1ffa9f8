"""Plans of all sizes and speeds: Lagrangian plans under several pressures in turn."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np

from searcher.allocation.elimination import Elimination
from searcher.allocation.gaps import Gaps
from searcher.allocation.pressure import Pressure
from searcher.allocation.problem import QUANTITIES, Problem, Quantity, Values
from searcher.allocation.reach import Reach

# The turns: how much of the pressure is on speed, the rest is on size; in every fourth turn all channels stay, so that
# the joint front cannot be worse than that of bits alone where the sum of errors misjudges the removal of channels.
BITS_ONLY = None
TURNS: tuple[float | None, ...] = (0.0, 0.5, 1.0, BITS_ONLY, 0.0, 0.2, 0.8, BITS_ONLY)
# Where targets want speed and not size: of the turns above, half are for sizes that nobody has asked for.
TURNS_FOR_SPEED: tuple[float | None, ...] = (1.0, 0.8, 1.0, 0.5, 1.0, BITS_ONLY, 0.8, 0.0)
Turn = tuple[float | None, Quantity | None]  # and which speed it is


@dataclass(frozen=True)
class Start:
    """Where a spread begins, so that several of them do not make the same plans."""

    turn: int = 0  # which of the turns is the first
    shift: float = 0.0  # in [0, 1), of all places between the smallest plan and the largest
    gaps: Gaps | None = None  # where scores are known: the places to try before others


START = Start()


def spread(
    elimination: Elimination,
    channels: Collection[int],
    negligible: float,
    reach: Reach,
    bits_reach: Reach,
    wanted: Collection[str] = (),
    shares: Sequence[float | None] = TURNS,
    start: Start = START,
) -> Iterator[tuple[int, ...]]:
    """Plans without end, repeated ones among them: any number of the first covers all sizes and speeds.

    `channels` are the sites that bits-only plans leave at their first level, `negligible` the error of a plan that is
    as good as dense, `reach` what is of use, and `bits_reach` that of bits-only plans: an error by lost bits and an
    equal one by lost channels do not cost the same accuracy. None at all where no cost varies. Speed is what the
    targets want of latency and MACs (`wanted` holds what they name), of both in turn; where they want neither, it is
    latency, or MACs where no latency is known. `shares` are the turns, and `start` tells where they begin: with gaps,
    plans fill these before they cover the range.
    """
    problem = elimination.problem
    low, high = problem.extremes()
    all_speeds: tuple[Quantity, ...] = ("latency", "macs")
    varying = [name for name in all_speeds if _varies(name, low, high)]
    speeds = [name for name in varying if name in wanted] or varying[:1]
    size = "size" if _varies("size", low, high) else None
    if size is None and not speeds:
        return
    bits = problem.with_first_level(channels)
    bits_low, bits_high = bits.extremes()
    has_bits = bool(channels) and _varies("size", bits_low, bits_high)
    found: dict[Turn, Iterator[tuple[int, ...]]] = {}
    turns: list[Turn] = []
    for share in shares:
        if share is BITS_ONLY:
            turns += [(BITS_ONLY, None)] if has_bits else []
        elif size and not (share and speeds):
            turns.append((0.0, None))
        else:
            turns += [(share if size else 1.0, speed) for speed in speeds]
    for place, turn in enumerate(dict.fromkeys(turns)):
        share, speed = turn
        begun = replace(start, shift=(place / len(set(turns)) + start.shift) % 1.0)
        if share is BITS_ONLY:
            found[turn] = _plans(Elimination(bits), _direction(bits, 0.0, None), negligible, bits_reach, begun)
        else:
            found[turn] = _plans(elimination, _direction(problem, share, speed), negligible, reach, begun)
    for place in count(start.turn):
        yield next(found[turns[place % len(turns)]])


def _plans(
    elimination: Elimination, direction: Values, negligible: float, reach: Reach, start: Start
) -> Iterator[tuple[int, ...]]:
    """The plans of a pressure that is worked out when the first of them is asked for: not every turn comes."""
    pressure = Pressure(elimination, direction, negligible, reach)
    if start.gaps is not None:
        yield from pressure.plans_between(start.gaps)
    yield from pressure.plans(start.shift)


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
