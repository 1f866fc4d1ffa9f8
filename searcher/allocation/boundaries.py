"""Boundaries between precisions, as allocation counts them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from learners.latency.anchor import int8_levels
from storage.records.latency import LatencyFactor, LatencyTable
from storage.records.space import QUANT, SearchSpace


def separable(space: SearchSpace, latency: LatencyTable) -> tuple[LatencyFactor, ...]:
    """The table's factors, none of which two widths decide together.

    Where a conversion stands depends on the widths of two neighbours. A program that couples all neighbours is far
    harder (ResNet-56 with two budgets: 15 to 70 CPU-seconds a plan in place of one), and what it gains is small: nearly
    all plans worth having run nearly all layers in the precision that is the faster one here. So a layer in the other
    precision pays for the conversions on all sides. Neighbours in that precision pay for one between them that is not
    there: as far as conversions take time, what this says of a plan is never less than what the table says.
    """
    usual = int8_levels(space)
    dense = (0,) * len(space.sites)
    if usual is None or latency.milliseconds(space, usual) > latency.milliseconds(space, dense):
        usual = dense
    found: list[LatencyFactor] = []
    for factor in latency.factors:
        widths = [site for site in factor.sites if space.sites[site].learner == QUANT]
        found.extend([factor] if len(widths) < 2 else _shares(space, factor, widths, usual))
    return tuple(found)


def _shares(
    space: SearchSpace, factor: LatencyFactor, widths: list[int], usual: tuple[int, ...]
) -> Iterator[LatencyFactor]:
    """For each width what the factor takes if all others are the usual ones."""
    for width in widths:
        sites = tuple(site for site in factor.sites if site not in widths or site == width)
        cells = []
        for choice in product(*(range(len(space.sites[site].levels)) for site in sites)):
            levels = list(usual)
            for site, level in zip(sites, choice, strict=True):
                levels[site] = level
            cells.append(factor.milliseconds[space.cell(factor.sites, levels)])
        yield replace(factor, sites=sites, milliseconds=tuple(cells))
