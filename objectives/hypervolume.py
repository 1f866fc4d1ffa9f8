"""Hypervolume: how much of the objective space a front dominates, as one number."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from objectives.pareto import checked_points, non_dominated
from objectives.staircase import Staircase

ACCURACY_SPAN_POINTS = 10.0  # accuracy axis: 0 at ten points below dense, 1 at dense
SIZE_SPAN_DOUBLINGS = 4.0  # size axis: 0 at the dense size, 1 at 16 times smaller
SPEED_SPAN_DOUBLINGS = 3.0  # speed axis: 0 at the dense speed, 1 at 8 times faster
MAX_AXES = 3  # the sweep below is exact up to here


def hypervolume(points: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """Exact volume of the union of the boxes between `reference` and each point.

    The hypervolume indicator of Zitzler and Thiele (1998), computed by the dimension sweep of Fonseca,
    Paquete and López-Ibáñez (2006): points enter from the best third objective to the worst while a staircase
    keeps the area that the first two objectives dominate.

    Args:
        points: [n, k], k of 1, 2 or 3, every objective maximised, finite, any number of them dominated.
        reference: [k]; a point that is not better than it in every objective contributes nothing.

    Returns:
        Volume >= 0 in the product of the objectives' units; 0 for no points. O(n log n) and a little more.

    Raises:
        ValueError: k is above 3, `reference` does not have k values, or a value is NaN or infinite.
    """
    rows = checked_points(points)
    origin = np.asarray(reference, dtype=np.float64)
    axes = rows.shape[1]
    if axes > MAX_AXES:
        raise ValueError(f"the hypervolume of {axes} objectives is not implemented; at most {MAX_AXES} are")
    if origin.shape != (axes,):
        raise ValueError(f"the reference has shape {origin.shape}, the points have {axes} objectives")
    if not (np.isfinite(rows).all() and np.isfinite(origin).all()):
        raise ValueError("points and reference must be finite")
    rows = rows - origin
    rows = rows[(rows > 0).all(axis=1)]
    rows = rows[non_dominated(rows)]
    # An objective that is not there is one in which all points are equally good.
    rows = np.hstack([rows, np.ones((len(rows), MAX_AXES - axes))])
    rows = rows[np.argsort(-rows[:, 2], kind="stable")]
    depths = rows[:, 2] - np.append(rows[1:, 2], 0.0)
    staircase = Staircase()
    volume = 0.0
    for (x, y, _), depth in zip(rows.tolist(), depths.tolist(), strict=True):
        staircase.add(x, y)
        volume += staircase.area * depth
    return volume


def normalised(
    accuracy: npt.ArrayLike,
    dense_accuracy: float,
    size_ratio: npt.ArrayLike,
    speedup: npt.ArrayLike | None = None,
) -> float:
    """Hypervolume of a front of compressed models, comparable between studies of one kind.

    Axes and reference point, all maximised, the reference at 0 on each:

    - accuracy: 0 at ten percentage points below the dense model, 1 at its accuracy;
    - log2 of the size ratio: 0 at the dense size, 1 at four doublings (16 times smaller);
    - log2 of the predicted speed-up, only if predictions are given: 0 at the dense speed, 1 at three
      doublings (8 times faster).

    A model at or below 0 on an axis contributes nothing; values above 1 are not clipped, so the result can
    exceed 1. With and without speed-ups the numbers are not comparable.

    Args:
        accuracy: [n], percent.
        dense_accuracy: percent, on the same images.
        size_ratio: [n], dense bytes over candidate bytes, > 0.
        speedup: [n], predicted dense latency over candidate latency, > 0, or None.

    Raises:
        ValueError: lengths differ, a ratio is not above 0, or a value is NaN or infinite.
    """
    columns = [
        _heights(accuracy, dense_accuracy),
        _doublings("size_ratio", size_ratio) / SIZE_SPAN_DOUBLINGS,
    ]
    if speedup is not None:
        columns.append(_doublings("speedup", speedup) / SPEED_SPAN_DOUBLINGS)
    if len({len(column) for column in columns}) != 1:
        raise ValueError(f"accuracy and ratios differ in length: {[len(column) for column in columns]}")
    return hypervolume(np.stack(columns, axis=1), np.zeros(len(columns)))


def normalised_so_far(
    accuracy: npt.ArrayLike, dense_accuracy: float, size_ratio: npt.ArrayLike
) -> npt.NDArray[np.float64]:
    """`normalised` of the first model, of the first two, ... of all: never falling.

    Args and raises as in `normalised`.

    Returns:
        float64[n], in O(n log n) and a little more.
    """
    heights = _heights(accuracy, dense_accuracy)
    widths = _doublings("size_ratio", size_ratio) / SIZE_SPAN_DOUBLINGS
    if len(heights) != len(widths):
        raise ValueError(f"accuracy and ratios differ in length: {[len(heights), len(widths)]}")
    if not (np.isfinite(heights).all() and np.isfinite(widths).all()):
        raise ValueError("accuracy and ratios must be finite")
    staircase = Staircase()
    areas = np.zeros(len(heights))
    for index, (height, width) in enumerate(zip(heights.tolist(), widths.tolist(), strict=True)):
        if height > 0 and width > 0:
            staircase.add(height, width)
        areas[index] = staircase.area
    return areas


def _heights(accuracy: npt.ArrayLike, dense_accuracy: float) -> npt.NDArray[np.float64]:
    return (_column("accuracy", accuracy) - (dense_accuracy - ACCURACY_SPAN_POINTS)) / ACCURACY_SPAN_POINTS


def _column(name: str, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    column = np.asarray(values, dtype=np.float64)
    if column.ndim != 1:
        raise ValueError(f"{name} must have shape [n], not {column.shape}")
    return column


def _doublings(name: str, ratios: npt.ArrayLike) -> npt.NDArray[np.float64]:
    column = _column(name, ratios)
    if not (column > 0).all():
        raise ValueError(f"{name} must be above 0 to have a logarithm")
    logarithms: npt.NDArray[np.float64] = np.log2(column)
    return logarithms
