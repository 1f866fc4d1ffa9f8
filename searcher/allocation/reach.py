"""Reach: how large an error is still worth a plan, learnt from what the first plans have scored."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, sqrt

# Points of soft accuracy below the best plan from which a plan is of no use: where the normalised hypervolume begins.
USELESS_POINTS = 10.0
MARGIN = 1.25  # above the largest error that was still of use: errors are only a proxy
LEAST_SHARE = 0.01  # of the least error of no use: what counts as the largest of use where there is none


class Reach:
    """The largest error of plans to propose; everything until a plan has failed."""

    def __init__(self) -> None:
        self.most_error = inf
        self._scored: list[tuple[float, float]] = []

    def learn(self, scored: Sequence[tuple[float, float]], best: float) -> None:
        """Takes (error, score in percent) of plans, and the best score of all plans so far.

        The first plans are the extremes: between the largest error of use and the least of none may lie most of what
        there is. Plans in the middle of the two (of their logarithms) decide, as in a bisection.
        """
        self._scored += scored
        useful = max((error for error, score in self._scored if score >= best - USELESS_POINTS), default=0.0)
        useless = [error for error, score in self._scored if score < best - USELESS_POINTS]
        if useless:
            above = min((error for error in useless if error > useful), default=useful)
            self.most_error = max(MARGIN * useful, sqrt(max(useful, LEAST_SHARE * above) * above))
