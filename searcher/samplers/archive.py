"""Archive: what has been scored, and which of it is on the front."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2

import numpy as np

from objectives.pareto import non_dominated
from searcher.allocation.budget import Budget
from searcher.allocation.reach import USELESS_POINTS
from searcher.samplers.base import Scored, slowness

Levels = tuple[int, ...]


class Archive:
    """All scores of a study in the order in which they came, and their front: score, size and speed."""

    def __init__(self, budgets: Sequence[Budget] = ()) -> None:
        """`budgets` are what `nearest` goes by."""
        self._budgets = tuple(budgets)
        self._beaten_by_none: list[tuple[float, Scored]] = []
        self.front: tuple[Scored, ...] = ()  # useful plans that no other beats, the smallest first

    def add(self, scored: Sequence[Scored]) -> None:
        """Takes scores; evaluations that have failed tell nothing."""
        known = [*self._beaten_by_none, *((item.score, item) for item in scored if item.score is not None)]
        if not known:
            return
        points = [(score, -log2(item.size_bytes), -log2(self._slowness(item))) for score, item in known]
        stays = non_dominated(np.array(points))
        self._beaten_by_none = [pair for pair, kept in zip(known, stays, strict=True) if kept]
        best = max(score for score, _ in self._beaten_by_none)
        kept = [item for score, item in self._beaten_by_none if score >= best - USELESS_POINTS]
        self.front = tuple(sorted(kept, key=lambda item: (item.size_bytes, item.candidate.levels)))

    def nearest(self, count: int) -> tuple[Scored, ...]:
        """The `count` members of the front that come nearest to all budgets; the most accurate of those within."""

        def key(item: Scored) -> tuple[float, float, Levels]:
            costs = {"size": float(item.size_bytes), "macs": item.macs, "latency": item.latency_ms}
            excess = 0.0
            for budget in self._budgets:
                cost = costs[budget.objective]
                if cost is not None and cost > budget.limit:
                    excess += log2(cost / budget.limit) if budget.limit > 0 else cost
            return excess, -(item.score or 0.0), item.candidate.levels

        return tuple(sorted(self.front, key=key)[:count])

    def _slowness(self, item: Scored) -> float:
        """Never 0: there are logarithms to be taken."""
        return max(slowness(item, self._budgets), np.finfo(np.float64).tiny)
