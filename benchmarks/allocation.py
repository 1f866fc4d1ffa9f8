"""CPU time of exact allocation: one elimination, and mixed-integer programs under budgets of size and latency."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from searcher.allocation.budget import Budget
from searcher.allocation.elimination import Elimination
from searcher.allocation.milp import Allocation, Allocator
from searcher.allocation.problem import QUANTITIES, Problem
from storage.records.latency import LatencyTable
from storage.records.space import SearchSpace
from storage.slim import BYTE_BITS

# Pairs of budgets: times smaller than dense, and times faster than all in 8 bits. Those count of which neither is for
# nothing: the best plan for each alone breaks the other.
SIZE_RATIOS = (6.0, 8.0, 10.0)
SPEEDUPS_OF_INT8 = (1.1, 1.25, 1.5)
WEIGHTINGS = 32  # eliminations that are timed; prices of size and latency from slight to crushing
LEAST_PRICE, MOST_PRICE = 1e-4, 1e4  # errors that the dense model's size and latency are worth together


@dataclass(frozen=True)
class PairFigures:
    """One program under two budgets that both matter."""

    size_ratio: float  # times smaller than the dense model at least
    speedup: float  # by the latency table, times faster than the dense model at least
    seconds: float  # of CPU, that of preparing included
    gap: float | None  # None: no plan is within the budgets
    nodes: int
    variables: int


@dataclass(frozen=True)
class AllocationFigures:
    """CPU seconds, and what came out."""

    sites: int
    cells: int  # of all terms' tables together
    prepare_seconds: float  # reading the tables and ordering the sites, once a study
    elimination_seconds: float  # one plan at given prices, solved alone
    batched_seconds: float  # one plan of many that are solved together
    exact: bool  # whether eliminations are
    pairs: tuple[PairFigures, ...]


def measure(space: SearchSpace, latency: LatencyTable) -> AllocationFigures:
    """Times allocation on a space."""
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
    return AllocationFigures(
        sites=len(space.sites),
        cells=sum(term.cells for term in problem.terms),
        prepare_seconds=prepared,
        elimination_seconds=alone,
        batched_seconds=batched,
        exact=elimination.is_exact,
        pairs=tuple(_pairs(elimination, space, latency, prepared)),
    )


def _pairs(
    elimination: Elimination, space: SearchSpace, latency: LatencyTable, prepared: float
) -> Iterator[PairFigures]:
    dense = space.size_bytes((0,) * len(space.sites))
    in_int8 = latency.speedup(space, space.uniform_bits(BYTE_BITS))
    sizes = {ratio: Budget("size", dense / ratio) for ratio in SIZE_RATIOS}
    speeds = {in_int8 * share: Budget("latency", latency.dense_ms / (in_int8 * share)) for share in SPEEDUPS_OF_INT8}
    for (ratio, size), (speedup, speed) in product(sizes.items(), speeds.items()):
        alone = [_solve(elimination, [budget])[0] for budget in (size, speed)]
        for_size, for_speed = (None if found is None else found.levels for found in alone)
        if for_size is not None and latency.milliseconds(space, for_size) <= speed.limit:
            continue
        if for_speed is not None and space.size_bytes(for_speed) <= size.limit:
            continue
        found, seconds = _solve(elimination, [size, speed])
        yield PairFigures(
            size_ratio=ratio,
            speedup=speedup,
            seconds=prepared + seconds,
            gap=None if found is None else found.gap,
            nodes=0 if found is None else found.nodes,
            variables=0 if found is None else found.variables,
        )


def _solve(elimination: Elimination, budgets: Sequence[Budget]) -> tuple[Allocation | None, float]:
    started = time.process_time()
    found = Allocator(elimination).solve(budgets)
    return found, time.process_time() - started
