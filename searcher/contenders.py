"""Which results of the quick score may be the best of their cost, for all that so few images can tell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from searcher.front import QUICK_OBJECTIVE, front_points
from storage.records.measurement import Result

# Points of the quick score, by which it tells two candidates of one size apart on 256 images and may still be wrong.
NOISE = 1.0
MOST = 96  # contenders; those that are beaten by least


def contenders(results: Sequence[Result], macs: bool = False) -> list[Result]:
    """Those of `results` that no other one that costs no more beats by more than `NOISE`, by number.

    Args:
        results: of rung 1.
        macs: as in `searcher.front.quick_front`.
    """
    if not results:
        return []
    points = front_points(results, QUICK_OBJECTIVE, macs)
    scores, costs = points[:, 0], points[:, 1:]
    beaten_by = np.array(
        [scores[(costs >= own).all(axis=1)].max() - score for score, own in zip(scores, costs, strict=True)]
    )
    order = np.argsort(beaten_by, kind="stable")[:MOST]
    return sorted((results[index] for index in order if beaten_by[index] <= NOISE), key=lambda item: item.number)
