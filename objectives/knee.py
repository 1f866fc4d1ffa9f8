"""The knee of a front: where giving up more of one objective stops paying in the other."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from objectives.pareto import checked_points, non_dominated

AXES = 2
LEAST_BULGE = 1e-9  # of a front scaled to the unit square: what rounding makes of points on one line


def knee(points: npt.ArrayLike) -> int | None:
    """The non-dominated point that lies farthest beyond the straight line between the front's two ends.

    The normal-boundary definition of Das (1999), "On characterizing the 'knee' of the Pareto curve based on
    normal-boundary intersection", Structural Optimization 18:107-115, on axes scaled to [0, 1] over the front.

    Args:
        points: [n, 2], every objective maximised, finite, any number of them dominated; pass the logarithm of what
            spans orders of magnitude.

    Returns:
        Index into `points`, the first of equal ones; None where fewer than three points are non-dominated or none
        lies beyond the line.

    Raises:
        ValueError: the shape is not [n, 2], or a value is NaN or infinite.
    """
    rows = checked_points(points)
    if rows.shape[1] != AXES:
        raise ValueError(f"a knee has {AXES} objectives, not {rows.shape[1]}")
    if not np.isfinite(rows).all():
        raise ValueError("points must be finite")
    front = np.flatnonzero(non_dominated(rows))
    if len(front) <= AXES:
        return None
    low, high = rows[front].min(axis=0), rows[front].max(axis=0)
    # Non-dominated points differ in both objectives, so the ends scale to (0, 1) and (1, 0), and the line is x + y = 1.
    beyond = ((rows[front] - low) / (high - low)).sum(axis=1) - 1.0
    best = int(beyond.argmax())
    return int(front[best]) if beyond[best] > LEAST_BULGE else None
