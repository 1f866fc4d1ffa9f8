"""Exact allocation under one budget: a multiple-choice knapsack, solved for all budgets at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

import numpy as np
import numpy.typing as npt

# Cells of the table. Where the exact table would be larger, sizes are rounded up to a coarser unit, and plans may miss
# the optimum by what that unit holds; 2^21 cells keep it below a millionth of the range for each site.
MOST_CELLS = 2**21


@dataclass(frozen=True)
class Frontier:
    """All plans of least error: for each, no other is both at most as large and better. Ordered by rising size."""

    sizes: npt.NDArray[np.int64]  # bytes of the sites together; an upper bound where `unit` is coarser than exact
    errors: npt.NDArray[np.float64]  # falling strictly
    unit: int  # bytes of a cell
    exact: bool  # whether every size is a whole number of units
    _cells: npt.NDArray[np.int64]
    _choices: npt.NDArray[np.int8]
    _steps: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.sizes)

    def plan(self, index: int) -> tuple[int, ...]:
        """The level of every site in plan `index`."""
        cell = int(self._cells[index])
        levels = []
        for site in range(len(self._steps) - 1, -1, -1):
            level = int(self._choices[site, cell])
            levels.append(level)
            cell -= self._steps[site][level]
        return tuple(reversed(levels))

    def within(self, budget: int) -> int | None:
        """Index of the best plan of at most `budget` bytes; None if there is none."""
        index = int(np.searchsorted(self.sizes, budget, side="right")) - 1
        return index if index >= 0 else None


def solve(sizes: Sequence[Sequence[int]], errors: Sequence[Sequence[float]]) -> Frontier:
    """The frontier of sum(error) against sum(size), one level chosen at every site.

    `sizes` in bytes and `errors` (lower is better) are given for each site and level. Dynamic programming over
    total size: sites x levels x cells steps. Ties go to the earlier level.
    """
    floors = [min(site) for site in sizes]
    extra = [[size - floor for size in site] for site, floor in zip(sizes, floors, strict=True)]
    reach = sum(max(site) for site in extra)
    common = gcd(*(size for site in extra for size in site)) or 1
    unit = common * max(1, -(-(reach // common) // MOST_CELLS))
    steps = tuple(tuple(-(-size // unit) for size in site) for site in extra)
    cells = sum(max(site) for site in steps) + 1
    best = np.full(cells, np.inf)
    best[0] = 0.0
    choices = np.zeros((len(steps), cells), np.int8)
    for site, (site_steps, site_errors) in enumerate(zip(steps, errors, strict=True)):
        new = np.full(cells, np.inf)
        for level, (step, error) in enumerate(zip(site_steps, site_errors, strict=True)):
            candidate = best[: cells - step] + error
            target = new[step:]
            better = candidate < target
            target[better] = candidate[better]
            choices[site, step:][better] = level
        best = new
    running = np.minimum.accumulate(best)
    kept = np.flatnonzero(np.isfinite(best) & (best < np.concatenate([[np.inf], running[:-1]])))
    return Frontier(
        sizes=kept.astype(np.int64) * unit + sum(floors),
        errors=best[kept],
        unit=unit,
        exact=unit == common,
        _cells=kept.astype(np.int64),
        _choices=choices,
        _steps=steps,
    )
