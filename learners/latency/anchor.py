"""What a table of single layers cannot know, taken from a few whole models."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import numpy.typing as npt

from storage.records.latency import LatencyFactor, LatencyTable
from storage.records.space import FLOAT_BITS, QUANT, SearchSpace

UNKNOWN_SHARE = 0.1  # of the predicted time; a smaller difference is noise
# What a table is believed to be off by before whole models are known, as standard deviations. Of what no site decides,
# a share of the unchanged model, which is larger where operations could not be timed alone.
FIXED_ERROR, FIXED_ERROR_UNTIMED = 0.01, 0.1
# Of all float layers together, all int8 layers and all boundaries between the two, a share of their own time; so of
# each entry by itself.
SCALE_ERRORS = (0.3, 0.3, 1.0)
FLOAT, IN_INT8, BOUNDARY = range(len(SCALE_ERRORS))
ENTRY_ERROR = 0.1
PLAN_ERROR = 0.02  # of a plan, beside that of its timing: files loaded twice differ by as much
UNCHANGED_ERROR = 0.002  # what all others are compared with has none: it is to be met
# Times that of a layer alone: beyond it something else is amiss. A boundary costs nothing where the runtime fuses it.
LAYER_BOUNDS, BOUNDARY_BOUNDS = (0.5, 2.0), (0.0, 4.0)

Levels = tuple[int, ...]


@dataclass(frozen=True)
class WholePlan:
    """A candidate as it was timed."""

    levels: Levels
    milliseconds: float  # of one call, on the scale of the table
    error: float = 0.0  # relative standard error of its timing


@dataclass(frozen=True)
class WholeTimes:
    """Milliseconds of one call of whole models, on the scale of the table."""

    dense: float  # the user's file
    unchanged: float  # the candidate that leaves everything as it is
    plans: tuple[WholePlan, ...]  # other candidates
    on_scale: bool = True  # whether the scale was known; if not, only their ratio to each other is


def int8_levels(space: SearchSpace) -> Levels | None:
    """The candidate of all channels whose layers run in int8 wherever they can; None where none can."""
    levels = tuple(
        next((index for index, level in enumerate(site.levels) if level.bits < FLOAT_BITS), 0)
        if site.learner == QUANT
        else 0
        for site in space.sites
    )
    return levels if any(levels) else None


def anchored(
    table: LatencyTable, space: SearchSpace, whole: WholeTimes, has_maps: bool, boundaries: Collection[int] = ()
) -> LatencyTable:
    """The table with corrections, so that it agrees with the whole models.

    Where the unchanged candidate takes far longer than the table says, operations that cannot be timed alone take the
    rest, whatever the candidate. Where the user's model slices and pads, a candidate has an index map (`has_maps`):
    what dense takes follows the user's file; elsewhere the two are one.

    The plans then correct what the table says, by linear regression with a normal prior (Bishop, Pattern Recognition
    and Machine Learning, section 3.3): layers follow each other differently in a whole model than alone, and they are
    timed at different moments of a machine that others use, too. An error of one timed layer is one for all entries
    that it is: those of the same time.

    Args:
        table: as it was timed.
        space: which it is of.
        whole: times of whole models.
        has_maps: see above.
        boundaries: indices of factors that are conversions between float and int8.
    """
    missing = whole.unchanged - table.dense_ms if whole.on_scale else 0.0
    fixed = missing if missing > UNKNOWN_SHARE * table.dense_ms else 0.0
    unchanged = table.dense_ms + fixed
    base = whole.unchanged if has_maps else whole.dense
    table = replace(table, fixed_ms=table.fixed_ms + fixed, dense_ms=unchanged * whole.dense / base)
    if not whole.plans:
        return table
    measured = [replace(plan, milliseconds=unchanged * plan.milliseconds / base) for plan in whole.plans]
    kinds = [_kinds(space, factor, index in boundaries) for index, factor in enumerate(table.factors)]
    fixed_error = FIXED_ERROR_UNTIMED if fixed else FIXED_ERROR
    return _corrected(table, space, kinds, [WholePlan((0,) * len(space.sites), unchanged), *measured], fixed_error)


def _corrected(
    table: LatencyTable,
    space: SearchSpace,
    kinds: Sequence[Sequence[int]],
    measured: Sequence[WholePlan],
    fixed_error: float,
) -> LatencyTable:
    """The table after the regression; the first of `measured` is the unchanged model."""
    milliseconds = np.array([plan.milliseconds for plan in measured])
    cells = [[space.cell(factor.sites, plan.levels) for factor in table.factors] for plan in measured]
    own = np.array([[item.milliseconds[cell] for item, cell in zip(table.factors, row, strict=True)] for row in cells])
    kind_of = np.array([[item[cell] for item, cell in zip(kinds, row, strict=True)] for row in cells])
    by_kind = np.stack([np.where(kind_of == one, own, 0.0).sum(axis=1) for one in (FLOAT, IN_INT8, BOUNDARY)], axis=1)
    times, places = np.unique(own, return_inverse=True)
    place = {milliseconds: index for index, milliseconds in enumerate(times.tolist())}
    by_entry = np.zeros((len(measured), len(times)))
    np.add.at(by_entry, (np.arange(len(measured))[:, None], places.reshape(own.shape)), own)
    fixed = np.full((len(measured), 1), milliseconds[0])
    shares = np.hstack([fixed, by_kind, by_entry]) / milliseconds[:, None]
    variances = np.square([fixed_error, *SCALE_ERRORS, *[ENTRY_ERROR] * len(place)])
    predicted = table.fixed_ms + by_kind.sum(axis=1)
    errors = [UNCHANGED_ERROR, *(math.hypot(PLAN_ERROR, plan.error) for plan in measured[1:])]
    of_fixed, *changes = _posterior(shares, variances, 1 - predicted / milliseconds, np.square(errors))
    of_kind, of_entry = changes[: len(SCALE_ERRORS)], changes[len(SCALE_ERRORS) :]

    def scaled(own: float, kind: int) -> float:
        alone = of_entry[place[own]] if own in place else 0.0
        bounds = BOUNDARY_BOUNDS if kind == BOUNDARY else LAYER_BOUNDS
        return own * float(np.clip(1 + of_kind[kind] + alone, *bounds))

    factors = tuple(
        replace(factor, milliseconds=tuple(map(scaled, factor.milliseconds, kind)))
        for factor, kind in zip(table.factors, kinds, strict=True)
    )
    return replace(table, fixed_ms=max(0.0, table.fixed_ms + float(of_fixed * milliseconds[0])), factors=factors)


def _posterior(
    shares: npt.NDArray[np.float64],
    variances: npt.NDArray[np.float64],
    wanted: npt.NDArray[np.float64],
    noise: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Mean of coefficients with these variances, given that shares [rows, coefficients] of them are `wanted` [rows]."""
    observed = (shares * variances) @ shares.T + np.diag(noise)
    mean: npt.NDArray[np.float64] = variances * (shares.T @ np.linalg.solve(observed, wanted))
    return mean


def _kinds(space: SearchSpace, factor: LatencyFactor, is_boundary: bool) -> list[int]:
    """Of each entry, whether it is of a boundary, of what runs in int8, or of what runs in float."""
    if is_boundary:
        return [BOUNDARY] * len(factor.milliseconds)
    sites = [space.sites[site] for site in factor.sites]
    widths = [
        [level.bits < FLOAT_BITS for site, level in zip(sites, chosen, strict=True) if site.learner == QUANT]
        for chosen in product(*(site.levels for site in sites))
    ]
    return [IN_INT8 if found and all(found) else FLOAT for found in widths]
