"""Which results of the quick score may be the best of their cost, and the scores that then decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from objectives.pareto import non_dominated, thin
from searcher.front import AXES, NOISE, QUICK_OBJECTIVE, by_chance, cover, front_points, promising
from storage.records.measurement import Measurement, Result, Rung
from storage.store import StudyStore

# Points of the quick score by which NOISE_IMAGES often put two of one size in the wrong order. With more contenders
# than these, picks among a hundred candidates of ResNet-20 were hardly better.
TIE_POINTS = 0.5
MOST_CONTENDERS = 64
# Of them, at most as many are for what the target limits. Where all costs counted alike, the front of 300 candidates of
# ResNet-20 for fewer MACs was of 126, and of 39 that led by MACs 18 had no second score.
ALONG_TARGET = 48
COVERING = 8  # of these, where the best leave gaps


def contenders(
    results: Sequence[Result], keep: Sequence[int] = (), macs: bool = False, along: Sequence[str] = ()
) -> list[Result]:
    """Those of `results` that no other one that costs no more beats by more than chance may, by number, and some more
    where these leave gaps.

    They are at most `MOST_CONTENDERS`. First come up to `ALONG_TARGET` that are beaten by least where only one of the
    costs in `along` counts, near ties among them, and some that cover it; then the front and near ties where all costs
    do. Of a front for which there is no room, as many as span it.

    Args:
        results: of rung 1.
        keep: numbers of results on their front that are contenders in any case.
        macs: as in `searcher.front.quick_front`.
        along: costs that users look at first, each as in `searcher.front.along`, which every result has.
    """
    if not results:
        return []
    axes = front_points(results, QUICK_OBJECTIVE, macs=True)
    tie = by_chance(TIE_POINTS, results)
    in_any_case = set(keep)
    wanted = [index for index, item in enumerate(results) if item.number in in_any_case]
    places = {item.number: index for index, item in enumerate(results)}
    for cost in along:
        points = axes[:, [0, AXES[cost]]]
        leading = _least_beaten(points, tie, (ALONG_TARGET - COVERING) // len(along))
        numbers = [results[index].number for index in leading]
        between = cover(promising(results, cost, by_chance(NOISE, results)), cost, numbers, COVERING // len(along))
        both = [*leading, *(places[number] for number in between)]
        wanted += _least_beaten(points, tie, ALONG_TARGET // len(along), both)
    chosen = _least_beaten(axes if macs else axes[:, :-1], tie, MOST_CONTENDERS, list(dict.fromkeys(wanted)))
    return sorted((results[index] for index in chosen), key=lambda item: item.number)


def _least_beaten(points: npt.NDArray[np.float64], tie: float, count: int, keep: Sequence[int] = ()) -> list[int]:
    """Indices of at most `count` points [n, score and costs], all maximised: the first of `keep`, then the front and
    what it beats by no more than `tie` points, the least beaten first; or as many of the front as span it."""
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
    beaten_by[front] = -1.0  # before those that are as good and cost more
    beaten_by[kept] = -2.0
    order = np.argsort(beaten_by, kind="stable")[:count]
    return [int(index) for index in order if beaten_by[index] <= tie]


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
