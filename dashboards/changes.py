"""What one site's change of level does to a candidate: error, bytes, MACs, predicted time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from storage.records.latency import LatencyFactor, LatencyTable
from storage.records.space import Factor, SearchSpace


@dataclass(frozen=True)
class Change:
    """After minus before."""

    error: float  # of the sum of the relative errors
    size_bytes: float
    macs: float
    milliseconds: float | None  # predicted; None without a latency table


class Changes:
    """Changes of the candidates of one space. Only the tables that the site decides are looked up."""

    def __init__(self, space: SearchSpace, latency: LatencyTable | None) -> None:
        self._space = space
        self._timed = latency is not None
        self._factors: list[list[Factor]] = [[] for _ in space.sites]
        self._latencies: list[list[LatencyFactor]] = [[] for _ in space.sites]
        for factor in space.factors:
            for site in factor.sites:
                self._factors[site].append(factor)
        for item in latency.factors if latency is not None else ():
            for site in item.sites:
                self._latencies[site].append(item)

    def of(self, levels: Sequence[int], site: int, level: int) -> Change:
        """What a candidate at `levels` would gain if site `site` (an index) went to `level`."""
        after = [*levels[:site], level, *levels[site + 1 :]]
        error = size = macs = 0.0
        for factor in self._factors[site]:
            old, new = (self._space.cell(factor.sites, item) for item in (levels, after))
            error += factor.error[new] - factor.error[old]
            size += factor.size_bytes[new] - factor.size_bytes[old]
            macs += factor.macs[new] - factor.macs[old]
        if not self._timed:
            return Change(error, size, macs, None)
        milliseconds = 0.0
        for item in self._latencies[site]:
            old, new = (self._space.cell(item.sites, plan) for plan in (levels, after))
            milliseconds += item.milliseconds[new] - item.milliseconds[old]
        return Change(error, size, macs, milliseconds)
