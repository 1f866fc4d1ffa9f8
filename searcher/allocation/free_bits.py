"""Bits that cost nothing: where no target wants what bits change, files still need not be larger than they must."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from searcher.allocation.elimination import Elimination
from searcher.allocation.pressure import Pressure
from searcher.allocation.problem import ERROR, QUANTITIES, Problem, Term
from searcher.allocation.reach import Reach

SIZE = QUANTITIES.index("size")


def bits_matter(problem: Problem, channels: Collection[int], wanted: Collection[str]) -> bool:
    """Whether the levels of other sites than `channels` change anything of `wanted` (all costs, if it is empty)."""
    low, high = problem.with_first_level(channels).extremes()
    varying = {name for row, name in enumerate(QUANTITIES) if row != ERROR and high[row] > low[row]}
    return bool(varying & set(wanted) if wanted else varying)


class FreeBits:
    """Gives a plan the bits at which a byte is worth so little error that the dense model would stay as good."""

    def __init__(self, problem: Problem, channels: Collection[int], negligible: float) -> None:
        """`channels` are the sites that stay as they are, `negligible` the error of a plan that is as good as dense."""
        by_size = np.zeros(len(QUANTITIES))
        by_size[SIZE] = 1.0
        bits = Elimination(problem.with_first_level(channels))
        self.price = Pressure(bits, by_size, negligible, Reach()).negligible_price
        self._terms: dict[int, list[Term]] = {
            site: [term for term in problem.terms if site in term.sites]
            for site, count in enumerate(problem.counts)
            if count > 1 and site not in channels
        }

    def __call__(self, plan: tuple[int, ...]) -> tuple[int, ...]:
        """The same channels with other bits. Errors and sizes of layers add up, so each site is decided by itself."""
        levels = list(plan)
        for site, terms in self._terms.items():
            costs = np.zeros(())
            for term in terms:
                place = tuple(slice(None) if other == site else levels[other] for other in term.sites)
                costs = costs + term.tables[ERROR][place] + self.price * term.tables[SIZE][place]
            levels[site] = int(costs.argmin())
        return tuple(levels)
