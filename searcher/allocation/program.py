"""The mixed-integer program of an allocation under budgets, linearised over the cells of every term, for HiGHS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from searcher.allocation.budget import Budget
from searcher.allocation.cells import Mask, consistent, private_sites
from searcher.allocation.problem import ERROR, QUANTITIES, Levels, Problem, Term, Values
from searcher.allocation.quiet import without_chatter

# The room under each budget, and the error expected, are this much in the program, of which HiGHS tolerates 1e-6.
SCALE = 1000.0
SHARPEST = 1e-3  # share of the range of a cost that counts as the room under a budget where there is hardly any
OPTIMAL, STOPPED, INFEASIBLE = 0, 1, 2  # what scipy.optimize.milp calls a status
ABSENT = -1  # in an array of columns: the cell is left out

Columns = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Solution:
    """What HiGHS has found."""

    plan: Levels | None  # [sites]; None where there is none, or none was found within the nodes
    bound: float  # no plan of the cells has a smaller error; infinite where there is none, -inf where nothing is known
    nodes: int
    is_finished: bool  # whether HiGHS went on to the gap, or to the proof that there is no plan


class Program:
    """A column for each level of a site that terms share, each joint level of such sites, and each cell of a term.

    Terms over the same shared sites go through the same joint levels, so that the relaxation cannot tell them apart; a
    site that one term alone depends on needs no column of its own. All columns are binary: those of joint levels could
    be continuous, but HiGHS is no faster then.
    """

    def __init__(self, problem: Problem, masks: Sequence[Mask]) -> None:
        """A program of the cells that `masks` name, shaped as the terms' levels."""
        self._problem = problem
        self._masks = consistent(problem, masks)
        private = private_sites(problem)
        self._shared = [tuple(site for site in term.sites if site not in private) for term in problem.terms]
        self.variables = 0
        self._costs: list[tuple[Columns, Values]] = []  # columns, and their quantities [quantities, columns]
        self._rows = 0
        self._entries: list[tuple[Columns, Columns, Values]] = []  # row, column, coefficient
        self._right: list[Values] = []
        self._levels: dict[int, Columns] = {}  # site -> column of each level
        self._joints: dict[tuple[int, ...], Columns] = {}  # sites -> column of each cell
        self._cells = [
            self._term(term, mask, shared)
            for term, mask, shared in zip(problem.terms, self._masks, self._shared, strict=True)
        ]

    def solve(self, budgets: Sequence[Budget], error: float, relative_gap: float, most_nodes: int) -> Solution:
        """Least error within the budgets; `error` is about what to expect, for the scaling.

        Stops by gap and nodes alone, so that equal programs give equal plans.
        """
        fixed = self._problem.fixed
        low, high = self._problem.extremes()
        costs = np.zeros((len(QUANTITIES), self.variables))
        for columns, values in self._costs:
            costs[:, columns] += values
        unit = SCALE / error if error > 0 else SCALE
        rows, columns, coefficients = (np.concatenate(part) for part in zip(*self._entries, strict=True))
        right = np.concatenate(self._right)
        ties = coo_array((coefficients, (rows, columns)), shape=(self._rows, self.variables)).tocsr()
        constraints = [LinearConstraint(ties, right, right)]
        for budget in budgets:
            span = float(high[budget.row] - low[budget.row])
            scale = SCALE / (max(budget.limit - low[budget.row], SHARPEST * span) or 1.0)
            most = scale * (budget.limit - fixed[budget.row])
            constraints.append(LinearConstraint(scale * costs[None, budget.row], -np.inf, most))
        with without_chatter():
            found = milp(
                unit * costs[ERROR],
                integrality=np.ones(self.variables, np.int64),
                bounds=Bounds(0, 1),
                constraints=constraints,
                options={"mip_rel_gap": relative_gap, "node_limit": most_nodes},
            )
        nodes = int(found.mip_node_count or 0)
        if found.status == INFEASIBLE:
            return Solution(None, np.inf, nodes, True)
        bound = found.mip_dual_bound
        if found.status not in (OPTIMAL, STOPPED) or bound is None or not np.isfinite(bound):
            bound = -np.inf
        plan = None if found.x is None else self._plan(found.x)
        return Solution(plan, float(bound / unit + fixed[ERROR]), nodes, found.status == OPTIMAL)

    def _term(self, term: Term, mask: Mask, shared: tuple[int, ...]) -> Columns:
        """The columns of a term's cells, tied to those of its shared sites."""
        if not shared:
            columns = self._add(mask)
            self._price(columns, term.tables)
            self._tie(columns.reshape(1, -1), None)
            return columns
        joint = self._joint(shared)
        if shared == term.sites:
            self._price(joint, term.tables)
            return joint
        own = [axis for axis, site in enumerate(term.sites) if site not in shared]
        columns = self._add(mask & (np.expand_dims(joint, own) != ABSENT))
        self._price(columns, term.tables)
        self._tie(np.moveaxis(columns, own, range(-len(own), 0)).reshape(joint.size, -1), joint.reshape(-1))
        return columns

    def _joint(self, sites: tuple[int, ...]) -> Columns:
        """The columns of the joint levels of shared sites, tied to those of each site."""
        if len(sites) == 1:
            return self._level(sites[0])
        if sites not in self._joints:
            present = np.ones([self._problem.counts[site] for site in sites], np.bool_)
            for term, mask, shared in zip(self._problem.terms, self._masks, self._shared, strict=True):
                if shared == sites:
                    present &= mask.any(axis=tuple(a for a, site in enumerate(term.sites) if site not in shared))
            columns = self._add(present)
            for axis, site in enumerate(sites):
                by_level = np.moveaxis(columns, axis, 0).reshape(present.shape[axis], -1)
                self._tie(by_level, self._level(site))
            self._joints[sites] = columns
        return self._joints[sites]

    def _level(self, site: int) -> Columns:
        """The columns of the levels of a shared site, one of which is 1."""
        if site not in self._levels:
            present = np.ones(self._problem.counts[site], np.bool_)
            for term, mask in zip(self._problem.terms, self._masks, strict=True):
                if site in term.sites:
                    axis = term.sites.index(site)
                    present &= mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis))
            self._levels[site] = self._add(present)
            self._tie(self._levels[site].reshape(1, -1), None)
        return self._levels[site]

    def _add(self, present: Mask) -> Columns:
        """New columns for the cells that are present; an array of their shape."""
        count = int(present.sum())
        columns = np.full(present.shape, ABSENT, np.int64)
        columns[present] = np.arange(self.variables, self.variables + count)
        self.variables += count
        return columns

    def _price(self, columns: Columns, tables: Values) -> None:
        present = columns != ABSENT
        self._costs.append((columns[present], tables[:, present]))

    def _tie(self, parts: Columns, whole: Columns | None) -> None:
        """Rows: the columns of each row of `parts` add up to that of `whole`, or to 1."""
        if whole is not None:  # rows of nothing say nothing
            used = (whole != ABSENT) | (parts != ABSENT).any(axis=1)
            parts, whole = parts[used], whole[used]
        rows = self._rows + np.broadcast_to(np.arange(len(parts))[:, None], parts.shape)
        present = parts != ABSENT
        self._entries.append((rows[present], parts[present], np.ones(int(present.sum()))))
        self._right.append(np.full(len(parts), 1.0 if whole is None else 0.0))
        if whole is not None:
            there = whole != ABSENT
            self._entries.append((rows[:, 0][there], whole[there], np.full(int(there.sum()), -1.0)))
        self._rows += len(parts)

    def _plan(self, values: Values) -> Levels:
        """The levels that a solution stands for: of each term its largest cell, given the levels of shared sites."""
        plan = np.zeros(len(self._problem.counts), np.int64)
        chosen = np.append(values, -1.0)  # what ABSENT points at
        for site, columns in self._levels.items():
            plan[site] = chosen[columns].argmax()
        for term, columns, shared in zip(self._problem.terms, self._cells, self._shared, strict=True):
            own = tuple(site for site in term.sites if site not in shared)
            at = tuple(int(plan[site]) if site in shared else slice(None) for site in term.sites)
            cells = chosen[columns[at]]
            if own:
                plan[list(own)] = np.unravel_index(int(cells.argmax()), cells.shape)
        return plan
