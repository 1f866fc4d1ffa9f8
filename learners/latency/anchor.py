"""What a table of single layers cannot know, taken from a few whole models."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from storage.records.latency import LatencyFactor, LatencyTable
from storage.records.space import CHANNEL, FLOAT_BITS, QUANT, SearchSpace

UNKNOWN_SHARE = 0.1  # of the predicted time; a smaller difference is noise
# Bounds of the ratio between int8 layers in a whole model and alone: beyond them something else is amiss.
LEAST_SCALE, MOST_SCALE = 0.5, 2.0

Levels = tuple[int, ...]


@dataclass(frozen=True)
class WholeTimes:
    """Milliseconds of one call of whole models with all channels, on the scale of the table."""

    dense: float  # the user's file
    unchanged: float  # the candidate that leaves everything as it is
    int8: float | None  # `int8_levels`; None where a space has none


def int8_levels(space: SearchSpace) -> Levels | None:
    """The candidate of all channels whose layers run in int8 wherever they can; None where none can."""
    levels = tuple(
        next((index for index, level in enumerate(site.levels) if level.bits < FLOAT_BITS), 0)
        if site.learner == QUANT
        else 0
        for site in space.sites
    )
    return levels if any(levels) else None


def anchored(table: LatencyTable, space: SearchSpace, whole: WholeTimes, has_maps: bool) -> LatencyTable:
    """The table with three corrections, so that it agrees with the whole models.

    Where the unchanged candidate takes far longer than the table says, operations that cannot be timed alone take the
    rest, whatever the candidate. Where the user's model slices and pads, a candidate has an index map (`has_maps`):
    what dense takes follows the user's file. All costs of int8 layers are scaled by one number: they and float layers
    are timed at different moments of a machine that others use, too, and errors of one sign in many small differences
    add up.
    """
    missing = whole.unchanged - table.dense_ms
    fixed = missing if missing > UNKNOWN_SHARE * table.dense_ms else 0.0
    unchanged = table.dense_ms + fixed
    ratio = whole.dense / whole.unchanged if has_maps else 1.0
    table = replace(table, fixed_ms=table.fixed_ms + fixed, dense_ms=unchanged * ratio)
    levels = int8_levels(space)
    if levels is None or whole.int8 is None:
        return table
    in_int8 = [_int8_cells(space, factor) for factor in table.factors]
    cells = [space.cell(factor.sites, levels) for factor in table.factors]
    pairs = list(zip(table.factors, cells, in_int8, strict=True))
    scaled = sum(factor.milliseconds[cell] for factor, cell, mask in pairs if mask[cell])
    others = table.fixed_ms + sum(factor.milliseconds[cell] for factor, cell, mask in pairs if not mask[cell])
    if scaled <= 0:
        return table
    scale = float(np.clip((unchanged * whole.int8 / whole.unchanged - others) / scaled, LEAST_SCALE, MOST_SCALE))
    factors = tuple(
        replace(
            factor,
            milliseconds=tuple(scale * ms if own else ms for ms, own in zip(factor.milliseconds, mask, strict=True)),
        )
        for factor, _, mask in pairs
    )
    return replace(table, factors=factors)


def _int8_cells(space: SearchSpace, factor: LatencyFactor) -> list[bool]:
    """Of each cell, whether all that it decides on runs in int8."""
    sites = [space.sites[site] for site in factor.sites]
    if all(site.learner == CHANNEL for site in sites):
        return [False] * len(factor.milliseconds)
    return [
        all(level.bits < FLOAT_BITS for site, level in zip(sites, chosen, strict=True) if site.learner == QUANT)
        for chosen in product(*(site.levels for site in sites))
    ]
