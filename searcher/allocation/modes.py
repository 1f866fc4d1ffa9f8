"""Local search where sites are too densely coupled: iterated conditional modes (Besag 1986)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from searcher.allocation.problem import Levels, Values

START_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # where searches begin: all sites this far down their levels
MOST_SWEEPS = 100  # over all sites; each lowers the cost, and a handful is usual


@dataclass(frozen=True, eq=False)
class CoreTable:
    """Costs [weightings, levels of each site] of a few sites."""

    sites: tuple[int, ...]
    values: Values


def iterate_modes(counts: Sequence[int], sites: Sequence[int], tables: Sequence[CoreTable]) -> Levels:
    """Levels [weightings, sites] at which no single site can do better, the best from several starts.

    `counts` are the levels of `sites`. Deterministic; ties go to the earlier level and to the earlier start.
    """
    rows = len(tables[0].values)
    best = np.zeros((rows, len(sites)), np.int64)
    least = np.full(rows, np.inf)
    for share in START_SHARES:
        start = np.array([round(share * (count - 1)) for count in counts], np.int64)
        found = _descend(counts, sites, tables, np.repeat(start[None, :], rows, axis=0))
        cost = _cost(sites, tables, found)
        better = cost < least
        best[better], least[better] = found[better], cost[better]
    return best


def _descend(counts: Sequence[int], sites: Sequence[int], tables: Sequence[CoreTable], levels: Levels) -> Levels:
    place = {site: column for column, site in enumerate(sites)}
    rows = np.arange(len(levels))
    touching = {site: [table for table in tables if site in table.sites] for site in sites}
    for _ in range(MOST_SWEEPS):
        before = levels.copy()
        for column, site in enumerate(sites):
            costs = np.zeros((len(levels), counts[column]))
            for table in touching[site]:
                axis = table.sites.index(site)
                others = [levels[:, place[other]] for other in table.sites if other != site]
                costs += np.moveaxis(table.values, 1 + axis, -1)[(rows, *others)]
            now = costs[rows, levels[:, column]]
            mode = costs.argmin(axis=1)
            levels[:, column] = np.where(costs[rows, mode] < now, mode, levels[:, column])
        if (levels == before).all():
            break
    return levels


def _cost(sites: Sequence[int], tables: Sequence[CoreTable], levels: Levels) -> Values:
    place = {site: column for column, site in enumerate(sites)}
    rows = np.arange(len(levels))
    found = np.zeros(len(levels))
    for table in tables:
        found += table.values[(rows, *(levels[:, place[site]] for site in table.sites))]
    return found
