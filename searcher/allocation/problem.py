"""What allocation works on: the tables of a search space and of a latency table, as arrays over levels."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod
from string import ascii_lowercase
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from searcher.allocation.boundaries import separable
from storage.records.latency import LatencyTable
from storage.records.space import SearchSpace

Quantity = Literal["error", "size", "macs", "latency"]
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)  # the order of every axis over quantities; lower is better
ERROR, LATENCY = QUANTITIES.index("error"), QUANTITIES.index("latency")

Values = npt.NDArray[np.float64]
Levels = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Term:
    """One addend of every quantity, decided by a few sites together."""

    sites: tuple[int, ...]  # rising
    tables: Values  # [quantities, levels of the first site, levels of the second, ...]

    @property
    def cells(self) -> int:
        """Combinations of levels of the sites."""
        return int(self.tables[ERROR].size)


@dataclass(frozen=True, eq=False)
class Problem:
    """Sites with their numbers of levels, and every quantity as a fixed part plus a sum over terms.

    No term's sites are among those of another, and sites of one level stand in no term.
    """

    counts: tuple[int, ...]  # levels of each site
    fixed: Values  # [quantities]: sum of relative errors, bytes, multiply-accumulates, milliseconds
    terms: tuple[Term, ...]
    least_ms: float = 0.0  # no latency is below it, even if the sum is

    @classmethod
    def build(cls, space: SearchSpace, latency: LatencyTable | None = None) -> Problem:
        """The problem of a space; without a latency table every latency is 0. Latencies are those of `separable`.

        ValueError if the latency table is of another space, or if an entry is not a finite number.
        """
        counts = tuple(len(site.levels) for site in space.sites)
        fixed = np.array([0.0, space.fixed_bytes, space.fixed_macs, 0.0 if latency is None else latency.fixed_ms])
        found = []
        for factor in space.factors:
            nothing = (0.0,) * len(factor.error)
            found.append((factor.sites, np.array([factor.error, factor.size_bytes, factor.macs, nothing])))
        if latency is not None:
            latency.check(space)
            for item in separable(space, latency):
                nothing = (0.0,) * len(item.milliseconds)
                found.append((item.sites, np.array([nothing, nothing, nothing, item.milliseconds])))
        if not all(np.isfinite(tables).all() for _, tables in found):
            raise ValueError("an error or a cost in the tables is not a finite number")
        merged = cls._merged(counts, fixed, (_term(sites, counts, tables) for sites, tables in found))
        return merged if latency is None else replace(merged, least_ms=latency.least_ms)

    @classmethod
    def _merged(cls, counts: tuple[int, ...], fixed: Values, terms: Iterable[Term]) -> Problem:
        """Adds up terms that others contain: the fewer there are, the less there is to solve."""
        by_sites: dict[tuple[int, ...], Values] = {}
        for term in terms:
            known = by_sites.get(term.sites)
            by_sites[term.sites] = term.tables if known is None else known + term.tables
        fixed = fixed + by_sites.pop((), np.zeros(len(QUANTITIES)))
        for sites in sorted(by_sites, key=lambda item: (len(item), item)):
            hosts = [other for other in by_sites if set(sites) < set(other)]
            if hosts:
                host = min(hosts, key=lambda other: (prod(counts[site] for site in other), other))
                shape = [counts[site] if site in sites else 1 for site in host]
                by_sites[host] = by_sites[host] + by_sites.pop(sites).reshape(-1, *shape)
        return cls(counts, fixed, tuple(Term(sites, tables) for sites, tables in by_sites.items()))

    def with_first_level(self, sites: Collection[int]) -> Problem:
        """The same problem where `sites` have nothing but their first level, the original. Its plans hold here."""
        counts = tuple(1 if site in sites else count for site, count in enumerate(self.counts))
        fewer = []
        for term in self.terms:
            first = tuple(slice(counts[site]) for site in term.sites)
            fewer.append(_term(term.sites, counts, term.tables[(slice(None), *first)]))
        return replace(self._merged(counts, self.fixed, fewer), least_ms=self.least_ms)

    def cost(self, quantity: Quantity, levels: Sequence[int]) -> float:
        """What the plan of these levels has of one quantity."""
        return float(self.predictions(np.array([levels], np.int64))[0, QUANTITIES.index(quantity)])

    def predictions(self, plans: Levels) -> Values:
        """Every quantity [plans, quantities] of plans [plans, sites], as the search space and the table say it."""
        found = self.totals(plans)
        found[:, LATENCY] = np.maximum(found[:, LATENCY], self.least_ms)
        return found

    def totals(self, plans: Levels) -> Values:
        """Every quantity [plans, quantities] of plans [plans, sites], as sums: a latency may be below `least_ms`."""
        found = np.repeat(self.fixed[None, :], len(plans), axis=0)
        for term in self.terms:
            found += term.tables[(slice(None), *plans[:, term.sites].T)].T
        return found

    def extremes(self) -> tuple[Values, Values]:
        """Bounds [quantities] below and above every plan, from the least and the largest entry of each term."""
        low, high = self.fixed.copy(), self.fixed.copy()
        for term in self.terms:
            flat = term.tables.reshape(len(QUANTITIES), -1)
            low += flat.min(axis=1)
            high += flat.max(axis=1)
        return low, high


def _term(sites: Sequence[int], counts: Sequence[int], tables: Values) -> Term:
    """A term over rising sites of several levels; of a site named twice, the entries where both levels are one."""
    kept = sorted(set(sites))
    labels = dict(zip(kept, ascii_lowercase, strict=False))
    shaped = tables.reshape(len(QUANTITIES), *(counts[site] for site in sites))
    before, after = ("".join(labels[site] for site in some) for some in (sites, kept))
    rising = np.einsum(f"Q{before}->Q{after}", shaped)
    several = tuple(site for site in kept if counts[site] > 1)
    return Term(several, np.ascontiguousarray(rising).reshape(len(QUANTITIES), *(counts[site] for site in several)))
