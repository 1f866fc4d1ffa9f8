"""The Lagrangian dual of an allocation under budgets: a bound on the error, and plans beside the optimum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog

from searcher.allocation.budget import Budget, fits
from searcher.allocation.elimination import Elimination
from searcher.allocation.problem import ERROR, QUANTITIES, Levels, Values

MOST_CUTS = 80  # of the cutting planes; two or three budgets need 15 to 40
TOLERANCE = 1e-7  # relative distance of the bound to the dual's optimum at which to stop
# Prices around the best ones, at which plans on both sides of every budget are found.
NEARBY = tuple(2.0 ** (step / 16) for step in range(-4, 13, 2))
SMALLEST_SPAN = 1e-9  # of the error itself, that its range counts as
MOST_PRICE = 1e9  # errors that the whole range of a cost may be worth


@dataclass(frozen=True, eq=False)
class Dual:
    """What the dual says of one problem under its budgets."""

    bound: float  # no plan within the budgets has a smaller error; infinite: there is none, proven; -inf: unknown
    weights: Values  # [quantities]: 1 for the error, the best prices for the costs
    plan: Levels | None  # [sites]: the best plan within the budgets that was met
    error: float  # of that plan; infinite without one


def solve_dual(elimination: Elimination, budgets: Sequence[Budget]) -> Dual:
    """Maximises the dual by cutting planes (Kelley 1960), one plan a cut.

    Where the elimination is not exact, the plans hold but there is no bound.
    """
    return _Planes(elimination, budgets).run()


class _Planes:
    """Every plan met so far, and the dual's upper envelope that they make."""

    def __init__(self, elimination: Elimination, budgets: Sequence[Budget]) -> None:
        self._elimination = elimination
        self._budgets = budgets
        self._rows = [budget.row for budget in budgets]
        self._limits = np.array([budget.limit for budget in budgets])
        low, high = elimination.problem.extremes()
        # A budget's overrun is told in shares of the cost's range, and prices in errors per range.
        self._ranges = np.where((high > low)[self._rows], (high - low)[self._rows], 1.0)
        self._low = low[ERROR]
        self._span = max(high[ERROR] - low[ERROR], SMALLEST_SPAN * abs(high[ERROR])) or 1.0
        self._most = high[ERROR]
        self._plan: Levels | None = None
        self._error = np.inf
        self._errors: list[float] = []  # of the plan of each cut
        self._overruns: list[Values] = []  # [budgets] of each cut

    def run(self) -> Dual:
        count = len(self._budgets)
        bound, best = -np.inf, np.zeros(count)
        value = self._visit(np.zeros((1, count)))
        self._cheapest()
        if self._error < np.inf and value[0] >= self._error:
            return self._result(value[0], best)  # the plan of least error is within the budgets
        for _ in range(MOST_CUTS):
            prices, upper = self._master()
            value = self._visit(prices[None, :])
            if value[0] > bound:
                bound, best = float(value[0]), prices
            if bound > self._most:
                return self._result(np.inf, best)
            if upper - bound <= TOLERANCE * self._span * min(1.0, max(abs(bound) / self._span, TOLERANCE)):
                break
        factors = np.stack(np.meshgrid(*[NEARBY] * count, indexing="ij"), axis=-1).reshape(-1, count)
        self._visit(best * factors)
        return self._result(bound, best)

    def _result(self, bound: float, prices: Values) -> Dual:
        if not self._elimination.is_exact:
            bound = -np.inf
        return Dual(float(bound), self._weights(prices[None, :])[0], self._plan, float(self._error))

    def _weights(self, prices: Values) -> Values:
        weights = np.zeros((len(prices), len(QUANTITIES)))
        weights[:, ERROR] = 1.0
        weights[:, self._rows] = prices / self._ranges
        return weights

    def _visit(self, prices: Values) -> Values:
        """Solves at prices [weightings, budgets]; the dual's value at each."""
        return self._keep(self._elimination.solve(self._weights(prices)), prices)

    def _cheapest(self) -> None:
        """Visits the plan of least cost for each budget, error aside."""
        weights = np.zeros((len(self._rows), len(QUANTITIES)))
        weights[np.arange(len(self._rows)), self._rows] = 1.0
        plans = self._elimination.solve(weights)
        self._keep(plans, np.zeros((len(plans), len(self._rows))))

    def _keep(self, plans: Levels, prices: Values) -> Values:
        totals = self._elimination.problem.totals(plans)
        overruns = (totals[:, self._rows] - self._limits) / self._ranges
        self._errors.extend(totals[:, ERROR].tolist())
        self._overruns.extend(overruns)
        good = np.flatnonzero(fits(totals, self._budgets))
        if len(good):
            first = int(good[totals[good, ERROR].argmin()])
            if totals[first, ERROR] < self._error:
                self._plan, self._error = plans[first], float(totals[first, ERROR])
        values: Values = totals[:, ERROR] + (prices * overruns).sum(axis=1)
        return values

    def _master(self) -> tuple[Values, float]:
        """Prices where the envelope of all cuts is highest, and its height there."""
        limits = (np.array(self._errors) - self._low) / self._span
        rows = np.column_stack([np.ones(len(self._errors)), -np.array(self._overruns)])
        objective = np.zeros(1 + len(self._rows))
        objective[0] = -1.0
        bounds = [(None, None), *[(0.0, MOST_PRICE)] * len(self._rows)]
        found = linprog(objective, A_ub=rows, b_ub=limits, bounds=bounds, method="highs")
        assert found.x is not None, found.message
        return found.x[1:] * self._span, float(found.x[0]) * self._span + self._low
