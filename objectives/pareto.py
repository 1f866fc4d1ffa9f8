"""Pareto fronts: which points no other point dominates, and a spread-out handful of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from objectives.staircase import Staircase

FRONT_ROWS = 24  # a front that people read on one page


def checked_points(points: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """`points` as float64[n, k]; ValueError if it is not a table of k >= 1 columns or holds NaN."""
    rows = np.asarray(points, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise ValueError(f"points must have shape [n, k] with k >= 1, not {rows.shape}")
    if np.isnan(rows).any():
        raise ValueError(f"point {int(np.isnan(rows).any(axis=1).argmax())} holds NaN, which has no rank")
    return rows


def non_dominated(points: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Which points no other point dominates.

    A point dominates another if it is at least as good in every objective and better in one.

    Args:
        points: [n, k], every objective maximised (negate what is minimised); n may be 0, and
            infinities are ordered.

    Returns:
        bool[n]. Of equal points the first stays and the later ones are dropped, so that the result depends
        on nothing but the order of the rows. O(n log n) for k <= 3, O(n * front) above.

    Raises:
        ValueError: the shape is not [n, k], or a value is NaN.
    """
    rows = checked_points(points)
    count, axes = rows.shape
    mask = np.zeros(count, dtype=np.bool_)
    if count == 0:
        return mask
    # Best first, by the first objective, then the second, ...; lexsort is stable, so equal rows keep their
    # order. No point can now be dominated by one that comes after it.
    order = np.lexsort(-rows.T[::-1])
    rows = rows[order]
    if axes == 1:
        mask[order[0]] = True
    elif axes == 2:
        best_before = np.maximum.accumulate(rows[:-1, 1])
        mask[order[0]] = True
        mask[order[1:]] = rows[1:, 1] > best_before
    elif axes == 3:
        staircase = Staircase()
        kept = [staircase.add(y, z) for y, z in zip(_ranks(rows[:, 1]), _ranks(rows[:, 2]), strict=True)]
        mask[order] = kept
    else:
        while order.size:
            mask[order[0]] = True
            better_somewhere = (rows[1:] > rows[0]).any(axis=1)
            order, rows = order[1:][better_somewhere], rows[1:][better_somewhere]
    return mask


def thin(points: npt.ArrayLike, count: int = FRONT_ROWS, keep: Sequence[int] = ()) -> tuple[int, ...]:
    """At most `count` points that span the others, chosen deterministically.

    First those in `keep`, in its order, then the best point of each objective, then again and again the point
    farthest from all those chosen (Gonzalez 1985, "Clustering to minimize the maximum intercluster
    distance"), ties going to the lowest index. Each objective is scaled to [0, 1] over the points: pass the
    logarithm of what spans orders of magnitude.

    Args:
        points: [n, k], every objective maximised, finite; usually a front.
        count: how many to keep, >= 0; where `keep` and the extremes alone are more, the last of them go.
        keep: indices into `points` that go before all others.

    Returns:
        Rising indices into `points`; all of them if n <= count. Copies of a chosen point may be left out.

    Raises:
        ValueError: wrong shape, a value that is NaN or infinite, an index outside [0, n), a negative count.
    """
    rows = checked_points(points)
    total = len(rows)
    if not np.isfinite(rows).all():
        raise ValueError("points must be finite to have distances")
    if count < 0 or any(not 0 <= index < total for index in keep):
        raise ValueError(f"count is {count} and keep is {tuple(keep)} for {total} points")
    if total <= count:
        return tuple(range(total))
    low = rows.min(axis=0)
    span = rows.max(axis=0) - low
    scaled = (rows - low) / np.where(span > 0, span, 1.0)
    chosen = list(dict.fromkeys([*keep, *_extremes(scaled)]))[:count]
    distance = np.full(total, np.inf)
    for index in chosen:
        distance = np.minimum(distance, _squared_distance(scaled, index))
    while len(chosen) < count:
        farthest = int(distance.argmax())
        if distance[farthest] == 0.0:
            break  # only copies of chosen points are left
        chosen.append(farthest)
        distance = np.minimum(distance, _squared_distance(scaled, farthest))
    return tuple(sorted(chosen))


def _ranks(column: npt.NDArray[np.float64]) -> list[int]:
    """Numbers from 1 that compare as the values do: finite and positive, as a staircase needs them."""
    ranks: list[int] = (np.unique(column, return_inverse=True)[1] + 1).tolist()
    return ranks


def _extremes(scaled: npt.NDArray[np.float64]) -> list[int]:
    """The best point of each objective; of equally good ones the best on the whole, then the first."""
    overall = scaled.sum(axis=1)
    return [int(np.lexsort((-overall, -column))[0]) for column in scaled.T]


def _squared_distance(scaled: npt.NDArray[np.float64], index: int) -> npt.NDArray[np.float64]:
    squares: npt.NDArray[np.float64] = np.square(scaled - scaled[index]).sum(axis=1)
    return squares
