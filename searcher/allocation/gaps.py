"""Gaps: where along a cost the next plan may gain most, by the front of what has been scored."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log

import numpy as np

from searcher.allocation.problem import QUANTITIES, Values
from searcher.allocation.reach import USELESS_POINTS

LEAST_COST = 1e-300  # or price: its logarithm is finite
LEAST_WIDTH = 0.005  # of a gap worth a plan, in the logarithm of the cost: half a percent
# Of weights and logarithms, and of areas that count as equal: both halves of a gap are, and which of them is first must
# not depend on the last bits of linear algebra, which the machine and its threads decide.
DIGITS = 9
EQUAL_AREAS = 1e-6

Direction = tuple[float, ...]  # weights of the costs, the largest of them 1


class Gaps:
    """Places between neighbours of the front of score against a weighted cost, one after the other.

    A plan between two neighbours that is no better than the dearer one gains at most the rectangle between them, of the
    logarithm of the cost times the score, in hypervolume. The next place is the middle of the largest one. A place that
    was handed out splits its rectangle as a plan on the straight line between the corners would, whatever has come of
    it: plans that are beaten by what is there already do not make the search stay where they are.
    """

    def __init__(self) -> None:
        self._costs = np.zeros((0, len(QUANTITIES)))
        self._scores = np.zeros(0)
        self._places: dict[Direction, list[float]] = {}  # that were handed out
        self._ordered: dict[Direction, tuple[Values, Values]] = {}  # rising logarithms of costs, and their scores

    def learn(self, costs: Values, scores: Sequence[float]) -> None:
        """Takes every quantity [plans, quantities] of plans that are scored, and their scores in percent."""
        self._costs = np.concatenate([self._costs, costs])
        self._scores = np.concatenate([self._scores, scores])
        self._ordered.clear()

    def next(self, direction: Values, smallest: float, largest: float) -> float | None:
        """The weighted cost to try next, which is in the middle of both where nothing is scored; None where all gaps
        that are left are narrow.

        Args:
            direction: [quantities], the weights of the costs.
            smallest: weighted cost below which plans are of no use: the least useful plan, for all that is known.
            largest: weighted cost from which nothing is gained: as good as the best plan.
        """
        unit = float(direction.max())  # so that one cost alone is one direction, whatever its weight
        key = tuple(float(f"{weight / unit:.{DIGITS}e}") for weight in direction)
        places = self._places.setdefault(key, [])
        low = round(log(max(smallest / unit, LEAST_COST)), DIGITS)
        high = max(low, round(log(max(largest / unit, LEAST_COST)), DIGITS))
        logs, scores = self._corners(*self._along(key), low, high)
        bounds = np.unique(np.concatenate([logs, [place for place in places if logs[0] < place < high]]))
        widths = np.diff(bounds)
        areas = np.diff(np.interp(bounds, logs, scores)) * np.where(widths >= 2 * LEAST_WIDTH, widths, 0.0)
        if not (areas > 0.0).any():
            return None
        widest = int((areas >= (1 - EQUAL_AREAS) * areas.max()).argmax())
        places.append(round(float(bounds[widest] + bounds[widest + 1]) / 2, DIGITS))
        return exp(places[-1]) * unit

    def _along(self, direction: Direction) -> tuple[Values, Values]:
        """Of all plans, the rising logarithms of the weighted cost, and the scores there."""
        if direction not in self._ordered:
            # A plain sum: that of a matrix product depends on how it is cut into parts.
            costs = np.zeros(len(self._costs))
            for weight, quantity in zip(direction, self._costs.T, strict=True):
                costs += weight * quantity
            logs = np.log(np.maximum(costs, LEAST_COST)).round(DIGITS)
            order = np.lexsort((-self._scores, logs))
            self._ordered[direction] = logs[order], self._scores[order]
        return self._ordered[direction]

    def _corners(self, logs: Values, scores: Values, low: float, high: float) -> tuple[list[float], list[float]]:
        """The front between both ends: rising logarithms of costs, and the scores there."""
        best = float(self._scores.max(initial=USELESS_POINTS))
        floor = best - USELESS_POINTS
        inside = (logs > low) & (logs < high)
        logs, scores = logs[inside], scores[inside]
        useful = scores > floor
        front = useful.copy()
        front[1:] &= scores[1:] > np.maximum.accumulate(scores)[:-1]
        if front.any():
            low = max(low, _end(logs, scores, int(front.argmax()), floor))
        return [low, *logs[front].tolist(), high], [floor, *scores[front].tolist(), best]


def _end(logs: Values, scores: Values, first: int, floor: float) -> float:
    """The logarithm of the cost at which to stop looking for something cheaper than the `first` useful plan.

    A cheaper plan that misses by little ends the range, as far beyond it as it is from the useful one.
    """
    misses = np.flatnonzero(scores[:first] > floor - USELESS_POINTS)
    if not len(misses):
        return -np.inf
    nearest = misses[scores[misses].argmax()]
    return float(2 * logs[nearest] - logs[first])
