"""What a table of single layers cannot know, taken from a few whole models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from storage.records.latency import LatencyFactor, LatencyTable
from storage.records.space import FLOAT_BITS, QUANT, SearchSpace

UNKNOWN_SHARE = 0.1  # of the predicted time; a smaller difference is noise
# Bounds of the ratio between a layer in a whole model and alone: beyond them something else is amiss.
LEAST_SCALE, MOST_SCALE = 0.5, 2.0
# Standard deviations before whole models are known, as shares of what the table says: of what no site decides, of all
# float layers together, of all int8 layers, of all boundaries between the two; of each cell's own time; of a plan that
# was timed in quiet. Half or twice of them predict 60 other plans as well.
SCALE_ERRORS = (0.3, 0.3, 0.3, 1.0)
CELL_ERROR = 0.1
PLAN_ERROR = 0.02
FIXED, FLOAT, IN_INT8, BOUNDARY = range(len(SCALE_ERRORS))

Levels = tuple[int, ...]


@dataclass(frozen=True)
class WholeTimes:
    """Milliseconds of one call of whole models, on the scale of the table."""

    dense: float  # the user's file
    unchanged: float  # the candidate that leaves everything as it is
    plans: tuple[tuple[Levels, float], ...]  # other candidates, timed in quiet


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
    """The table with corrections, so that it agrees with the whole models.

    Where the unchanged candidate takes far longer than the table says, operations that cannot be timed alone take the
    rest, whatever the candidate. Where the user's model slices and pads, a candidate has an index map (`has_maps`):
    what dense takes follows the user's file; elsewhere the two are one.

    The plans then correct what the table says, by linear regression with a normal prior (Bishop, Pattern Recognition
    and Machine Learning, section 3.3): layers follow each other differently in a whole model than alone, and they are
    timed at different moments of a machine that others use, too. An error of one timed layer counts in every cell that
    was made from it; of cells with the same time it is the same one.
    """
    missing = whole.unchanged - table.dense_ms
    fixed = missing if missing > UNKNOWN_SHARE * table.dense_ms else 0.0
    unchanged = table.dense_ms + fixed
    base = whole.unchanged if has_maps else whole.dense
    table = replace(table, fixed_ms=table.fixed_ms + fixed, dense_ms=unchanged * whole.dense / base)
    if not whole.plans:
        return table
    measured = [((0,) * len(space.sites), unchanged)]
    measured += [(levels, unchanged * milliseconds / base) for levels, milliseconds in whole.plans]
    return _corrected(table, space, measured)


def _corrected(table: LatencyTable, space: SearchSpace, measured: Sequence[tuple[Levels, float]]) -> LatencyTable:
    kinds = [_kinds(space, factor) for factor in table.factors]
    cells = [[space.cell(factor.sites, levels) for factor in table.factors] for levels, _ in measured]
    times = sorted(
        {factor.milliseconds[cell] for row in cells for factor, cell in zip(table.factors, row, strict=True)}
    )
    place = {milliseconds: index for index, milliseconds in enumerate(times)}
    # What each plan takes by the table: of each kind, and of each different time of a cell.
    by_kind = np.zeros((len(measured), len(SCALE_ERRORS)))
    by_time = np.zeros((len(measured), len(place)))
    by_kind[:, FIXED] = table.fixed_ms
    for number, row in enumerate(cells):
        for factor, kind, cell in zip(table.factors, kinds, row, strict=True):
            by_kind[number, kind[cell]] += factor.milliseconds[cell]
            by_time[number, place[factor.milliseconds[cell]]] += factor.milliseconds[cell]
    predicted = np.maximum(by_kind.sum(axis=1), table.least_ms)[:, None]
    shares = np.hstack([by_kind, by_time]) / predicted
    variances = np.square([*SCALE_ERRORS, *[CELL_ERROR] * len(place)])
    error = np.array([milliseconds for _, milliseconds in measured]) / predicted[:, 0] - 1
    observed = (shares * variances) @ shares.T + PLAN_ERROR**2 * np.eye(len(measured))
    change = variances * (shares.T @ np.linalg.solve(observed, error))
    of_kind, of_time = change[: len(SCALE_ERRORS)], change[len(SCALE_ERRORS) :]

    def scaled(milliseconds: float, kind: int) -> float:
        own = of_time[place[milliseconds]] if milliseconds in place else 0.0
        return milliseconds * float(np.clip(1 + of_kind[kind] + own, LEAST_SCALE, MOST_SCALE))

    factors = tuple(
        replace(factor, milliseconds=tuple(map(scaled, factor.milliseconds, kind)))
        for factor, kind in zip(table.factors, kinds, strict=True)
    )
    fixed = table.fixed_ms * float(np.clip(1 + of_kind[FIXED], LEAST_SCALE, MOST_SCALE))
    return replace(table, fixed_ms=fixed, factors=factors)


def _kinds(space: SearchSpace, factor: LatencyFactor) -> list[int]:
    """Of each cell, whether all that it decides on runs in float, all in int8, or some in each."""
    widths = [
        [level.bits < FLOAT_BITS for site, level in zip(factor.sites, chosen, strict=True) if _is_width(space, site)]
        for chosen in product(*(space.sites[site].levels for site in factor.sites))
    ]
    return [IN_INT8 if found and all(found) else BOUNDARY if any(found) else FLOAT for found in widths]


def _is_width(space: SearchSpace, site: int) -> bool:
    return space.sites[site].learner == QUANT
