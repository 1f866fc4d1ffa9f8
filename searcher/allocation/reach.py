"""Reach: how large an error is still worth a plan, learnt from what the first plans have scored."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, sqrt

# Points of soft accuracy below the best plan from which a plan is of no use: where the normalised hypervolume begins.
USELESS_POINTS = 10.0
MARGIN = 1.25  # above the largest error that was still of use: errors are only a proxy


class Reach:
    """The largest error of plans to propose; everything until something is known."""

    def __init__(self) -> None:
        self.most_error = inf
        self._scored: list[tuple[float, float]] = []

    def learn(self, scored: Sequence[tuple[float, float]]) -> None:
        """Takes (error, score in percent) of plans.

        The first plans are the extremes: between the largest error of use and the least of none may lie most of what
        there is. Plans in the middle of the two decide, as in a bisection.
        """
        self._scored += scored
        best = max((score for _, score in self._scored), default=0.0)
        useful = max((error for error, score in self._scored if score >= best - USELESS_POINTS), default=0.0)
        useless = [error for error, score in self._scored if score < best - USELESS_POINTS]
        if useful and useless:
            above = min((error for error in useless if error > useful), default=useful)
            self.most_error = max(MARGIN * useful, sqrt(useful * above))
