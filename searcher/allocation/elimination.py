"""The plan of least weighted cost, exactly: min-sum variable elimination (Dechter 1999, "Bucket elimination")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import prod

import numpy as np

from searcher.allocation.modes import CoreTable, iterate_modes
from searcher.allocation.problem import ERROR, QUANTITIES, Levels, Problem, Values

# Cells of one table: where more are needed (each layer of a DenseNet reads all before it), the sites that are left are
# decided by local search. 2^18 holds six coupled sites of seven levels, at 2 MB a weighting.
MOST_CELLS = 2**18
MOST_BATCH_CELLS = 2**20  # of one table for all weightings that are solved at once


@dataclass(frozen=True)
class _Slot:
    """A term, or what the elimination of a site leaves behind, as it enters the table of another."""

    slot: int
    shape: tuple[int, ...]  # over (scope, site) of that table, 1 along what it does not depend on


@dataclass(frozen=True)
class _Bucket:
    """The elimination of one site: all that depends on it is added up and minimised over its levels."""

    site: int
    scope: tuple[int, ...]  # the other sites of the table, the last to be eliminated first
    shape: tuple[int, ...]  # levels of `scope`
    parts: tuple[_Slot, ...]


class Elimination:
    """Solves one problem for any weights of its quantities; order and shapes are worked out once."""

    def __init__(self, problem: Problem, most_cells: int = MOST_CELLS) -> None:
        self.problem = problem
        order, self._core = elimination_order(problem, most_cells)
        rank = {site: position for position, site in enumerate([*order, *self._core])}
        self._term_scopes = [tuple(sorted(term.sites, key=lambda s: -rank[s])) for term in problem.terms]
        self._flat, self._bounds = self._flatten()
        scopes = list(self._term_scopes)
        waiting: dict[int, list[int]] = {}
        for slot, scope in enumerate(scopes):
            waiting.setdefault(scope[-1], []).append(slot)
        counts = problem.counts
        buckets: list[_Bucket] = []
        self._homes: dict[int, int] = {}  # slot -> bucket whose table it enters
        for site in order:
            slots = waiting.pop(site, [])
            joint = sorted({s for slot in slots for s in scopes[slot]} - {site}, key=lambda s: -rank[s])
            parts = [
                _Slot(slot, tuple(counts[s] if s in scopes[slot] else 1 for s in (*joint, site))) for slot in slots
            ]
            self._homes.update({slot: len(buckets) for slot in slots})
            buckets.append(_Bucket(site, tuple(joint), tuple(counts[s] for s in joint), tuple(parts)))
            if joint:
                waiting.setdefault(joint[-1], []).append(len(scopes))
            scopes.append(tuple(joint))
        self._buckets = tuple(buckets)
        self._scopes = scopes
        self._core_slots = sorted(slot for slots in waiting.values() for slot in slots)
        largest = max((prod(counts[s] for s in (*b.scope, b.site)) for b in buckets), default=1)
        self._batch = max(1, MOST_BATCH_CELLS // max(largest, self._flat.shape[1]))

    @property
    def is_exact(self) -> bool:
        """Whether plans are proven optimal: no site was left to local search."""
        return not self._core

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know, a line each."""
        if self.is_exact:
            return ()
        return (f"{len(self._core)} sites are coupled too densely to solve exactly: a local search decides them",)

    def solve(self, weights: Values) -> Levels:
        """Plans [weightings, sites] of least weights . quantities; `weights` is [weightings, quantities].

        Ties go to the earlier level of the site eliminated last. Rows do not depend on each other, not in a bit.
        """
        weights = np.atleast_2d(np.asarray(weights, np.float64))
        parts = [self._solve(weights[row : row + self._batch]) for row in range(0, len(weights), self._batch)]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.problem.counts)), np.int64)

    def _solve(self, weights: Values) -> Levels:
        tables, messages = self._forward(weights)
        plans = np.zeros((len(weights), len(self.problem.counts)), np.int64)
        if self._core:
            core = [CoreTable(self._scopes[slot], np.moveaxis(messages[slot], -1, 0)) for slot in self._core_slots]
            plans[:, self._core] = iterate_modes([self.problem.counts[site] for site in self._core], self._core, core)
        rows = np.arange(len(weights))
        for bucket, table in zip(reversed(self._buckets), reversed(tables), strict=True):
            plans[:, bucket.site] = table.swapaxes(-1, -2)[(*plans[:, bucket.scope].T, rows)].argmin(axis=-1)
        return plans

    def least_with(self, weights: Values) -> list[Values]:
        """For each term and each of its cells, the least weighted cost of the plans that use the cell.

        `weights` is [quantities]; the tables are shaped as the terms' levels. Every entry is the true minimum up to
        rounding; the least of each table is the cost of the best plan. ValueError unless `is_exact`.
        """
        if not self.is_exact:
            raise ValueError("least costs by cell need an exact elimination")
        tables, messages = self._forward(np.asarray(weights, np.float64)[None, :])
        first = len(self.problem.terms)
        total = sum(float(messages[first + index][..., 0]) for index, b in enumerate(self._buckets) if not b.scope)
        beliefs: list[Values] = [np.zeros(0)] * len(self._buckets)
        for index in range(len(self._buckets) - 1, -1, -1):
            scope, message = self._buckets[index].scope, messages[first + index][..., 0]
            above = self._least_over(beliefs, first + index, scope) if scope else np.array(total)
            beliefs[index] = tables[index][..., 0] + (above - message)[..., None]
        constant = float(weights @ self.problem.fixed)
        found = []
        for slot, term in enumerate(self.problem.terms):
            scope = self._term_scopes[slot]
            back = [scope.index(site) for site in term.sites]
            found.append(self._least_over(beliefs, slot, scope).transpose(back) + constant)
        return found

    def _least_over(self, beliefs: Sequence[Values], slot: int, scope: tuple[int, ...]) -> Values:
        """The belief of the bucket that a slot enters, minimised over all sites but those of `scope`."""
        home = self._homes[slot]
        bucket = self._buckets[home]
        others = tuple(axis for axis, site in enumerate((*bucket.scope, bucket.site)) if site not in scope)
        least: Values = beliefs[home].min(axis=others)
        return least

    def _forward(self, weights: Values) -> tuple[list[Values], list[Values]]:
        """The table [scope, site, weightings] of every bucket, and the values of every slot.

        Weightings come last: a minimum over the short axis of a site then takes whole rows of them at a time, which is
        several times as fast.
        """
        # Plain sums rather than a matrix product, whose rounding depends on the number of rows.
        flat = self._flat[ERROR, :, None] * weights[:, ERROR]
        weighted = np.empty_like(flat)
        for row in np.flatnonzero(weights.any(axis=0)):
            if row != ERROR:
                flat += np.multiply(self._flat[row, :, None], weights[:, row], out=weighted)
        slots: list[Values] = [flat[start:stop] for start, stop in self._bounds]
        counts = self.problem.counts
        if self._core:
            for slot in self._core_slots:
                if slot < len(slots):
                    slots[slot] = slots[slot].reshape(*(counts[site] for site in self._scopes[slot]), -1)
        tables = []
        for bucket in self._buckets:
            table = np.zeros((*bucket.shape, counts[bucket.site], len(weights)))
            for part in bucket.parts:
                table += slots[part.slot].reshape(*part.shape, -1)
            tables.append(table)
            slots.append(table.min(axis=-2))
        return tables, slots

    def _flatten(self) -> tuple[Values, list[tuple[int, int]]]:
        """All terms' tables beside each other [quantities, cells], their axes in the order of their scopes."""
        found, bounds, start = [], [], 0
        for term, scope in zip(self.problem.terms, self._term_scopes, strict=True):
            axes = [1 + term.sites.index(site) for site in scope]
            found.append(term.tables.transpose(0, *axes).reshape(len(QUANTITIES), -1))
            bounds.append((start, start + term.cells))
            start += term.cells
        return np.concatenate(found, axis=1) if found else np.zeros((len(QUANTITIES), 0)), bounds


def elimination_order(problem: Problem, most_cells: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The sites in the order in which they are eliminated, and those that no table of `most_cells` can hold.

    Greedily the site of the smallest table, then of the fewest new neighbours, then the first.
    """
    around: dict[int, set[int]] = {}
    for term in problem.terms:
        for site in term.sites:
            around.setdefault(site, set()).update(term.sites)
    for site, others in around.items():
        others.discard(site)

    def table(site: int) -> int:
        return prod(problem.counts[other] for other in around[site]) * problem.counts[site]

    def fill(site: int) -> int:
        return sum(1 for first, second in combinations(sorted(around[site]), 2) if second not in around[first])

    order = []
    keys = {site: (table(site), fill(site), site) for site in around}
    while keys:
        size, _, site = min(keys.values())
        if size > most_cells:
            break
        order.append(site)
        neighbours = around.pop(site)
        del keys[site]
        for other in neighbours:
            around[other] |= neighbours
            around[other] -= {other, site}
        touched = neighbours.union(*(around[other] for other in neighbours))
        keys.update({other: (table(other), fill(other), other) for other in touched})
    return tuple(order), tuple(sorted(keys))
