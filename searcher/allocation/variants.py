"""Variants of plans: one site a level up or down, nearest to the front first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from searcher.allocation.problem import Problem, Values


def variants(problem: Problem, plans: Iterable[tuple[int, ...]]) -> Iterator[tuple[int, ...]]:
    """Every plan of the problem but `plans`, each once: first the best neighbour of each of them, then the second best.

    Then the neighbours of the neighbours, and so on. A neighbour is the better the smaller the product of its error and
    its costs.
    """
    generation = list(dict.fromkeys(plans))
    seen = set(generation)
    while generation:
        found = []
        rows: dict[tuple[int, ...], list[tuple[int, ...]]] = {}  # made as they are needed
        for place in range(2 * len(problem.counts)):
            for plan in generation:
                if plan not in rows:
                    rows[plan] = _neighbours(problem, plan)
                if place < len(rows[plan]) and rows[plan][place] not in seen:
                    seen.add(rows[plan][place])
                    found.append(rows[plan][place])
                    yield rows[plan][place]
        generation = found


def _neighbours(problem: Problem, plan: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The plans that differ by one level at one site, the best first."""
    found = []
    for site, (level, count) in enumerate(zip(plan, problem.counts, strict=True)):
        for other in (level - 1, level + 1):
            if 0 <= other < count:
                found.append((*plan[:site], other, *plan[site + 1 :]))
    if not found:
        return []
    order = np.argsort(_badness(problem.totals(np.array(found, np.int64))), kind="stable")
    return [found[index] for index in order]


def _badness(totals: Values) -> Values:
    """Sum of the logarithms of error and costs [plans]."""
    badness: Values = np.log(np.maximum(totals, np.finfo(np.float64).tiny)).sum(axis=1)
    return badness
