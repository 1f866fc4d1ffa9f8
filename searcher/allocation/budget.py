"""A ceiling on what a plan may cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from searcher.allocation.problem import QUANTITIES, Values
from storage.records.target import Objective

FIT = 1e-12  # share of a limit by which a plan may exceed it: what rounding adds up to


@dataclass(frozen=True)
class Budget:
    """The most a plan may cost of one objective."""

    objective: Objective
    limit: float  # bytes, multiply-accumulates, milliseconds

    @property
    def row(self) -> int:
        """Its place on an axis over quantities."""
        return QUANTITIES.index(self.objective)


def fits(totals: Values, budgets: Sequence[Budget]) -> npt.NDArray[np.bool_]:
    """Whether each plan's totals [plans, quantities] are within all budgets."""
    inside = np.ones(len(totals), np.bool_)
    for budget in budgets:
        inside &= totals[:, budget.row] <= budget.limit + FIT * abs(budget.limit)
    return inside
