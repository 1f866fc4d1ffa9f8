"""Exact allocation under any number of budgets: a Lagrangian bound narrows the problem, HiGHS solves what is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from searcher.allocation.budget import Budget, fits
from searcher.allocation.cells import Mask, below, undominated
from searcher.allocation.dual import Dual, solve_dual
from searcher.allocation.elimination import Elimination
from searcher.allocation.problem import ERROR, Levels
from searcher.allocation.program import Program

# Of the error, at which a plan is good enough: errors are a proxy for accuracy. Under five pairs of budgets for
# ResNet-56 the error came out within 0.2 % of that at a gap of 1e-3, in 0.15 to 4.9 CPU-seconds in place of 0.15 to 11.
RELATIVE_GAP = 5e-3
# Of a branch and bound. For ResNet-56 10 times smaller and 1.1 times as fast as in int8, 500 took 9.9 CPU-seconds and
# proved a gap of 0.3 %; 30 take 2.2 for the same plan and prove one of 5 %.
MOST_NODES = 30
# Of a program; beyond them the Lagrangian plan stands. 15,000, of a DenseNet's block of twelve layers that could not be
# narrowed, took HiGHS 5 to 25 CPU-seconds without a single branch.
MOST_VARIABLES = 8000
# The first search is among the plans whose error is up to this much above the bound; each next one goes this many times
# further. Most cells belong to no such plan, and what none of them reaches need not be looked at.
FIRST_SLACK = 0.01
WIDEN = 4.0
SAFETY = 1e-9  # relative, for the rounding of sums
EXACT = 1e-7  # a gap that is no more than the tolerances of HiGHS
TIGHTEN = 1e-9  # of a budget, where HiGHS has gone beyond it
MOST_TIGHTENINGS = 4


@dataclass(frozen=True)
class Allocation:
    """A plan, and how far from the optimum it can be."""

    levels: tuple[int, ...]
    error: float
    gap: float  # no plan has an error below (1 - gap) * error; 1 where nothing is known
    nodes: int  # of HiGHS; 0 where the Lagrangian plan was good enough
    variables: int  # of the largest program


class Allocator:
    """Solves one problem under different budgets."""

    def __init__(self, elimination: Elimination) -> None:
        self._elimination = elimination

    def solve(
        self, budgets: Sequence[Budget], relative_gap: float = RELATIVE_GAP, most_nodes: int = MOST_NODES
    ) -> Allocation | None:
        """The plan of least total error within all budgets; None if no plan is within them, or none was found.

        `relative_gap` of the error is where to stop, 0 for the optimum; `most_nodes` bounds each branch and bound.
        The answer depends on nothing else: not on time, not on load. Sums within a latency budget are predictions
        within it, as long as it is not below the least of these.
        """
        least = self._elimination.problem.least_ms
        if any(budget.objective == "latency" and budget.limit < least for budget in budgets):
            return None
        return _Search(self._elimination, tuple(budgets), relative_gap, most_nodes).run()


class _Search:
    """One search: the best plan and the best bound so far."""

    def __init__(
        self,
        elimination: Elimination,
        budgets: tuple[Budget, ...],
        relative_gap: float,
        most_nodes: int,
    ) -> None:
        self._problem = problem = elimination.problem
        self._elimination = elimination
        self._budgets = budgets
        self._relative_gap = relative_gap
        self._most_nodes = most_nodes
        self._plan: Levels | None = None
        self._error = np.inf
        low, high = problem.extremes()
        self._bound, self._high = float(low[ERROR]), float(high[ERROR])
        self._nodes = self._variables = 0

    def run(self) -> Allocation | None:
        dual = solve_dual(self._elimination, self._budgets)
        self._plan, self._error = dual.plan, dual.error
        self._raise(dual.bound)
        masks = undominated(self._problem, [ERROR, *(budget.row for budget in self._budgets)])
        if np.isfinite(dual.bound):
            self._narrowed(dual, masks)
        elif dual.bound < 0 and not self._is_done():
            self._solve(masks, self._high)
        if self._plan is None:
            return None
        levels = tuple(int(level) for level in self._plan)
        return Allocation(levels, self._error, self._gap(), self._nodes, self._variables)

    def _narrowed(self, dual: Dual, masks: Sequence[Mask]) -> None:
        """Searches among ever more plans, until the bound says that the best cannot be outside."""
        least = self._elimination.least_with(dual.weights)
        # Of a plan within the budgets, the weighted cost is at most its error and what the budgets are worth.
        worth = sum(dual.weights[budget.row] * budget.limit for budget in self._budgets)
        step = FIRST_SLACK * max(abs(dual.bound), SAFETY * abs(self._high))
        while not self._is_done():
            everything = min(self._error, self._high)
            most = min(dual.bound + step, everything)
            kept = below(masks, least, most + worth + SAFETY * (abs(most) + abs(worth)))
            if not self._solve(kept, most) or most >= everything:
                return
            step *= WIDEN

    def _solve(self, masks: Sequence[Mask], most: float) -> bool:
        """Searches the cells of `masks`, which hold all plans of an error up to `most`; whether to the end."""
        program = Program(self._problem, masks)
        if program.variables > MOST_VARIABLES:
            return False
        self._variables = max(self._variables, program.variables)
        found = program.solve(self._budgets, most, self._relative_gap, self._most_nodes)
        self._raise(min(found.bound, most))
        finished = found.is_finished
        budgets, tighten = self._budgets, TIGHTEN
        for _ in range(MOST_TIGHTENINGS):
            self._nodes += found.nodes
            if found.plan is None or self._keep(found.plan):
                break
            # A hair above a budget, within what HiGHS tolerates: again with a budget as much lower.
            budgets = tuple(Budget(c.objective, c.limit - tighten * abs(c.limit)) for c in budgets)
            tighten *= WIDEN
            found = program.solve(budgets, most, self._relative_gap, self._most_nodes)
        return finished

    def _keep(self, plan: Levels) -> bool:
        """Takes a plan if it is the best so far; whether it is within the budgets."""
        totals = self._problem.totals(plan[None, :])
        if not fits(totals, self._budgets)[0]:
            return False
        if totals[0, ERROR] < self._error:
            self._plan, self._error = plan, float(totals[0, ERROR])
        return True

    def _raise(self, bound: float) -> None:
        self._bound = max(self._bound, bound)

    def _gap(self) -> float:
        if self._error <= self._bound:
            return 0.0
        return float((self._error - self._bound) / self._error) if np.isfinite(self._error) else 1.0

    def _is_done(self) -> bool:
        return self._gap() <= max(self._relative_gap, EXACT)
