"""Which results of the quick score may be the best of their cost, and the scores that then decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from objectives.pareto import non_dominated, thin
from searcher.front import AXES, QUICK_OBJECTIVE, front_points
from storage.records.measurement import Measurement, Result, Rung
from storage.store import StudyStore

# Points of the quick score by which 256 images often put two of one size in the wrong order. With more contenders than
# these, picks among a hundred candidates of ResNet-20 were hardly better.
TIE_POINTS = 0.5
MOST_CONTENDERS = 64
# Of them, at most as many are for what the target limits alone. Where all costs counted alike, the front of three
# hundred candidates was larger than all contenders, and of those that lead by one cost a third had no second score.
ALONG_TARGET = 48


def contenders(
    results: Sequence[Result], keep: Sequence[int] = (), macs: bool = False, along: Sequence[str] = ()
) -> list[Result]:
    """Those of `results` that no other one that costs no more beats by more than `TIE_POINTS`, by number.

    They are at most `MOST_CONTENDERS`: those that are beaten by least where only one of the costs in `along` counts,
    then those where all do. Of a front that is larger, as many as span it.

    Args:
        results: of rung 1.
        keep: numbers of results on their front that are contenders in any case.
        macs: as in `searcher.front.quick_front`.
        along: costs that users look at first, each as in `searcher.front.along`.
    """
    if not results:
        return []
    points = front_points(results, QUICK_OBJECTIVE, macs)
    wanted = [index for index, item in enumerate(results) if item.number in set(keep)]
    for cost in along:
        wanted += _least_beaten(points[:, [0, AXES[cost]]], ALONG_TARGET // len(along), ())
    chosen = _least_beaten(points, MOST_CONTENDERS, list(dict.fromkeys(wanted)))
    return sorted((results[index] for index in chosen), key=lambda item: item.number)


def _least_beaten(points: npt.NDArray[np.float64], count: int, keep: Sequence[int]) -> list[int]:
    """Indices of at most `count` points [score, costs ...], all maximised: those in `keep`, then the front and what it
    beats by least, or as many as span it."""
    scores, costs = points[:, 0], points[:, 1:]
    front: list[int] = np.flatnonzero(non_dominated(points)).tolist()
    kept = list(keep)[:count]
    beside = sorted(set(kept).difference(front))
    if len(front) > count - len(beside):
        places = {index: place for place, index in enumerate(front)}
        wanted = [places[index] for index in kept if index in places]
        return beside + [front[place] for place in thin(points[front], count - len(beside), wanted)]
    # The best of what costs no more is always on the front.
    best = [scores[front][(costs[front] >= own).all(axis=1)].max() for own in costs]
    beaten_by = np.array(best) - scores
    beaten_by[kept] = -1.0  # before all others
    order = np.argsort(beaten_by, kind="stable")[:count]
    return [int(index) for index in order if beaten_by[index] <= TIE_POINTS]


def deciding_scores(store: StudyStore, study: str) -> dict[int, Result]:
    """By number, the scores that choose what is confirmed: both together of what has a second one, or the quick ones
    where nothing has."""
    quick = {item.number: item for item in store.results(study, Rung.QUICK)}
    second = store.results(study, Rung.RESCORED)
    return {item.number: together(quick[item.number], item) for item in second} or quick


def together(first: Result, second: Result) -> Result:
    """The second result of a candidate, with the scores over the images of both."""

    def pooled(item: Measurement) -> Measurement:
        other = first.get(item.objective)
        if other is None or item.objective not in (QUICK_OBJECTIVE, "accuracy"):
            return item
        images = item.samples + other.samples
        value = (item.samples * item.value + other.samples * other.value) / images
        return replace(item, value=value, samples=images)

    return replace(second, measurements=tuple(map(pooled, second.measurements)), per_image=None)
