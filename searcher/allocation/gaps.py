"""Gaps: where along a cost the next plan may gain most, by the front of what has been scored."""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import numpy as np

from searcher.allocation.problem import QUANTITIES, Values
from searcher.allocation.reach import USELESS_POINTS

LEAST_COST = 1e-300  # whose logarithm is finite
LEAST_WIDTH = 0.005  # of a gap worth a plan, in the logarithm of the cost: half a percent


class Gaps:
    """Places between neighbours of the front of score against a weighted cost, one after the other.

    A plan between two neighbours gains at most the rectangle between them, of the logarithm of the cost times the
    score, in hypervolume. The next place is the middle of the largest one. A place that was handed out splits its
    rectangle as a plan on the straight line between the corners would, whatever has come of it: plans that are
    beaten by what is there already do not make the search stay where they are.
    """

    def __init__(self) -> None:
        self._costs = np.zeros((0, len(QUANTITIES)))
        self._scores = np.zeros(0)
        self._places: dict[tuple[float, ...], list[float]] = {}  # that were handed out, by direction

    def learn(self, costs: Values, scores: Sequence[float]) -> None:
        """Takes every quantity [plans, quantities] of plans that are scored, and their scores in percent."""
        self._costs = np.concatenate([self._costs, costs])
        self._scores = np.concatenate([self._scores, scores])

    def next(self, direction: Values, smallest: float, largest: float) -> float | None:
        """The weighted cost to try next, which is in the middle of both where nothing is scored; None where all gaps
        that are left are narrow.

        Args:
            direction: [quantities], the weights of the costs.
            smallest: weighted cost below which plans are of no use: the least useful plan, for all that is known.
            largest: weighted cost from which nothing is gained: as good as the best plan.
        """
        unit = float(direction.max())  # so that one cost alone is one direction, whatever its weight
        places = self._places.setdefault(tuple(np.round(direction / unit, 9)), [])
        low, high = log(smallest / unit), log(max(largest, smallest) / unit)
        logs, scores = self._corners(np.log(np.maximum(self._costs @ (direction / unit), LEAST_COST)), low, high)
        bounds = np.unique(np.concatenate([logs, [place for place in places if low < place < high]]))
        widths = np.diff(bounds)
        areas = np.diff(np.interp(bounds, logs, scores)) * np.where(widths >= 2 * LEAST_WIDTH, widths, 0.0)
        if not (areas > 0.0).any():
            return None
        widest = int(areas.argmax())
        places.append(float(bounds[widest] + bounds[widest + 1]) / 2)
        return float(np.exp(places[-1])) * unit

    def _corners(self, logs: Values, low: float, high: float) -> tuple[list[float], list[float]]:
        """The front between both ends: rising logarithms of costs, and the scores there."""
        best = float(self._scores.max(initial=USELESS_POINTS))
        floor = best - USELESS_POINTS
        near = np.flatnonzero((logs > low) & (logs < high) & (self._scores > floor - USELESS_POINTS))
        order = near[np.lexsort((-self._scores[near], logs[near]))]
        scores = self._scores[order]
        front = np.concatenate([[True], scores[1:] > np.maximum.accumulate(scores)[:-1]]) if len(order) else order > 0
        # Those that miss by little end the range: beyond them hardly anything is of use.
        useful = np.maximum(scores[front], floor)
        return [low, *logs[order][front].tolist(), high], [floor, *useful.tolist(), best]
