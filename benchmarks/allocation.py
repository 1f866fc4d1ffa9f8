"""CPU time of exact allocation: one elimination, and one mixed-integer program under budgets of size and latency."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from searcher.allocation.budget import Budget
from searcher.allocation.elimination import Elimination
from searcher.allocation.milp import Allocator
from searcher.allocation.problem import QUANTITIES, Problem
from storage.records.latency import LatencyTable
from storage.records.space import SearchSpace

SIZE_RATIO = 8.0
SPEEDUP = 2.0
WEIGHTINGS = 32  # eliminations that are timed; prices of size and latency from slight to crushing
LEAST_PRICE, MOST_PRICE = 1e-4, 1e4  # errors that the dense model's size and latency are worth together


@dataclass(frozen=True)
class AllocationFigures:
    """CPU seconds, and what came out."""

    sites: int
    cells: int  # of all terms' tables together
    prepare_seconds: float  # reading the tables and ordering the sites, once a study
    elimination_seconds: float  # one plan at given prices, solved alone
    batched_seconds: float  # one plan of many that are solved together
    exact: bool  # whether eliminations are
    plan_seconds: float  # the best plan under two budgets
    gap: float | None  # None: no plan is within the budgets
    nodes: int
    variables: int


def measure(
    space: SearchSpace, latency: LatencyTable, size_ratio: float = SIZE_RATIO, speedup: float = SPEEDUP
) -> AllocationFigures:
    """Times allocation on a space, for a model `size_ratio` times smaller and by the table `speedup` times faster."""
    started = time.process_time()
    problem = Problem.build(space, latency)
    elimination = Elimination(problem)
    prepared = time.process_time() - started
    dense = (0,) * len(space.sites)
    weights = np.zeros((WEIGHTINGS, len(QUANTITIES)))
    weights[:, QUANTITIES.index("error")] = 1.0
    prices = np.geomspace(LEAST_PRICE, MOST_PRICE, WEIGHTINGS)
    weights[:, QUANTITIES.index("size")] = prices / space.size_bytes(dense)
    weights[:, QUANTITIES.index("latency")] = prices / latency.dense_ms
    started = time.process_time()
    for row in weights:
        elimination.solve(row)
    alone = (time.process_time() - started) / WEIGHTINGS
    started = time.process_time()
    elimination.solve(weights)
    batched = (time.process_time() - started) / WEIGHTINGS
    budgets = [Budget("size", space.size_bytes(dense) / size_ratio), Budget("latency", latency.dense_ms / speedup)]
    started = time.process_time()
    found = Allocator(elimination).solve(budgets)
    seconds = time.process_time() - started
    return AllocationFigures(
        sites=len(space.sites),
        cells=sum(term.cells for term in problem.terms),
        prepare_seconds=prepared,
        elimination_seconds=alone,
        batched_seconds=batched,
        exact=elimination.is_exact,
        plan_seconds=seconds,
        gap=None if found is None else found.gap,
        nodes=0 if found is None else found.nodes,
        variables=0 if found is None else found.variables,
    )
