"""Reach: how large an error is still worth a plan, learnt from what the first plans have scored."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

# Points of soft accuracy below the best plan from which a plan is of no use: where the normalised hypervolume begins.
USELESS_POINTS = 10.0
MARGIN = 1.25  # above the largest error that was still of use: errors are only a proxy


class Reach:
    """The largest error of plans to propose; everything until something is known."""

    def __init__(self) -> None:
        self.most_error = inf
        self._scored: list[tuple[float, float]] = []

    def learn(self, scored: Sequence[tuple[float, float]]) -> None:
        """Takes (error, score in percent) of plans."""
        self._scored += scored
        best = max((score for _, score in self._scored), default=0.0)
        useful = [error for error, score in self._scored if score >= best - USELESS_POINTS]
        useless = [error for error, score in self._scored if score < best - USELESS_POINTS]
        if useful and useless:
            self.most_error = MARGIN * max(useful)
